"""Every kind of data that can be trained on, by its spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from datasets.building import parts as blueprint
from datasets.building.manifest import missing_parts
from datasets.building.parts import DatasetPlan
from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.matrices import MatricesProvider, MatricesSpec
from datasets.rooms.spec import Frozen, LocalizerSpec
from datasets.scenes.provider import SceneProvider
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.provider import FolderProvider, FolderSpec
from runtime.cli import format_bytes
from runtime.storage import Store

if TYPE_CHECKING:
    from datasets.building.builder import Builder

_UNIT: Final = {"music": "excerpts", "responses": "places", "split": "samples"}


def prepare_dataset(spec: Frozen, place: str) -> DatasetProvider:
    """Check and hash the sound files of a spec of any kind.

    Args:
        spec: What is wanted.
        place: Where its sound was named, for errors.

    Raises:
        InputError: If sound files are missing or unreadable, or a room cannot be.
        TypeError: If it is no spec of data.
    """
    if isinstance(spec, LocalizerSpec):
        return SampleProvider(blueprint.plan_dataset(spec, place))
    if isinstance(spec, SceneSpec):
        return SceneProvider.from_spec(spec, place)
    if isinstance(spec, FolderSpec):
        return FolderProvider.from_spec(spec, place)
    if isinstance(spec, MatricesSpec):
        return MatricesProvider(spec)
    raise TypeError(f"{type(spec).__name__} describes no data")


@dataclass(frozen=True)
class SampleProvider(DatasetProvider):
    """Data for the 2D localizer, in parts."""

    source: DatasetPlan

    @property
    def spec(self) -> LocalizerSpec:
        """What it is."""
        return self.source.spec

    @property
    def fingerprint(self) -> str:
        """See the base class."""
        return self.source.fingerprint

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """See the base class."""
        return tuple(
            SplitEntry(part.split, part.folder.removeprefix(f"{part.split}-"), part.samples, part.folder)
            for part in self.source.list_parts()
            if part.split is not None
        )

    def describe_parts(self, store: Store) -> list[str]:
        """See the base class."""
        sizes = blueprint.part_bytes(self.source)
        lacking = {part.folder for part in missing_parts(self.source, store)}
        return [
            f"{part.folder:<28} {part.samples:>9,} {_UNIT[part.kind]:<9}{format_bytes(sizes[part.folder]):>9}"
            + ("" if part.folder in lacking else "  (there)")
            for part in self.source.list_parts()
        ]

    def missing_bytes(self, store: Store) -> dict[str, int]:
        """See the base class."""
        sizes = blueprint.part_bytes(self.source)
        return {part.folder: sizes[part.folder] for part in missing_parts(self.source, store)}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """See the base class."""
        return builder.build(self.source, verify=verify)

    def open_dataset(self, store: Store, cache: Path) -> Any:
        """See the base class."""
        from datasets.building import builder as build  # brings torch

        return build.open_dataset(self.source, store, cache)

    def estimate_seconds(self, workers: int) -> float:
        """See the base class; from a miniature of it, made right now."""
        from datasets.building import builder as build

        return build.estimate_seconds(self.source, workers)

    def with_spec(self, spec: Any) -> DatasetProvider:
        """See the base class."""
        return SampleProvider(self.source.with_spec(spec))
