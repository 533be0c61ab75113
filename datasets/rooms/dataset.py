"""Finished datasets for the 2D localizer: memory-mapped splits of samples.

Columns of a split's shards, one row per sample:

    waves       int16, fixed-shape tensor (arrays, microphones, 2560); multiply by `scale`
    scale       float32, largest |x| of the sample / 32767
    positions   float32, fixed-shape tensor (slots, 2), metres; NaN beyond `count`
    count       int8, number of sources

Columns of impulse responses, one row per source position:

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
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.building.arrow import read_columns
from datasets.building.builder import Builder, Progress
from datasets.building.manifest import MANIFEST, Manifest, ShardEntry
from datasets.building.parts import SPLIT
from datasets.rooms.plan import SamplePlan
from datasets.rooms.spec import LocalizerSpec
from runtime.errors import InputError
from runtime.storage import Storage, storage_at

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

    store: Storage
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


def find_dataset(source: SamplePlan, store: Storage) -> Dataset | None:
    """The finished dataset of a source, if all its shards are in a local store."""
    manifests = {}
    for part in source.list_parts():
        if part.split is not None:
            manifest = Manifest.read(store, part.folder)
            if manifest is None or manifest.list_incomplete(store):
                return None
            manifests[part.split] = manifest
    return Dataset(store, source.fingerprint, source.spec, source.microphones_m, manifests)


def open_dataset(source: SamplePlan, store: Storage, cache: Path) -> Dataset:
    """A finished dataset on this machine; what lies in a bucket is copied once.

    Args:
        source: What it was made from.
        store: Where it lies.
        cache: Local folder for what does not lie on this machine.

    Raises:
        InputError: If it is not there, or arrives damaged.
    """
    here = store if store.is_local else storage_at(str(cache))
    if not store.is_local and (copy := find_dataset(source, here)) is not None:
        return copy  # a part's manifest is copied after all its shards, so nothing is asked of the bucket
    if not store.is_local:
        for part in source.list_parts():
            if part.kind == SPLIT and (manifest := Manifest.read(store, part.folder)) is not None:
                for shard in manifest.shards:
                    store.fetch_verified(shard.name, shard.sha256, here.local_path(shard.name))
                here.write_file(f"{part.folder}/{MANIFEST}", store.read_file(f"{part.folder}/{MANIFEST}"))
    found = find_dataset(source, here)
    if found is None:
        raise InputError(
            f"{store.name}: dataset {source.fingerprint}",
            "the dataset must be there, with all its shards",
            remedy="build it with  python -m datasets.generate",
        )
    return found


def build_dataset(source: SamplePlan, root: Path, progress: Progress = lambda *_: None) -> Dataset:
    """Return the dataset of a source, made in this process where it is missing."""
    store = storage_at(str(root))
    Builder(store, progress).build(source)
    return open_dataset(source, store, root)
