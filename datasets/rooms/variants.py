"""Variants of a dataset, with changed fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from datasets.rooms.spec import LocalizerSpec

Varied = TypeVar("Varied", bound=LocalizerSpec)


def write_out_splits(spec: LocalizerSpec) -> dict[str, Any]:
    """Return a description as plain values, with absent fields of the training split taken from the dataset."""
    described = spec.model_dump(mode="json", by_alias=True)
    left_out = {
        name: field for name, field in type(spec).model_fields.items() if (field.alias or name) not in described
    }
    described |= {name: getattr(spec, name) for name in left_out}
    return described | {"train": spec.resolve_splits()["train"].model_dump(mode="json")}


def with_changes(spec: Varied, values: Mapping[str, Any]) -> Varied:
    """Return a description with changed fields.

    Args:
        spec: Description of the dataset.
        values: New values by dotted name, e.g. `train.snr_db`.

    Raises:
        ValidationError: If a value is out of its bounds.
    """
    described = write_out_splits(spec)
    for name, value in values.items():
        *parents, last = name.split(".")
        group = described
        for parent in parents:
            group[parent] = group.get(parent) or {}
            group = group[parent]
        group[last] = value
    return type(spec).model_validate(described)
