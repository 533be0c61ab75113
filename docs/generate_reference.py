"""Generate `docs/reference.md`, the list of all fields, from the pydantic models that define them.

`python -m docs.generate_reference` writes the page; `--check` only compares it. The page is committed, since error
messages refer to it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from datasets.building.spec import DatasetSpec
from datasets.registry import KINDS
from runtime.inputs.validation import describe_pattern
from spaces.schema import SpaceFile, Value
from spaces.sweeps import MAX_COMBINATIONS
from trainables.registry import BUILT_IN, describe_trainable

PAGE: Final = Path(__file__).with_name("reference.md")
INTRODUCTION: Final = """# Reference

All keys of a [space file](spaces.md), all fields of the [datasets](data.md) and all hyperparameters of the built-in
trainables, with their types, defaults and bounds.

This page is generated from the models in the code by `python -m docs.generate_reference`; `make docs` does this too.

* Names are dotted: `optimizer.lr` is the field `lr` of the section `optimizer`. The same names are used under `fixed:`
  and `search:` and by `--set`.
* A *range* is written `[low, high]`, `low-high`, or as one number. A field without a default is required.
* Bounds are inclusive where written ≥ and ≤.
"""
_TYPES: Final[Mapping[Any, str]] = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "text",
    Any: "any value",
    Value: "value",
    type(None): "absent",
}
_HEADER: Final = ("| field | type | default | bounds | meaning |", "|---|---|---|---|---|")
_SPECS: Final[Mapping[str, type[BaseModel]]] = {name: kind.spec for name, kind in KINDS.items()}
_BOUNDS: Final = {
    annotated_types.Ge: ("≥", "ge"),
    annotated_types.Gt: (">", "gt"),
    annotated_types.Le: ("≤", "le"),
    annotated_types.Lt: ("<", "lt"),
    annotated_types.MultipleOf: ("a multiple of", "multiple_of"),
    annotated_types.MinLen: ("length ≥", "min_length"),
    annotated_types.MaxLen: ("length ≤", "max_length"),
}
_SPACE_KEYS: Final = (
    (
        "profiles",
        "mapping from text to keys of the space file",
        "`{}`",
        "",
        "Named changes; null removes a key. `laptop` applies by default without a GPU",
    ),
    ("inference", "as `inner`", "", "not together with `inner`", "Other name of `inner`"),
    ("initial_points", "as `start`", "", "not together with `start`", "Other name of `start`"),
)
"""Rows of keys that are resolved before the model of a space file is built."""
DIMENSION_KEYS: Final = (
    ("uniform", "[low, high]", "", "low < high", "Uniform distribution, for number fields"),
    ("log_uniform", "[low, high]", "", "0 < low < high", "Log-uniform distribution, for number fields"),
    ("int", "[low, high]", "", "low < high, integers, both included", "Uniform distribution over integers"),
    ("log_int", "[low, high]", "", "0 < low < high, integers, both included", "Log-uniform distribution over integers"),
    (
        "choice",
        "list of numbers, text, true, false, null or lists of them",
        "",
        "1 to 1,000 different values",
        "Values that the field can take",
    ),
    (
        "step",
        "number",
        "none",
        "> 0; with `uniform` and `int` only",
        "Distance between the values of a range, counted from its lower bound",
    ),
    (
        "when",
        "mapping from a dimension to a value or a list of values",
        "none",
        "the other dimension is a `choice`",
        "Condition under which the dimension is active",
    ),
    (
        "prior",
        "value",
        "none",
        "in the range or among the choices",
        "Value near which good points are expected",
    ),
    (
        "width",
        "`narrow`, `medium` or `wide`",
        "`medium`",
        "with `prior` only",
        "How close to it they are expected",
    ),
)
"""Rows of the keys of a dimension, of which exactly one kind is required."""
SWEEP_KEYS: Final = (
    (
        "choice",
        "list of numbers",
        "",
        "length ≥ 1, within the bounds of the parameter",
        "Values of the inference parameter",
    ),
    (
        "range",
        "[start, stop, step]",
        "",
        "start ≤ stop, step > 0, within the bounds of the parameter",
        "Values from start to stop, both included",
    ),
)
"""Rows of the keys of a sweep, of which one is required."""


def sub_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a section, or None for any other annotation."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def mentioned_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models inside an annotation, such as that of `tuple[ArraySpec, ...] | None`."""
    model = sub_model(annotation)
    if model is not None:
        yield model
    for argument in get_args(annotation):
        yield from mentioned_models(argument)


