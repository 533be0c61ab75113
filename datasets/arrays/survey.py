"""Check of the arrays of all splits in one pass: types, shapes, digests, NaN and rows that occur twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.arrays.files import Arrays
from runtime.errors import InputError

_CHUNK_BYTES: Final = 1 << 24
_PRIME: Final = 0x9E3779B97F4A7C15


@dataclass(frozen=True, eq=False)
class SplitSummary:
    """Content of a split.

    Attributes:
        rows: Number of rows.
        columns: Type and shape of a row of each array, by name.
        digest: SHA-256 of the names, types, shapes and values of all arrays.
        nbytes: Size of all arrays in bytes.
        not_finite: Number of NaN and infinite values of each array that has any.
        row_hashes: Hash of the values of each row.
    """

    rows: int
    columns: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]
    digest: str
    nbytes: int
    not_finite: Mapping[str, int]
    row_hashes: NDArray[np.uint64]

    def describe_columns(self) -> str:
        """Return names, types and shapes in words, such as `x float32 (8,), y int64`."""
        return ", ".join(
            f"{name} {dtype}" + (f" ({', '.join(map(str, shape))})" if shape else "")
            for name, (dtype, shape) in self.columns.items()
        )


def summarize_split(arrays: Arrays) -> SplitSummary:
    """Read all values of a split once."""
    rows = len(next(iter(arrays.values())))
    digest, hashes = hashlib.sha256(), np.zeros(rows, np.uint64)
    not_finite: dict[str, int] = {}
    for index, (name, array) in enumerate(sorted(arrays.items()), 1):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        missing = 0
        for first, chunk in _chunks(array):
            digest.update(chunk.tobytes())
            if chunk.dtype.kind in "fc":
                missing += int(chunk.size - np.isfinite(chunk).sum())
            hashes[first : first + len(chunk)] += _hash_rows(chunk, index)
        if missing:
            not_finite[name] = missing
    columns = {name: (array.dtype, array.shape[1:]) for name, array in arrays.items()}
    nbytes = sum(array.nbytes for array in arrays.values())
    return SplitSummary(rows, columns, digest.hexdigest(), nbytes, not_finite, hashes)


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield contiguous sections of an array, each with the index of its first row."""
    step = max(1, _CHUNK_BYTES // max(1, array.nbytes // len(array)))
    for first in range(0, len(array), step):
        yield first, np.ascontiguousarray(array[first : first + step])


def _hash_rows(chunk: NDArray[Any], index: int) -> NDArray[np.uint64]:
    """Return one hash per row: a random linear combination of its words, modulo 2^64, then mixed."""
    if not chunk.size:
        return np.zeros(len(chunk), np.uint64)
    content = chunk.reshape(len(chunk), -1).view(np.uint8)
    width = -(-content.shape[1] // 8) * 8
    padded = np.zeros((len(chunk), width), np.uint8)
    padded[:, : content.shape[1]] = content
    weights = np.random.default_rng([index, width]).integers(1, 2**64 - 1, width // 8, np.uint64) | np.uint64(1)
    hashes = (padded.view(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
    mixed: NDArray[np.uint64] = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(_PRIME)
    return mixed


def check_same_columns(summaries: Mapping[str, SplitSummary], places: Mapping[str, str]) -> None:
    """Check that all splits have the arrays of the training split, with the same types and shapes of rows.

    Args:
        summaries: Content of each split, training first.
        places: File of each split, for errors.

    Raises:
        InputError: If a split differs.
    """
    (_, train), *others = summaries.items()
    for name, split in others:
        if split.columns.keys() != train.columns.keys():
            raise InputError(
                places[name],
                f"the split {name} has the arrays of the training split: {', '.join(train.columns)}",
                value=", ".join(split.columns),
                remedy="save the same arrays in all splits",
            )
        for array, (dtype, shape) in split.columns.items():
            _check_column(f"{places[name]}, array {array}", (dtype, shape), train.columns[array])


def _check_column(
    place: str, column: tuple[np.dtype[Any], tuple[int, ...]], expected: tuple[np.dtype[Any], tuple[int, ...]]
) -> None:
    is_text = column[0].kind in "US" and column[0].kind == expected[0].kind  # the length is part of a type of text
    if column[1] != expected[1] or (column[0] != expected[0] and not is_text):
        raise InputError(
            place,
            f"a row has type and shape of the training split: {expected[0]} {expected[1]}",
            value=f"{column[0]} {column[1]}",
            remedy="convert one of the splits",
        )


def describe_problems(summaries: Mapping[str, SplitSummary]) -> list[str]:
    """Return lines of text about values that are not finite, and about rows that occur in several splits."""
    lines = [
        f"{split}: {count:,} values of {name} are NaN or infinite"
        for split, summary in summaries.items()
        for name, count in summary.not_finite.items()
    ]
    names = list(summaries)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            hashes = (summaries[first].row_hashes, summaries[second].row_hashes)
            if shared := int(np.isin(hashes[1], hashes[0]).sum()):
                lines.append(f"{shared:,} of {summaries[second].rows:,} rows of {second} are also in {first}")
    return lines
