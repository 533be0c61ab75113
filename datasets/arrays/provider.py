"""Provider of arrays in files: read in place, or copied to a bucket from which all machines read."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from datasets.arrays.files import read_arrays
from datasets.arrays.spec import ArraysSpec
from datasets.arrays.splits import ArrayData, SplitSource, split_sources
from datasets.arrays.survey import SplitSummary, check_same_columns, describe_problems, summarize_split
from datasets.building.provider import DatasetProvider, SplitEntry
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.hashing import hash_values
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder


@dataclass(frozen=True)
class SplitFiles:
    """A split of arrays.

    Attributes:
        source: Rows in the files of the user.
        rows: Number of rows.
        digest: SHA-256 of the content.
        sizes: Size of each array in bytes, by name.
    """

    source: SplitSource
    rows: int
    digest: str
    sizes: Mapping[str, int]

    @property
    def folder(self) -> str:
        """Folder of the copy in a bucket, named after the content."""
        return f"arrays-{self.digest[:16]}"

    def stored_names(self) -> list[str]:
        """Return the names of the files of the copy, one per array."""
        return [f"{self.folder}/{name}.npy" for name in self.sizes]


@dataclass(frozen=True)
class ArraysProvider(DatasetProvider):
    """Provider of arrays in files.

    Attributes:
        spec: Description of the dataset.
        splits: Splits by name, training first.
        notes: Lines of text about the content.
    """

    unit: ClassVar[str] = "rows"
    ready: ClassVar[str] = "read in place"

    spec: ArraysSpec
    splits: Mapping[str, SplitFiles]
    notes: tuple[str, ...]

    @classmethod
    def from_spec(cls, spec: ArraysSpec, location: str) -> ArraysProvider:
        """Read all arrays once, and check them.

        Args:
            spec: Description of the dataset.
            location: Key that names a file, for errors.

        Raises:
            InputError: If a file is missing or invalid, or the splits differ in their arrays.
        """
        place = location.rpartition(".")[0] or "dataset"
        sources = split_sources(spec)
        _check_paths(spec, sources, place)
        read = functools.cache(read_arrays)
        summaries, sizes = {}, {}
        for name, source in sources.items():
            arrays = source.read(read)
            summaries[name] = summarize_split(arrays)
            sizes[name] = {array: values.nbytes for array, values in arrays.items()}
        check_same_columns(summaries, {name: str(source.path) for name, source in sources.items()})
        splits = {
            name: SplitFiles(sources[name], summary.rows, summary.digest, sizes[name])
            for name, summary in summaries.items()
        }
        return cls(spec, splits, tuple(_describe(summaries, spec)))

    @property
    def fingerprint(self) -> str:
        """Identity of the values of all splits, wherever their files are."""
        return hash_values({name: split.digest for name, split in self.splits.items()})

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""
        return tuple(SplitEntry(name, split.digest, split.rows, split.folder) for name, split in self.splits.items())

    def describe_notes(self) -> list[str]:
        """Return names, types and shapes, values that are not finite, and rows that occur in several splits."""
        return list(self.notes)

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text per split."""
        state = "read in place" if store.is_local else "copied to the bucket"
        return [
            f"{name:<28} {split.rows:>9,} rows {format_bytes(sum(split.sizes.values()))} {state}"
            for name, split in self.splits.items()
        ]

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return the size of the splits to be copied to a bucket; nothing is copied to a folder."""
        if store.is_local:
            return {}
        return {
            split.folder: sum(split.sizes.values())
            for split in self.splits.values()
            if any(store.file_size(name) is None for name in split.stored_names())
        }

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Copy the arrays to a bucket; see `DatasetProvider.build`."""
        del verify  # the content names the files
        missing = self.missing_bytes(builder.store)
        for split in self.splits.values():
            if split.folder in missing:
                for name, array in split.source.read().items():
                    buffer = io.BytesIO()
                    np.save(buffer, array, allow_pickle=False)
                    builder.store.write_file(f"{split.folder}/{name}.npy", buffer.getvalue())
        return ()

    def open_dataset(self, store: Storage, cache: Path) -> ArrayData:
        """Open the arrays: the files themselves, or copies of those in a bucket."""
        sources = {
            name: split.source if store.is_local else _copy_split(split, store, cache)
            for name, split in self.splits.items()
        }
        return ArrayData(sources, {name: split.rows for name, split in self.splits.items()})


def _copy_split(split: SplitFiles, store: Storage, cache: Path) -> SplitSource:
    """Copy the arrays of a split to this machine, unless they are there."""
    for name in split.stored_names():
        store.copy_to(name, cache / name)
    return SplitSource((cache / split.folder).absolute())


def _check_paths(spec: ArraysSpec, sources: Mapping[str, SplitSource], place: str) -> None:
    """Check that all files exist, with the key that names each, and that no two splits share rows."""
    for name, source in sources.items():
        if not source.path.exists():
            raise InputError(
                f"{place}.{_key_of(spec, name)}",
                "the file must exist",
                value=str(spec.file if spec.file is not None else spec.rows_of(name)),
                remedy="correct the path, which begins at the folder in which the command is started",
            )
    for first, second in itertools.combinations(sources, 2):
        if sources[first].shares_rows(sources[second]):
            raise InputError(
                f"{place}.{second if second == 'validate' else f'tests.{second}'}",
                "no two splits have the same rows",
                value=f"those of {first}",
                remedy="name other rows, or write  validate: 0.1  for a share of the training rows",
            )


def _key_of(spec: ArraysSpec, name: str) -> str:
    if spec.file is not None:
        return "file"
    return f"tests.{name}" if name in spec.test_names() else name


def _describe(summaries: Mapping[str, SplitSummary], spec: ArraysSpec) -> list[str]:
    lines = [f"arrays {summaries['train'].describe_columns()}", *describe_problems(summaries)]
    if spec.share is not None:
        lines.insert(1, f"validate is {spec.share:g} of the training rows, divided with seed {spec.seed}")
    return lines