def title(model: type[BaseModel]) -> str:
    """Return the heading of a model that is a value of fields."""
    return model.__name__.removesuffix("Spec")


def type_name(annotation: Any) -> str:
    """Describe an annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _TYPES:
        return _TYPES[annotation]
    if (model := sub_model(annotation)) is not None:
        return _link(model)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _annotated(arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(argument) for argument in arguments if argument is not type(None)))
    return _container(origin, arguments)


def _link(model: type[BaseModel]) -> str:
    if model is DatasetSpec:
        return "[import path](data.md#a-class-of-your-own)"
    for kind, spec in _SPECS.items():
        if spec is model:
            return f"[`{kind}`](#dataset-kind-{kind})"
    return f"[{title(model).lower()}](#{title(model).lower()})"


def _annotated(arguments: tuple[Any, ...]) -> str:
    limits = list_bounds(_flatten(arguments[1:]))
    return type_name(arguments[0]) + (f" {limits}" if limits else "")


def _container(origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is dict:
        return f"mapping from {type_name(arguments[0])} to {type_name(arguments[1])}"
    if origin is tuple and Ellipsis not in arguments:
        same = len(arguments) == 2 and arguments[0] == arguments[1]
        return f"range of {_plural(type_name(arguments[0]))}" if same else ", ".join(map(type_name, arguments))
    return f"list of {_plural(type_name(arguments[0]))}"


def _plural(name: str) -> str:
    """Return the plural of a type's name, as in `numbers > 0`."""
    noun, space, bounds = name.partition(" ")
    return (noun if noun == "text" else noun + "s") + space + bounds if noun in _TYPES.values() else name


def _flatten(metadata: Iterable[Any]) -> Iterator[Any]:
    for item in metadata:
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def list_bounds(metadata: Iterable[Any]) -> str:
    """Return the bounds among the metadata of a field, such as `≥ 0, ≤ 1`."""
    items = list(metadata)
    found = [
        f"{sign} {format_value(getattr(item, attribute))}"
        for item in items
        for kind, (sign, attribute) in _BOUNDS.items()
        if isinstance(item, kind)
    ]
    return ", ".join([*found, *(form for item in items if (form := describe_pattern(getattr(item, "pattern", None))))])


def field_bounds(field: FieldInfo) -> str:
    """Return the bounds of a field: those of its metadata, and those that the field states for its validator."""
    stated = field.json_schema_extra.get("bounds") if isinstance(field.json_schema_extra, dict) else None
    return ", ".join(filter(None, [list_bounds(field.metadata), str(stated or "")]))


def format_value(value: Any) -> str:
    """Format a default as YAML writes it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True, exclude_defaults=True)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {format_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(format_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def own_default(field: FieldInfo) -> str:
    """Return the default that a field declares; empty if it is required or None."""
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is None or value is PydanticUndefined else f"`{format_value(value)}`"


def walk_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted name and the field of every field, entering sections."""
    for name, field in model.model_fields.items():
        dotted = prefix + (field.alias or name)
        section = sub_model(field.annotation)
        # With a validator of its own a section can be written in a shorter form, so that it stays one field.
        if section is None or any(isinstance(item, BeforeValidator) for item in field.metadata):
            yield dotted, field
        else:
            yield from walk_fields(section, dotted + ".")


def _look_up(config: BaseModel, dotted: str) -> Any:
    value: Any = config
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def config_defaults(config: type[BaseModel]) -> dict[str, str]:
    """Return the default of every field of a Config, as text, by dotted name.

    A default that depends on another field, such as the grid's on `representation`, is given for each of its values.
    """
    names = [name for name, _ in walk_fields(config)]
    plain = {name: f"`{format_value(_look_up(config(), name))}`" for name in names}
    for switch, field in walk_fields(config):
        if get_origin(field.annotation) is Literal and "." not in switch:
            plain |= _defaults_by(config, switch, get_args(field.annotation), names)
    return plain


