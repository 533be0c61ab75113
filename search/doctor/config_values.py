"""Small datasets and other values of Config fields, for the checks of a trainable."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from datasets.arrays.spec import ArraysSpec
from datasets.building.spec import DatasetSpec
from datasets.custom import CustomData
from spaces.schema import flatten_names, nest_names

_LARGEST: Final = {"train": 256, "validate": 64, "tests": 32}
"""Samples of the splits of a small dataset."""
_LIMITS: Final = {"excerpts": 8, "excerpt_s": 2, "rooms": 3, "positions": 20}
"""Largest values of other fields of a dataset."""
_RECORDINGS: Final = 1
"""Recordings per fold of a small dataset."""
_TRIED: Final = 2
"""Number of values to try per field."""


def shrink_dataset(spec: DatasetSpec) -> DatasetSpec:
    """Return a small variant of a dataset that is generated; others are returned as they are."""
    if isinstance(spec, ArraysSpec | CustomData):  # whose keys of these names mean something else
        return spec
    written = spec.model_dump(mode="json", by_alias=True)
    try:
        return type(spec).model_validate(_shrink(written))
    except ValidationError:  # a field depends on the size
        return spec


def _shrink(written: Mapping[str, Any], samples: int | None = None) -> dict[str, Any]:
    result = dict(written)
    for key, value in written.items():
        if key in _LARGEST and isinstance(value, Mapping):
            splits = {"": value} if "samples" in value else value
            small = {
                name: _shrink(split, _LARGEST[key]) for name, split in splits.items() if isinstance(split, Mapping)
            }
            result[key] = small.get("", small)
        elif key == "folds" and isinstance(value, Mapping):
            result[key] = {
                fold: min(count, _RECORDINGS) if isinstance(count, int) else count for fold, count in value.items()
            }
        elif key == "samples" and samples is not None:
            result[key] = min(value, samples)
        elif key in _LIMITS and isinstance(value, int | float):
            result[key] = min(value, _LIMITS[key])
        elif isinstance(value, Mapping):
            result[key] = _shrink(value)
    return result


def other_values(config: BaseModel, name: str, candidates: Sequence[Any] = ()) -> list[Any]:
    """Return a few other valid values of a Config field.

    Args:
        config: Config with the present value.
        name: Dotted name of the field.
        candidates: Values to prefer, such as the boundaries of a dimension.
    """
    present = flatten_names(config.model_dump()).get(name)
    found: list[Any] = []
    for value in (*candidates, *_guess_values(present, _annotation(type(config), name))):
        if value != present and value not in found and _is_valid(config, name, value):
            found.append(value)
    return found[:_TRIED]


def _annotation(config: type[BaseModel], name: str) -> Any:
    first, _, rest = name.partition(".")
    annotation: Any = config.model_fields[first].annotation
    return _annotation(annotation, rest) if rest else annotation


def _guess_values(present: Any, annotation: Any) -> Iterator[Any]:
    for member in (annotation, *get_args(annotation)):
        if get_origin(member) is Literal:
            yield from get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            yield from (choice.value for choice in member)
    if isinstance(present, bool):
        yield not present
    elif isinstance(present, int | float):
        step = 1 if isinstance(present, int) else 0.1
        yield from (
            present * 2,
            present + step,
            present // 2 if isinstance(present, int) else present / 2,
            present - step,
        )
    elif present is None:
        yield from (1, 0.5)


def _is_valid(config: BaseModel, name: str, value: Any) -> bool:
    values = flatten_names(config.model_dump(mode="json")) | {name: value}
    try:
        type(config).model_validate(nest_names(values))
    except ValidationError:
        return False
    return True
