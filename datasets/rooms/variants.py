"""Variants of a dataset: some of its fields changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from datasets.rooms.spec import LocalizerSpec

Varied = TypeVar("Varied", bound=LocalizerSpec)


def write_out_splits(spec: LocalizerSpec) -> dict[str, Any]:
    """A dataset as plain values, with all that its training split leaves to the whole filled in."""
    described = spec.model_dump(mode="json", by_alias=True)
    return described | {"train": spec.resolve_splits()["train"].model_dump(mode="json")}


def with_changes(spec: Varied, values: Mapping[str, Any]) -> Varied:
    """A dataset with some fields changed.

    Args:
        spec: The dataset.
        values: By dotted name, e.g. `train.snr_db`.

    Raises:
        ValidationError: If a value is out of bounds.
    """
    described = write_out_splits(spec)
    for name, value in values.items():
        *parents, last = name.split(".")
        place = described
        for parent in parents:
            place[parent] = place.get(parent) or {}
            place = place[parent]
        place[last] = value
    return type(spec).model_validate(described)