def _defaults_by(config: type[BaseModel], switch: str, values: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return the defaults that differ between the values of one field."""
    try:
        variants = {value: config.model_validate({switch: value}) for value in values}
    except ValidationError:
        return {}
    found: dict[str, str] = {}
    for name in names:
        defaults = {value: format_value(_look_up(variant, name)) for value, variant in variants.items()}
        if name != switch and len(set(defaults.values())) > 1:
            found[name] = ", ".join(f"`{default}` ({value})" for value, default in defaults.items())
    return found


def table(model: type[BaseModel], defaults: Mapping[str, str] | None = None) -> list[str]:
    """Return the table of a model's fields, as lines of Markdown."""
    lines = [*_HEADER]
    for name, field in walk_fields(model):
        default = own_default(field) if defaults is None else defaults[name]
        cells = (
            f"`{name}`",
            type_name(field.annotation),
            default,
            field_bounds(field),
            _description(name, field),
        )
        lines.append(_row(cells))
    return lines


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def key_table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the table of keys that no model describes."""
    return [*_HEADER, *(_row((f"`{name}`", *cells)) for name, *cells in rows)]


def _description(name: str, field: FieldInfo) -> str:
    return "Name of the kind" if name == "kind" else _sentence(field.description or "")


def _sentence(text: str) -> str:
    """Begin a description with a capital letter, unless it begins with a symbol, a unit or code."""
    word = text.partition(" ")[0].rstrip(",;")
    is_word = word == "a" or (len(word) > 1 and word.isascii() and word.isalpha())
    return text[:1].upper() + text[1:] if is_word else text


def summary(model: type[BaseModel]) -> str:
    """Return the first sentence of a model's docstring."""
    return (model.__doc__ or "").strip().partition("\n")[0]


def trainable_section(name: str) -> list[str]:
    """Return the section of one built-in trainable: its fields, metrics and inference parameters."""
    description = describe_trainable(name, str(PAGE))
    lines = [f"## Trainable `{name}`", "", summary(description.config), ""]
    lines += table(description.config, config_defaults(description.config))
    lines += ["", f"### Metrics of `{name}`", "", "| metric | direction | meaning |", "|---|---|---|"]
    lines += [
        f"| `{m.name}` | {m.direction} | {_sentence(m.meaning).replace('|', chr(92) + '|')} |"
        for m in description.metrics
    ]
    if description.inner:
        lines += [
            "",
            f"### Inference parameters of `{name}`",
            "",
            "| parameter | from | to | meaning |",
            "|---|---|---|---|",
        ]
        lines += [f"| `{p.name}` | {p.low:g} | {p.high:g} | {_sentence(p.meaning)} |" for p in description.inner]
    return [*lines, ""]


def value_models(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    """Return the models that are values of fields, in order of appearance and each once."""
    found: dict[type[BaseModel], None] = {}
    for model in models:
        for _, field in walk_fields(model):
            for mentioned in mentioned_models(field.annotation):
                if mentioned not in (*_SPECS.values(), DatasetSpec, *found):
                    found |= dict.fromkeys((mentioned, *value_models([mentioned])))
    return list(found)


def build_page() -> str:
    """Return the whole page."""
    lines = [INTRODUCTION, "## Space file", "", "The keys of a space file; `dataset` is one of the kinds below.", ""]
    lines += [*table(SpaceFile), *key_table(_SPACE_KEYS)[2:], ""]
    lines += ["## Dimensions", "", "The keys of an entry of `search`; one kind of range, or `choice`, is required.", ""]
    lines += [
        *key_table(DIMENSION_KEYS),
        "",
        "## Sweeps",
        "",
        "The keys of an entry of `inner`, of which one is required.",
    ]
    lines += [f"All entries together have at most {MAX_COMBINATIONS:,} combinations.", "", *key_table(SWEEP_KEYS), ""]
    for kind, spec in _SPECS.items():
        lines += [f"## Dataset kind `{kind}`", "", summary(spec), "", *table(spec), ""]
    for model in value_models([SpaceFile, *_SPECS.values()]):
        lines += [f"## {title(model)}", "", summary(model), "", *table(model), ""]
    for name in BUILT_IN:
        lines += trainable_section(name)
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with `--check`."""
    page = build_page()
    if "--check" in arguments:
        return int(PAGE.read_text(encoding="utf-8") != page)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
