"""Types of Config fields: which ranges a field can be searched with."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo

from datasets.building.spec import takes_numbers_only
from runtime.errors import InputError
from runtime.inputs.validation import describe_values
from spaces.schema import Dimension
from spaces.values import quote_value, to_plain

_CONTAINERS: Final = (tuple, list, set, frozenset, dict)
_OF_OTHER_TYPE: Final = ("int_from_float", "literal_error", "enum", "_type", "_parsing", "_parsing_size")
"""Ends of pydantic's types of errors for values of a type that a field does not take."""
_INTERIOR: Final = 0.381966
"""Position of a number without a short decimal form inside a range, as a share of its length."""


def find_field(model: type[BaseModel], name: str) -> FieldInfo | None:
    """Return the field with a dotted name; None if a section on its way is of no known model."""
    first, _, rest = name.partition(".")
    field = model.model_fields.get(first)
    if field is None or not rest:
        return field
    section = next((t for t in _list_types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)), None)
    return None if section is None else find_field(section, rest)


def check_boolean(value: object, field: FieldInfo | None, place: str) -> None:
    """Check that true or false is not the value of a number, which pydantic takes for 1 or 0.

    Raises:
        InputError: If it is.
    """
    if isinstance(value, bool) and field is not None and takes_numbers_only(field.annotation):
        rule = "a number must be written in digits; YAML reads yes, no, on and off as booleans"
        raise InputError(place, rule, value=value, remedy=f"write {describe_values(field)}")


def check_range(dimension: Dimension, field: FieldInfo, place: str) -> None:
    """Check that the type of a field takes the values of a range.

    Args:
        dimension: Dimension of any kind; choices are not checked.
        field: Field that is searched.
        place: Location of the dimension in the file.

    Raises:
        InputError: If the field takes no numbers, or integers only and the range is continuous.
    """
    types = list(_list_types(field.annotation, field.metadata))
    if dimension.kind == "choice" or float in types or not all(map(_is_judged, types)):
        return
    if int in types:
        if not dimension.is_integer:
            raise integer_error(dimension, place)
        return
    choices = list(_list_choices(types))
    example = "[" + ", ".join(map(quote_value, choices)) + "]" if choices else "[a, b]"
    raise InputError(
        place,
        f"the field takes no range, but {_describe(types)}",
        value={dimension.kind: [dimension.low, dimension.high]},
        remedy=f"write  {{choice: {example}}}",
    )


def integer_error(dimension: Dimension, place: str) -> InputError:
    """Return the error for a continuous range of a field that takes integers only."""
    low, high = -(-dimension.low // 1), dimension.high // 1
    kind = "log_int" if dimension.kind == "log_uniform" else "int"
    step = "" if dimension.step is None else f", step: {max(1, round(dimension.step))}"
    return InputError(
        place,
        "an integer field takes ranges of integers only",
        value={dimension.kind: [dimension.low, dimension.high]},
        remedy=f"write  {{{kind}: [{low:.0f}, {max(high, low + 1):.0f}]{step}}}",
    )


def interior_value(dimension: Dimension) -> float:
    """Return a number inside a continuous range that is no integer."""
    return dimension.low + _INTERIOR * (dimension.high - dimension.low)


def is_type_error(error: ValidationError, name: str) -> bool:
    """Return whether pydantic refuses the type of a field's value, rather than its size or its relation to others."""
    parts = name.split(".")
    return any(
        str(details["type"]).endswith(_OF_OTHER_TYPE) and list(map(str, details["loc"]))[: len(parts)] == parts
        for details in error.errors()
    )


def _list_types(annotation: Any, metadata: Sequence[Any] = ()) -> Iterator[Any]:
    """Yield the plain types and literals that an annotation consists of; None is left out."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    named = getattr(annotation, "__supertype__", getattr(annotation, "__value__", None))  # NewType, or a type alias
    if named is not None:
        yield from _list_types(named, metadata)
    elif origin is Annotated:
        yield from _list_types(arguments[0], [*metadata, *arguments[1:]])
    elif origin in (Union, UnionType):
        for member in arguments:
            yield from _list_types(member, metadata)
    elif origin in _CONTAINERS and any(isinstance(item, BeforeValidator) for item in metadata):
        for member in arguments:  # limits of a range of the dataset, for which one number may be written
            yield from _list_types(member)
    elif annotation not in (type(None), Ellipsis):
        yield annotation


def _is_judged(annotation: Any) -> bool:
    """Return whether a type decides by itself which values it takes; validators of unknown types are asked instead."""
    if get_origin(annotation) in (Literal, *_CONTAINERS) or annotation in (int, float, bool, str, *_CONTAINERS):
        return True
    return isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def _list_choices(types: Sequence[Any]) -> Iterator[Any]:
    for annotation in types:
        if get_origin(annotation) is Literal:
            yield from map(to_plain, get_args(annotation))
        elif annotation is bool:
            yield from (False, True)
        elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            yield from map(to_plain, annotation)


def _describe(types: Sequence[Any]) -> str:
    """Return the values of a field without numbers in words."""
    names: dict[Callable[[Any], bool], str] = {
        lambda t: t is bool: "true or false",
        lambda t: t is str: "text",
        lambda t: t in _CONTAINERS or get_origin(t) in _CONTAINERS: "lists or groups of values",
    }
    words = [next((name for fits, name in names.items() if fits(t)), "one of its values") for t in types]
    return " or ".join(dict.fromkeys(words))
