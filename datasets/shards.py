"""Shards on disk: uncompressed Arrow IPC files that plain pyarrow can read, memory-mapped for training.

Columns of a shard, one row a sample:

    waves       int16, fixed-shape tensor (arrays, microphones, 2560); multiply by `scale`
    scale       float32, largest |x| of the sample / 32767
    positions   float32, fixed-shape tensor (slots, 2), metres; NaN beyond `count`
    count       int8, number of sources
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.atomic import replacing
from datasets.errors import InputError
from datasets.spec import RoomSpec

MANIFEST: Final = "manifest.json"
_COLUMNS: Final = ("waves", "scale", "positions", "count")


@dataclass(frozen=True)
class Batch:
    """Samples ready for a network.

    Attributes:
        waves: Shape (batch, arrays, microphones, 2560), float32.
        positions_m: Shape (batch, slots, 2), float32; NaN beyond the number of sources.
        counts: Shape (batch,), int64.
    """

    waves: Tensor
    positions_m: Tensor
    counts: Tensor


def write_shard(path: Path, batch: Batch) -> str:
    """Write one shard, whole or not at all.

    Returns:
        Its SHA-256.
    """
    scale = batch.waves.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / 32767
    quantised = (batch.waves / scale[:, None, None, None]).round().to(torch.int16)
    table = pa.record_batch(
        [
            pa.FixedShapeTensorArray.from_numpy_ndarray(quantised.numpy()),
            pa.array(scale.numpy()),
            pa.FixedShapeTensorArray.from_numpy_ndarray(batch.positions_m.float().contiguous().numpy()),
            pa.array(batch.counts.to(torch.int8).numpy()),
        ],
        names=list(_COLUMNS),
    )
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_batch(table)
        return checksum(temporary)


def holds(path: Path, samples: int) -> bool:
    """Whether a file is a readable shard of so many samples."""
    try:
        with pa.memory_map(str(path)) as source:
            return bool(pa.ipc.open_file(source).get_batch(0).num_rows == samples)
    except (pa.ArrowInvalid, OSError):
        return False


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the manifest lists it."""

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str


class Split:
    """All samples of one split, memory-mapped."""

    def __init__(self, paths: Sequence[Path]) -> None:
        tables = [pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0) for path in paths]
        columns = [[_as_numpy(table.column(name)) for table in tables] for name in _COLUMNS]
        self._waves: list[NDArray[np.int16]] = columns[0]
        self._scale: NDArray[np.float32] = np.concatenate(columns[1])
        self._first = np.cumsum([0] + [len(part) for part in columns[0]])
        self.positions_m = torch.from_numpy(np.concatenate(columns[2]))
        self.counts = torch.from_numpy(np.concatenate(columns[3])).long()

    def __len__(self) -> int:
        return len(self.counts)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Read the samples of the given indices, in that order."""
        shard = np.searchsorted(self._first, indices, side="right") - 1
        waves = np.empty((len(indices), *self._waves[0].shape[1:]), np.float32)
        for number in np.unique(shard):
            rows = np.flatnonzero(shard == number)
            waves[rows] = self._waves[number][indices[rows] - self._first[number]]
        waves *= self._scale[indices][:, None, None, None]
        return Batch(torch.from_numpy(waves), self.positions_m[indices], self.counts[indices])


def _as_numpy(column: Any) -> NDArray[Any]:
    if isinstance(column, pa.FixedShapeTensorArray):
        return np.asarray(column.to_numpy_ndarray())
    return np.asarray(column.to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Dataset:
    """A finished dataset.

    Attributes:
        folder: Where its shards lie.
        fingerprint: Its identity.
        spec: What it was made from.
        shards: All shards.
    """

    folder: Path
    fingerprint: str
    spec: RoomSpec
    shards: tuple[ShardEntry, ...]

    def split(self, name: str) -> Split:
        """Memory-map one split.

        Raises:
            KeyError: If there is no such split.
        """
        paths = [self.folder / shard.name for shard in self.shards if shard.split == name]
        if not paths:
            raise KeyError(f"no split {name!r}; there are {sorted({shard.split for shard in self.shards})}")
        return Split(paths)

    def damaged(self) -> tuple[str, ...]:
        """Names of shards whose content is not what was written; reads every byte."""
        return tuple(s.name for s in self.shards if not self._is_whole(s) or checksum(self.folder / s.name) != s.sha256)

    def incomplete(self) -> tuple[str, ...]:
        """Names of shards that are missing or have another length; reads no content."""
        return tuple(shard.name for shard in self.shards if not self._is_whole(shard))

    def _is_whole(self, shard: ShardEntry) -> bool:
        path = self.folder / shard.name
        return path.is_file() and path.stat().st_size == shard.bytes


def open_dataset(folder: Path) -> Dataset:
    """Open a finished dataset.

    Raises:
        InputError: If the manifest is missing or unreadable.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        spec = RoomSpec.model_validate(manifest["spec"])
        shards = tuple(ShardEntry(**shard) for shard in manifest["shards"])
        return Dataset(folder, manifest["fingerprint"], spec, shards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path),
            "a dataset needs a readable manifest",
            value=str(error),
            remedy="delete the folder; it is built again",
        ) from error
