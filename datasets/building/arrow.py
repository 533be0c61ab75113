"""Shards on disk: uncompressed Arrow IPC files that plain pyarrow can read, memory-mapped for training.

A dataset is a set of parts, a folder each: its splits, and the impulse responses that rooms which echo need. Columns of a
split's shards, one row a sample:

    waves       int16, fixed-shape tensor (arrays, microphones, 2560); multiply by `scale`
    scale       float32, largest |x| of the sample / 32767
    positions   float32, fixed-shape tensor (slots, 2), metres; NaN beyond `count`
    count       int8, number of sources

Columns of impulse responses, one row a place of a source:

    responses   float32, fixed-shape tensor (arrays, microphones, taps), 16 kHz, delayed by 40 samples
    place       float32, fixed-shape tensor (3,), metres
    room        int32, number of the room
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.building.manifest import Manifest, ShardEntry
from datasets.rooms.spec import LocalizerSpec
from runtime.storage import Store

_SPLIT_COLUMNS: Final = ("waves", "scale", "positions", "count")


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


def columns_of(batches: Iterable[Batch], samples: int) -> dict[str, NDArray[Any]]:
    """Samples as a shard's columns, 16 bits a wave's sample.

    Args:
        batches: All samples; small batches are quantised while they are in a core's cache.
        samples: How many there are in all.
    """
    columns: dict[str, NDArray[Any]] = {}
    first = 0
    for batch in batches:
        rows = slice(first, first + len(batch.counts))
        scale = batch.waves.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / 32767
        quantised = (batch.waves / scale[:, None, None, None]).round_()
        parts = {
            "waves": quantised.to(torch.int16).numpy(),
            "scale": scale.numpy(),
            "positions": batch.positions_m.float().numpy(),
            "count": batch.counts.to(torch.int8).numpy(),
        }
        for name, part in parts.items():
            if name not in columns:
                columns[name] = np.empty((samples, *part.shape[1:]), part.dtype)
            columns[name][rows] = part
        first = rows.stop
    return columns


def encode_table(columns: Mapping[str, NDArray[Any]]) -> Any:
    """Columns as the content of an Arrow IPC file."""
    arrays = [
        pa.array(column) if column.ndim == 1 else pa.FixedShapeTensorArray.from_numpy_ndarray(column)
        for column in columns.values()
    ]
    table = pa.record_batch(arrays, names=list(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_batch(table)
    return sink.getvalue()


def read_columns(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    """Memory-map columns of one shard."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return [_as_numpy(table.column(name)) for name in names]


def _as_numpy(column: Any) -> NDArray[Any]:
    if isinstance(column, pa.FixedShapeTensorArray):
        return np.asarray(column.to_numpy_ndarray())
    return np.asarray(column.to_numpy(zero_copy_only=False))


class Split:
    """All samples of one split, memory-mapped."""

    def __init__(self, paths: Sequence[Path]) -> None:
        columns = list(zip(*(read_columns(path, _SPLIT_COLUMNS) for path in paths), strict=True))
        self._waves: Sequence[NDArray[np.int16]] = columns[0]
        self._scale: NDArray[np.float32] = np.concatenate(columns[1])
        self._first = np.cumsum([0] + [len(part) for part in columns[0]])
        self.positions_m = torch.from_numpy(np.concatenate(columns[2]))
        self.counts = torch.from_numpy(np.concatenate(columns[3])).long()

    def __len__(self) -> int:
        return len(self.counts)

    def read_batch(self, indices: NDArray[np.int64]) -> Batch:
        """Read the samples of the given indices, in that order."""
        shard = np.searchsorted(self._first, indices, side="right") - 1
        waves = np.empty((len(indices), *self._waves[0].shape[1:]), np.float32)
        for number in np.unique(shard):
            rows = np.flatnonzero(shard == number)
            waves[rows] = self._waves[number][indices[rows] - self._first[number]]
        waves *= self._scale[indices][:, None, None, None]
        return Batch(torch.from_numpy(waves), self.positions_m[indices], self.counts[indices])


@dataclass(frozen=True)
class Dataset:
    """A finished dataset on this machine.

    Attributes:
        store: Local; where its parts lie.
        fingerprint: Its identity.
        spec: What it was made from.
        microphones_m: Shape (arrays, microphones, 2).
        manifests: Of each split, by name.
    """

    store: Store
    fingerprint: str
    spec: LocalizerSpec
    microphones_m: NDArray[np.float64]
    manifests: Mapping[str, Manifest]

    def open_split(self, name: str) -> Split:
        """Memory-map one split.

        Raises:
            KeyError: If there is no such split.
        """
        if name not in self.manifests:
            raise KeyError(f"no split {name!r}; there are {sorted(self.manifests)}")
        return Split([self.store.local_path(shard.name) for shard in self.manifests[name].shards])

    def find_damaged(self) -> tuple[str, ...]:
        """Names of shards whose content is not what was written; reads every byte."""
        return tuple(name for manifest in self.manifests.values() for name in manifest.find_damaged(self.store))

    def count_shards(self) -> tuple[ShardEntry, ...]:
        """All shards of all splits."""
        return tuple(shard for manifest in self.manifests.values() for shard in manifest.shards)
