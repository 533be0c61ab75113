"""Errors of this project for values that pydantic refuses, with the description and the bounds of the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from runtime.errors import InputError, unknown_name_error

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

REFERENCE: Final = "docs/reference.md lists all fields"

_EXPECTED: Final[Mapping[str, str]] = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of fewer digits",
    "int_from_float": "an integer, without a fraction",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "a collection of at least {min_length} entries, not {actual_length}",
    "too_long": "a collection of at most {max_length} entries, not {actual_length}",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "none_required": "null",
    "path_type": "a path",
}
"""Expected value by pydantic's type of error; the placeholders are in the context of the error."""
_FORMS: Final = {
    "^[A-Za-z0-9][A-Za-z0-9._-]": "a name of up to 64 letters, digits, '.', '_' and '-' that begins with a letter or a digit"
}
"""Descriptions of patterns, by the beginning of the pattern."""
_PLAIN_TYPES: Final[Mapping[Any, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
_UNION_MEMBER: Final = re.compile(
    r"(int|float|str|bool|none|\[key\]|any)$|(literal|dict|list|tuple|set|constrained|function|nullable|lax|json|is-|chain|union)\b.*"
)
"""Parts of a location that name a member of a union, or the key of a mapping, instead of a field."""


@dataclass(frozen=True)
class _Location:
    """Position of an error in the model.

    Attributes:
        path: Names and indices that lead to the value.
        model: Model that contains the last field of the path.
        field: Last field of the path; None above all fields.
        inside: Whether the value is inside the field's value, such as an entry of a list.
    """

    path: tuple[str | int, ...]
    model: type[BaseModel]
    field: FieldInfo | None = None
    inside: bool = False

    def enter(self, part: str | int, kinds: Mapping[str, type[BaseModel]]) -> _Location:
        """Return the location one part further."""
        if part in kinds and (len(self.path) <= 1 or _mentions(self.field, kinds[str(part)])):
            return _Location(self.path, kinds[str(part)], self.field)
        field = next((f for name, f in self.model.model_fields.items() if part in (name, f.alias)), None)
        if field is not None:
            return _Location((*self.path, part), _find_model(field.annotation) or self.model, field)
        if isinstance(part, str) and _UNION_MEMBER.match(part):
            return self
        return _Location((*self.path, part), self.model, self.field, inside=True)


def _mentions(field: FieldInfo | None, model: type[BaseModel]) -> bool:
    """Return whether a model is a member of the annotation of a field."""
    todo: list[Any] = [] if field is None else [field.annotation]
    while todo:
        annotation = todo.pop()
        if annotation is model:
            return True
        todo += get_args(annotation)
    return False


def explain_validation(
    error: ValidationError,
    model: type[BaseModel],
    place: Callable[[str], str],
    *,
    kinds: Mapping[str, type[BaseModel]],
    more_keys: Sequence[str] = (),
) -> InputError:
    """Return the error for a user that corresponds to pydantic's first one.

    An unknown key takes precedence over the missing one that a spelling mistake leaves behind.

    Args:
        error: Error that pydantic raised.
        model: Model that was validated.
        place: Function from a dotted name to the place in the file.
        kinds: Models of the members of a union by the tag that pydantic adds to locations.
        more_keys: Keys that are known in addition to the fields of `model`.
    """
    located = [(_locate(model, details["loc"], kinds), details) for details in error.errors()]
    location, first = _select_first(located)
    where = place(".".join(map(str, location.path))).rstrip(".: ")
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = {field.alias or name: field.description or "" for name, field in location.model.model_fields.items()}
        return unknown_name_error(where, key, known | dict.fromkeys(more_keys if location.model is model else (), ""))
    if first["type"].startswith("union_tag"):
        kind = place(".".join([*map(str, location.path), "kind"]))
        return unknown_name_error(kind, str(first.get("ctx", {}).get("tag")), dict.fromkeys(kinds, ""))
    if first["type"] == "missing":
        return _missing_error(where, location)
    value = first.get("input")
    rule, remedy = _rule_and_remedy([details for other, details in located if other.path == location.path], location)
    shown = None if isinstance(value, dict | BaseModel) else value
    return InputError(where, rule, value=shown, remedy=_quotes_hint(first["type"], value) + remedy)


def _quotes_hint(kind: str, value: object) -> str:
    """Return the advice to quote a value that YAML does not read as the text that it was meant to be."""
    if kind == "literal_error" and isinstance(value, bool):
        return "put the word in quotes, since YAML reads yes, no, on and off as booleans; otherwise "
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put the text in quotes, since YAML reads it as another type; otherwise "
    return ""


def _locate(model: type[BaseModel], parts: Sequence[str | int], kinds: Mapping[str, type[BaseModel]]) -> _Location:
    location = _Location((), model)
    for part in parts:
        location = location.enter(part, kinds)
    return location


def _select_first(located: Sequence[tuple[_Location, ErrorDetails]]) -> tuple[_Location, ErrorDetails]:
    """Select an unknown key if there is one; of the members of a union, the one whose shape fits best."""
    location, first = min(located, key=lambda pair: pair[1]["type"] != "extra_forbidden")
    depth = len(location.path)
    deeper = [pair for pair in located if len(pair[0].path) > depth and pair[0].path[:depth] == location.path]
    return deeper[0] if deeper and location.path and first["type"] == "literal_error" else (location, first)


def _missing_error(where: str, location: _Location) -> InputError:
    key = location.path[-1]
    if isinstance(key, int):
        return InputError(where, "the list has too few values", remedy=_remedy(location.field))
    meaning = location.field.description if location.field is not None and not location.inside else None
    remedy = f"add  {key}: …" + (f"  ({meaning})" if meaning else "")
    return InputError(where, "the key is required", remedy=f"{remedy}; {REFERENCE}")


def _rule_and_remedy(errors: Sequence[ErrorDetails], location: _Location) -> tuple[str, str]:
    first = errors[0]
    if "url" not in first:  # an error type of a model of this project
        return first["msg"], _own_remedy(location)
    if first["type"] in ("value_error", "assertion_error"):
        message = str(first.get("ctx", {}).get("error", ""))
        return message[:1].lower() + message[1:], _own_remedy(location)
    expected = " or ".join(dict.fromkeys(_expected_value(details) for details in errors))
    # Inside a value, such as at an entry of a list, the type of the whole field does not apply.
    remedy = f"write {expected}; {REFERENCE}" if location.inside else _remedy(location.field)
    return f"the value must be {expected}", remedy


def _own_remedy(location: _Location) -> str:
    """Return the remedy for a rule that a model states itself."""
    named = location.field is not None and location.field.description and not location.inside
    section = location.field is not None and _find_model(location.field.annotation) is not None
    return _remedy(location.field) if named and not section else f"change a value that the rule names; {REFERENCE}"


def _expected_value(details: ErrorDetails) -> str:
    context = {name: _number(value) for name, value in details.get("ctx", {}).items()}
    template = _EXPECTED.get(details["type"], "of the form that is described for the field")
    return describe_pattern(context.get("pattern")) or template.format_map(context)


def describe_pattern(pattern: object) -> str:
    """Return a regular expression in words; empty if there is none."""
    if not isinstance(pattern, str):
        return ""
    return next((form for start, form in _FORMS.items() if pattern.startswith(start)), f"text that matches {pattern}")


def _number(value: object) -> object:
    return f"{value:.12g}" if isinstance(value, float) else value


def _remedy(field: FieldInfo | None) -> str:
    """Return what to write for a field: its allowed values, its default and its description."""
    if field is None:
        return f"correct the value; {REFERENCE}"
    allowed = describe_values(field)
    default = None if field.default is PydanticUndefined else field.default
    example = f", such as {_number(default)}" if isinstance(default, int | float) and default is not True else ""
    meaning = f" ({field.description.rstrip('.')})" if field.description else ""
    return f"write {allowed}{example}{meaning}; {REFERENCE}"


def describe_values(field: FieldInfo) -> str:
    """Return the values that a field takes in words, such as `a number above 0 and at most 1`."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(arguments[0], [*metadata, *_flatten(arguments[1:])])
    if origin in (Union, UnionType):
        described = [_describe(member, metadata) for member in arguments if member is not type(None)]
        return " or ".join(dict.fromkeys(described))
    if origin is Literal:
        names = [repr(value) for value in arguments]
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    forms = [form for item in metadata if (form := describe_pattern(getattr(item, "pattern", None)))]
    if forms:
        return forms[0]
    if annotation in _PLAIN_TYPES:
        return " ".join(filter(None, [_PLAIN_TYPES[annotation], _describe_bounds(metadata)]))
    return _describe_container(annotation, origin, arguments)


def _describe_container(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)} values"
    if origin in (tuple, list, set, frozenset):
        return "a list"
    model = _find_model(annotation)
    if model is not None and origin is None:
        return "a mapping with keys among " + ", ".join(f.alias or name for name, f in model.model_fields.items())
    return "a mapping of keys to values" if origin is dict else "a value of its form"


def _flatten(metadata: Sequence[Any]) -> Iterator[Any]:
    for item in metadata:
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def _describe_bounds(metadata: Sequence[Any]) -> str:
    """Return the interval that the metadata of a field allows, and what the value is a multiple of."""
    bounds = {
        name: value
        for item in metadata
        for name in ("ge", "gt", "le", "lt", "multiple_of")
        if (value := getattr(item, name, None)) is not None
    }
    multiple = f", a multiple of {bounds['multiple_of']}" if "multiple_of" in bounds else ""
    if "ge" in bounds and "le" in bounds:
        return f"from {_number(bounds['ge'])} to {_number(bounds['le'])}{multiple}"
    words = (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "of at most"))
    return " and ".join(f"{word} {_number(bounds[name])}" for name, word in words if name in bounds) + multiple


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """Return the first model in an annotation: the annotation itself, or one in a list, a mapping or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _find_model(inner)) is not None), None)


def field_meanings(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Return the description of every field of a model by dotted name, with the fields of its sections."""
    meanings: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            meanings |= field_meanings(field.annotation, f"{prefix}{name}.")
        else:
            meanings[prefix + name] = field.description or ""
    return meanings
