"""The reference lists every field with type, default and bounds; the bounds are compared with those of the JSON schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from datasets.config_file import SYNONYMS
from datasets.registry import KINDS
from docs import generate_reference
from runtime.inputs.validation import describe_pattern
from spaces.dimensions import _KEYS
from spaces.schema import SpaceFile
from trainables.registry import BUILT_IN, describe_trainable

MODELS: dict[str, type[BaseModel]] = {
    "Space file": SpaceFile,
    **{f"Dataset kind `{name}`": kind.spec for name, kind in KINDS.items()},
    **{f"Trainable `{name}`": describe_trainable(name, "tests").config for name in BUILT_IN},
}
MODELS |= {
    generate_reference.title(model): model
    for model in generate_reference.value_models([SpaceFile, *(kind.spec for kind in KINDS.values())])
}
_NUMBERS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_LENGTHS: Final = ("minLength", "maxLength", "minItems", "maxItems")


def section(title: str) -> list[str]:
    page = generate_reference.build_page()
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0].splitlines()


def list_constraints(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the constraints of a JSON schema, without those of other models, which have their own sections."""
    for name, value in schema.items() if isinstance(schema, dict) else ():
        if name in (*_NUMBERS, *_LENGTHS, "pattern"):
            yield name, value
        elif name == "enum":
            yield from (("enum", word) for word in value)
        elif name not in ("$defs", "default", "title", "description", "bounds", "const"):
            yield from list_constraints(value)
    for inside in schema if isinstance(schema, list) else ():
        yield from list_constraints(inside)


def missing_constraints(row: str, field: FieldInfo) -> list[tuple[str, Any]]:
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    found = list(list_constraints(TypeAdapter(annotation).json_schema()))
    is_split = "](#split)" in row  # its bounds are in its own section
    return [
        (name, value)
        for name, value in found
        if not is_split
        and not (name in _LENGTHS and "range of" in row)  # a range has two entries
        and not any(
            form in row for form in (describe_pattern(value) or f"{value}", generate_reference.format_value(value))
        )
    ]


@pytest.mark.parametrize("title", MODELS)
def test_every_field_is_listed_with_its_bounds(title: str) -> None:
    rows = {line.split("`")[1]: line for line in section(title) if line.startswith("| `")}
    fields = dict(generate_reference.walk_fields(MODELS[title]))
    assert set(fields) <= set(rows)
    assert {name: missing for name in fields if (missing := missing_constraints(rows[name], fields[name]))} == {}


def test_keys_without_a_model_are_listed() -> None:
    space = "\n".join(section("Space file"))
    assert all(f"| `{key}` |" in space for key in ("profiles", *SYNONYMS))
    assert {row[0] for row in generate_reference.DIMENSION_KEYS} == set(_KEYS)
    assert all(f"| `{key}` |" in "\n".join(section("Dimensions")) for key in _KEYS)
    assert all(f"| `{key}` |" in "\n".join(section("Sweeps")) for key in ("choice", "range"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_inference_parameters_are_listed_with_their_bounds(name: str) -> None:
    page = generate_reference.build_page()
    rows = page.partition(f"### Inference parameters of `{name}`")[2].partition("\n## ")[0]
    for parameter in describe_trainable(name, "tests").inner:
        assert f"| `{parameter.name}` | {parameter.low:g} | {parameter.high:g} |" in rows


def test_rules_of_validators_are_stated() -> None:
    page = generate_reference.build_page()
    for name, bounds in (("resources.gpu", "≥ 0, ≤ 1, or an integer from 2 to 16"), ("absorption", "> 0, ≤ 1")):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"| {bounds} |" in row
