"""Selection of the rows of a split, and what a trainable gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.arrays.files import Arrays, read_arrays
from datasets.arrays.spec import ArraysSpec, Rows
from runtime.errors import InputError
from runtime.uris import expand_home


@dataclass(frozen=True)
class SplitSource:
    """Rows of a split in a file.

    Attributes:
        path: File or folder, absolute.
        column: Array that names the split of each row; None if all rows belong to the split.
        values: Values of that array in the rows of the split.
        share: Share of these rows that is divided off for validation; None if they are not divided.
        is_rest: Whether the split is the rest of a division instead.
        seed: Seed of the division.
    """

    path: Path
    column: str | None = None
    values: tuple[str, ...] = ()
    share: float | None = None
    is_rest: bool = False
    seed: int = 0

    def read(self, read: Callable[[Path], Arrays] = read_arrays) -> Arrays:
        """Read the arrays of the split.

        Args:
            read: Reader of a file, which may keep what it has read.

        Raises:
            InputError: If the file is invalid, or no row belongs to the split.
        """
        arrays = dict(read(self.path))
        rows = None if self.column is None else self._marked_rows(arrays)
        if self.share is not None:
            rows = self._divide(np.arange(len(next(iter(arrays.values())))) if rows is None else rows, self.share)
        return arrays if rows is None else {name: array[rows] for name, array in arrays.items()}

    def shares_rows(self, other: SplitSource) -> bool:
        """Return whether two splits are rows of one file that are not divided from each other."""
        is_division = self.share is not None and self.is_rest != other.is_rest
        same = self.path.resolve() == other.path.resolve()
        return same and not is_division and (self.column is None or not set(self.values).isdisjoint(other.values))

    def _marked_rows(self, arrays: Arrays) -> NDArray[np.int64]:
        if self.column not in arrays:
            raise InputError(
                str(self.path),
                f"the array {self.column} names the split of each row",
                value=", ".join(arrays),
                remedy="name the array with  split: …",
            )
        marks = _to_text(arrays.pop(self.column))
        if marks.ndim != 1 or not arrays:
            raise InputError(
                f"{self.path}, array {self.column}",
                "the array has one value per row, and is not the only one",
                value=f"shape {marks.shape}",
                remedy="name another array with  split: …",
            )
        rows = np.flatnonzero(np.isin(marks, self.values))
        if not len(rows):
            raise InputError(
                f"{self.path}, array {self.column}",
                f"rows of the split have the value {' or '.join(self.values)}",
                value="values " + ", ".join(np.unique(marks)[:10].tolist()),
                remedy="write the values of each split, e.g. train: [1, 2], validate: 3, tests: {test: 4}",
            )
        return rows

    def _divide(self, rows: NDArray[np.int64], share: float) -> NDArray[np.int64]:
        count = max(1, round(share * len(rows)))
        if count >= len(rows):
            raise InputError(
                str(self.path),
                "the training rows must be enough for a division",
                value=f"{len(rows)} rows",
                remedy="name a file for validation",
            )
        order = np.random.default_rng(self.seed).permutation(len(rows))
        return rows[np.sort(order[count:] if self.is_rest else order[:count])]


def _to_text(marks: NDArray[Any]) -> NDArray[Any]:
    """Return marks as text; 3.0 is written as 3."""
    if marks.dtype.kind == "S":
        return np.char.decode(marks, "utf-8")
    if marks.dtype.kind == "f" and (marks == np.round(marks)).all():
        marks = marks.astype(np.int64)
    return marks.astype(np.str_)


def split_sources(spec: ArraysSpec) -> dict[str, SplitSource]:
    """Return the sources of all splits, training first; paths are made absolute."""
    return {name: _split_source(spec, name) for name in ("train", "validate", *spec.test_names())}


def _split_source(spec: ArraysSpec, name: str) -> SplitSource:
    rows = spec.rows_of(name)
    is_divided = spec.share is not None and name in ("train", "validate")
    division = (spec.share, name == "train", spec.seed) if is_divided else (None, False, 0)
    if spec.file is None:
        return SplitSource(expand_home(str(rows)).absolute(), None, (), *division)
    return SplitSource(expand_home(spec.file).absolute(), spec.split, _values(rows), *division)


def _values(rows: Rows) -> tuple[str, ...]:
    return tuple(map(str, rows)) if isinstance(rows, tuple) else (str(rows),)


class ArrayData:
    """Arrays of all splits, as a trainable gets them.

    Args:
        sources: Rows of each split.
        rows: Number of rows of each split.
    """

    def __init__(self, sources: Mapping[str, SplitSource], rows: Mapping[str, int]) -> None:
        self._sources, self._rows = dict(sources), dict(rows)
        self._opened: dict[str, Arrays] = {}

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of all splits, training first."""
        return tuple(self._sources)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of a row of each array, by name."""
        return {name: array.shape[1:] for name, array in self.train.items()}

    def count_rows(self, name: str) -> int:
        """Return the number of rows of a split."""
        return self._rows[name]

    def __getitem__(self, name: str) -> Arrays:
        """Return the arrays of a split; see `split`."""
        return self.split(name)

    @property
    def train(self) -> Arrays:
        """Arrays of the training split by name."""
        return self.split("train")

    @property
    def validate(self) -> Arrays:
        """Arrays of the validation split by name."""
        return self.split("validate")

    def split(self, name: str) -> Arrays:
        """Return the arrays of a split by name, read once; those of .npy and Arrow files are memory-mapped and read-only.

        Args:
            name: `train`, `validate`, or the name of a test split.

        Raises:
            KeyError: If there is no such split.
            InputError: If its file is missing or has changed since the search was started.
        """
        if name not in self._sources:
            raise KeyError(f"no split {name!r}; there are {sorted(self._sources)}")
        if name not in self._opened:
            arrays = self._sources[name].read()
            if len(next(iter(arrays.values()))) != self._rows[name]:
                raise InputError(
                    str(self._sources[name].path),
                    "the file of a split must not change during a search",
                    remedy="restore the file, or start another search",
                )
            self._opened[name] = arrays
        return self._opened[name]

    def tensors(self, name: str) -> dict[str, Any]:
        """Return the numeric arrays of a split as torch tensors, copied into memory."""
        import torch

        return {key: torch.from_numpy(np.array(a)) for key, a in self.split(name).items() if a.dtype.kind in "biufc"}
