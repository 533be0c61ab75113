"""Datasets of your own, named by their import path: `dataset: {kind: my_package.my_module:MyData, …}`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.building.spec import DatasetSpec
from runtime.errors import InputError
from runtime.hashing import hash_file, hash_values
from runtime.storage import Storage
from runtime.uris import expand_home

__all__ = ["CustomData", "CustomProvider"]


class CustomData(DatasetSpec):
    """Base of a dataset of your own.

    The fields of a subclass are the keys under `dataset:`; they are declared as those of any pydantic model. The trainable
    gets the instance as `data`, and calls `data.split("train")`, `data.split("validate")` and `data.split(…)` for the test
    splits. Instances are frozen, and are pickled to the processes of the trials.

    Attributes:
        kind: Import path of the class, `package.module:Class`.
    """

    def files(self) -> Iterable[str | Path]:
        """Return the files and folders that the splits depend on; their content is part of the fingerprint."""
        return ()

    def split(self, name: str) -> Any:
        """Return the data of a split in the form that the trainable expects; called in the processes of the trials.

        Args:
            name: `train`, `validate`, or the name of a test split.
        """
        raise NotImplementedError(f"{type(self).__name__} must define split(name)")

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits; `test` alone by default."""
        return ("test",)

    def count_samples(self, name: str) -> int:
        """Return the number of samples of a split, for the plan and the records; 0 if it is unknown."""
        del name
        return 0

    def check(self) -> None:
        """Check the data before a search starts; the default accepts everything.

        Raises:
            InputError: If the data is unsuitable. A ValueError is reported in the same way.
        """

    def make_provider(self, location: str) -> DatasetProvider:
        """Return the provider; a subclass whose data has to be built returns its own.

        Args:
            location: Key of the space, for errors.

        Raises:
            InputError: If the data is missing or unsuitable.
        """
        return CustomProvider.from_spec(self, location)


@dataclass(frozen=True)
class CustomProvider(DatasetProvider):
    """Provider of a dataset whose class is outside the project; nothing is built.

    Attributes:
        spec: Description of the dataset.
        digest: Value of `fingerprint`.
        splits: Names and sizes of the splits.
        file_count: Number of files that are part of the fingerprint.
    """

    ready: ClassVar[str] = "there"

    spec: CustomData
    digest: str
    splits: tuple[tuple[str, int], ...]
    file_count: int

    @classmethod
    def from_spec(cls, spec: CustomData, location: str) -> Self:
        """Check the data, and hash its files.

        Args:
            spec: Description of the dataset.
            location: Key of the space, for errors.

        Raises:
            InputError: If a file is missing or unreadable, or the class refuses the data.
        """
        name = type(spec).__name__
        try:
            spec.check()
            paths = spec.files()
            entries = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
            hashes = _hash_files(entries, name)
            splits = tuple((split, int(spec.count_samples(split))) for split in _split_names(spec))
        except (InputError, MemoryError):
            raise
        except Exception as error:
            raise InputError(
                location,
                f"{name} must accept the values of its keys",
                value=f"{type(error).__name__}: {error}",
                remedy=f"correct the keys under dataset, or the class {name}",
            ) from error
        values = _without_paths(spec.model_dump(mode="json", by_alias=True), entries)
        return cls(spec, hash_values({"spec": values, "files": hashes}), splits, len(hashes))

    @property
    def fingerprint(self) -> str:
        """Identity of the keys and of the content of the files."""
        return self.digest

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""
        return tuple(SplitEntry(name, f"{self.digest}-{name}", samples, "") for name, samples in self.splits)

    def describe_notes(self) -> list[str]:
        """Return the class, and the number of its files."""
        files = f"{self.file_count:,} files are part of the fingerprint" if self.file_count else "no files are recorded"
        return [f"{self.spec.kind}: {files}"]

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text."""
        del store
        return [f"{self.spec.kind}: nothing to build"]

    def open_dataset(self, store: Storage, cache: Path) -> CustomData:
        """Return the description, whose `split` reads the data."""
        del store, cache
        return self.spec


def _split_names(spec: CustomData) -> tuple[str, ...]:
    return ("train", "validate", *spec.test_names())


def _hash_files(entries: Sequence[str], name: str) -> dict[str, str]:
    """Return the SHA-256 of all files by the number of their entry and their path below it.

    Folders are read with their sub-folders, without hidden files.

    Args:
        entries: Files and folders.
        name: Name of the class, for errors.

    Raises:
        InputError: If a file is missing or unreadable.
    """
    hashes: dict[str, str] = {}
    for number, root in enumerate(map(expand_home, entries)):
        inside = [file for file in sorted(root.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        try:
            for file in inside if root.is_dir() else [root]:
                hashes[f"{number}/{file.relative_to(root).as_posix()}"] = hash_file(file)
        except OSError as error:
            raise InputError(
                str(error.filename or root),
                f"a file that {name}.files() returns must be readable",
                value=error.strerror,
                remedy="correct the path; relative paths begin at the folder in which the command is started",
            ) from error
    return hashes


def _without_paths(value: Any, entries: Sequence[str]) -> Any:
    """Return nested values with the paths of the files replaced by their numbers, since moved data are the same data."""
    if isinstance(value, dict):
        return {key: _without_paths(inside, entries) for key, inside in value.items()}
    if isinstance(value, list):
        return [_without_paths(inside, entries) for inside in value]
    return f"file {entries.index(value)}" if isinstance(value, str) and value in entries else value
