"""A dataset that is built in a second, and its files by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets.registry import prepare_dataset
from datasets.rooms.dataset import Dataset, build_dataset
from datasets.rooms.plan import SamplePart, SamplePlan
from datasets.rooms.provider import SampleProvider
from datasets.rooms.spec import LocalizerSpec, RoomSpec

SHARD = 16
"""Samples in a shard, where a test asks for small ones."""
ECHO: dict[str, Any] = {"rt60_s": 0.25, "max_order": 3, "rooms": 2, "positions": 8}
"""Rooms that echo, a little."""


def plan_samples(spec: LocalizerSpec, location: str = "tests") -> SamplePlan:
    """Return the plan of a dataset for the 2D localizer."""
    provider = prepare_dataset(spec, location)
    assert isinstance(provider, SampleProvider)
    return provider.plan


def source(**changes: Any) -> SamplePlan:
    values = {
        "train": 40,
        "validate": 16,
        "tests": {"S0": 5, "S1": 3, "S2": 4},
        "excerpts": 8,
        "excerpt_s": 1,
    } | changes
    return plan_samples(RoomSpec.model_validate(values))


def made(root: Path, **changes: Any) -> Dataset:
    return build_dataset(source(**changes), root, lambda *_: None)


def root_of(built: Dataset) -> Path:
    return Path(built.store.uri)


def content(folder: Path) -> dict[str, bytes]:
    """Every file by its path in the folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folders(folder: Path) -> dict[str, dict[str, bytes]]:
    """The files of every part."""
    return {path.name: content(path) for path in folder.iterdir()}


def part_of(name: str, made_from: SamplePlan | None = None) -> SamplePart:
    """A split by its name, music or the first impulse responses by their kind."""
    return next(part for part in (made_from or source()).list_parts() if name in (part.split, part.kind))


def shard_of(root: Path, name: str, number: int = 0, made_from: SamplePlan | None = None) -> Path:
    return root / part_of(name, made_from).list_shards()[number].name


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    path.write_bytes(spoilt)
