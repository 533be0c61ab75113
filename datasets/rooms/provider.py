"""Providers of the datasets for the 2D localizer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from datasets.building.parts import SPLIT
from datasets.building.plan import missing_parts, part_bytes
from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.rooms.plan import MeasuredPlan, RoomPlan, SamplePlan
from datasets.rooms.spec import LocalizerSpec, MeasuredSpec, RoomSpec
from runtime.console import format_bytes
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder


class ArrayProvider(DatasetProvider):
    """Provider of 160 ms mixtures at microphone arrays."""

    @property
    @abstractmethod
    def microphones_m(self) -> NDArray[np.float64]:
        """Positions of the microphones in metres, shape (arrays, microphones, 2), or 3 with heights above sources."""


@dataclass(frozen=True)
class SampleProvider(ArrayProvider):
    """Provider of a dataset for the 2D localizer, which is built part by part."""

    plan: SamplePlan

    @property
    def microphones_m(self) -> NDArray[np.float64]:
        """Positions of the microphones in metres; see `ArrayProvider`."""
        return self.plan.microphones_m

    @property
    def spec(self) -> LocalizerSpec:
        """Description of the dataset."""
        return self.plan.spec

    @property
    def fingerprint(self) -> str:
        """Identity of the dataset."""
        return self.plan.fingerprint

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""
        return tuple(
            SplitEntry(part.split, part.folder.removeprefix(f"{part.split}-"), part.samples, part.folder)
            for part in self.plan.list_parts()
            if part.kind == SPLIT and part.split is not None
        )

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text per part: its folder, its size, and whether it is built."""
        sizes = part_bytes(self.plan)
        missing = {part.folder for part in missing_parts(self.plan, store)}
        return [
            f"{part.folder:<28} {part.samples:>9,} {part.unit:<9}{format_bytes(sizes[part.folder]):>9}"
            + ("" if part.folder in missing else "  (there)")
            for part in self.plan.list_parts()
        ]

    def describe_notes(self) -> list[str]:
        """Return what was found in the folder of the sound files, line by line."""
        return self.plan.describe_notes()

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return the approximate size of each part to be built, in bytes by folder."""
        sizes = part_bytes(self.plan)
        return {part.folder: sizes[part.folder] for part in missing_parts(self.plan, store)}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Build the missing parts; return the names of the damaged shards, which have been rebuilt."""
        return builder.build(self.plan, verify=verify)

    def open_dataset(self, store: Storage, cache: Path) -> Any:
        """Open the finished dataset as a `datasets.rooms.dataset.Dataset`.

        Raises:
            InputError: If the dataset is incomplete.
        """
        from datasets.rooms import dataset  # loads torch

        return dataset.open_dataset(self.plan, store, cache)

    def estimate_seconds(self, workers: int) -> float:
        """Estimate the duration of a complete build, in seconds, by building a miniature in this process."""
        from datasets.building import builder

        return builder.estimate_seconds(self.plan, self.plan.make_miniature(), workers)

    def with_spec(self, spec: Any) -> Self:
        """Return a provider of the same sound files for another description."""
        return replace(self, plan=self.plan.with_spec(spec))


class RoomProvider(SampleProvider):
    """Provider of a dataset of simulated rooms."""

    @classmethod
    def from_spec(cls, spec: RoomSpec, location: str, only: tuple[str, ...] | None = None) -> RoomProvider:
        """Check and hash the sound files of a description; see `RoomPlan.from_spec`."""
        return cls(RoomPlan.from_spec(spec, location, only))


class MeasuredProvider(SampleProvider):
    """Provider of a dataset of measured impulse responses."""

    @classmethod
    def from_spec(cls, spec: MeasuredSpec, location: str, only: tuple[str, ...] | None = None) -> MeasuredProvider:
        """Check and hash the sound files of a description; see `MeasuredPlan.from_spec`."""
        return cls(MeasuredPlan.from_spec(spec, location, only))
