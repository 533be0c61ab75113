"""Plans of datasets: their parts, how a part is built, and which parts are missing in a store. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from datasets.building.manifest import Manifest, ShardEntry
from datasets.building.parts import SPLIT, DatasetPart, Shard, checksum_path
from datasets.building.reader import PartReader
from runtime.storage import Storage

WriteShard = Callable[[Shard], ShardEntry]
"""Builds and writes one shard."""

WriterFactory = Callable[[], WriteShard]
"""Prepares a process for the writing of shards; has to be picklable, since the processes may be on other machines."""


@runtime_checkable
class Synthesizer(Protocol):
    """Source of the rows of one part."""

    def make_columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Return the columns of a shard, one row per sample."""
        ...


@dataclass(frozen=True)
class ShardState:
    """Result of the verification of a shard.

    Attributes:
        state: `intact`, `missing`, or `damaged` if a file is present whose content is not the expected one.
        entry: Entry of an intact shard for the manifest.
    """

    state: Literal["intact", "missing", "damaged"]
    entry: ShardEntry | None = None


class DatasetPlan(ABC):
    """Dataset that can be built; its sound files have been checked.

    Attributes:
        sound_files: SHA-256 of each sound file by relative path; None if the sound is synthesised.
    """

    sound_files: dict[str, str] | None

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identity of the dataset."""

    @abstractmethod
    def list_parts(self) -> tuple[DatasetPart, ...]:
        """Return all parts, each after the parts that it is made from."""

    @abstractmethod
    def writer_factory(self, store: Storage, cache: Path) -> WriterFactory:
        """Return a picklable function that prepares a process for the writing of shards.

        Args:
            store: Location of the dataset.
            cache: Local folder for copies of shards from a remote store.
        """

    def dependencies(self, part: DatasetPart) -> tuple[DatasetPart, ...]:
        """Return the parts that a part is made from."""
        return tuple(other for other in self.list_parts() if other.folder in part.made_from)

    def is_complete(self, part: DatasetPart, store: Storage) -> bool:
        """Return whether a part is finished and all its shards have their sizes; reads no content."""
        manifest = Manifest.read(store, part.folder)
        return manifest is not None and not manifest.list_incomplete(store)

    def verify_shard(self, store: Storage, shard: Shard, listed: ShardEntry | None, *, verify: bool) -> ShardState:
        """Compare a shard with the checksum in the manifest or, without one, with the checksum file.

        Args:
            store: Location of the dataset.
            shard: Shard to be verified.
            listed: Entry of the manifest, if it has one.
            verify: Whether all content has to be read; a plan may trust the manifest otherwise.
        """
        del verify  # a part that is verified at all is read completely
        size = store.file_size(shard.name)
        written = store.read_file(checksum_path(shard))
        expected = listed.sha256 if listed else (None if written is None else written.split()[0].decode())
        if size is None or expected is None:
            return ShardState("missing" if listed is None else "damaged")
        if store.compute_checksum(shard.name) != expected:
            return ShardState("damaged")
        return ShardState("intact", ShardEntry(shard.name, shard.samples, size, expected))


class TablePlan(DatasetPlan):
    """Dataset whose shards are Arrow tables."""

    @abstractmethod
    def make_synthesizer(self, part: DatasetPart, reader: PartReader) -> Synthesizer:
        """Return the source of a part's rows; called once per part in each process.

        Args:
            part: Part to be built.
            reader: Access to the parts that it is made from.
        """

    def writer_factory(self, store: Storage, cache: Path) -> WriterFactory:
        """Return a factory of Arrow writers, which keep the synthesizer of the last part."""
        from datasets.building.worker import TableWriter  # loads pyarrow

        return TableWriter(self, store, cache)


def missing_parts(plan: DatasetPlan, store: Storage) -> tuple[DatasetPart, ...]:
    """Return the parts to be built: incomplete splits, and incomplete parts that these are made from; reads no content."""
    splits = [part for part in plan.list_parts() if part.kind == SPLIT and not plan.is_complete(part, store)]
    needed = {
        other.folder for part in splits for other in plan.dependencies(part) if not plan.is_complete(other, store)
    }
    return tuple(part for part in plan.list_parts() if part in splits or part.folder in needed)


def part_bytes(plan: DatasetPlan) -> dict[str, int]:
    """Return the approximate size of every part on disk by folder, in bytes."""
    return {part.folder: part.samples * part.row_bytes for part in plan.list_parts()}
