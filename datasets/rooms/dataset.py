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
from dataclasses import dataclass, replace
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
from datasets.rooms.spec import SampleSpec
from runtime.errors import InputError
from runtime.storage import Storage, storage_at

_SPLIT_COLUMNS: Final = ("waves", "scale", "positions", "count")


@dataclass(frozen=True)
class Batch:
    """Batch of samples for a network.

    Attributes:
        waves: Waves at the microphones, shape (batch, arrays, microphones, 2560), float32.
        positions_m: Source positions in metres, shape (batch, slots, 2), float32; NaN beyond the number of sources.
        counts: Number of sources, shape (batch,), int64.
    """

    waves: Tensor
    positions_m: Tensor
    counts: Tensor


def columns_of(batches: Iterable[Batch], samples: int) -> dict[str, NDArray[Any]]:
    """Convert samples to the columns of a shard, with 16-bit waves.

    Args:
        batches: All samples of the shard; small batches are quantised while they are in the cache of a core.
        samples: Number of samples of all batches.
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
    """Memory-mapped samples of a split.

    Args:
        paths: Shards in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        columns = list(zip(*(read_columns(path, _SPLIT_COLUMNS) for path in paths), strict=True))
        self._waves: Sequence[NDArray[np.int16]] = columns[0]
        self._scale: NDArray[np.float32] = np.concatenate(columns[1])
        self._first = np.cumsum([0] + [len(part) for part in columns[0]])
        self.positions_m = torch.from_numpy(_join_positions(columns[2]))
        self.counts = torch.from_numpy(np.concatenate(columns[3])).long()

    def __len__(self) -> int:
        return len(self.counts)

    def read_batch(self, indices: NDArray[np.int64]) -> Batch:
        """Read the samples at the given indices, in that order."""
        shard = np.searchsorted(self._first, indices, side="right") - 1
        waves = np.empty((len(indices), *self._waves[0].shape[1:]), np.float32)
        for number in np.unique(shard):
            rows = np.flatnonzero(shard == number)
            waves[rows] = self._waves[number][indices[rows] - self._first[number]]
        waves *= self._scale[indices][:, None, None, None]
        return Batch(torch.from_numpy(waves), self.positions_m[indices], self.counts[indices])

    def read_quantised(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Read the waves at the given indices as they are stored, half as many bytes as those of `read_batch`.

        Returns:
            16-bit waves, shape (batch, arrays, microphones, 2560), and the factor of each sample, shape (batch,).
        """
        shard = np.searchsorted(self._first, indices, side="right") - 1
        waves = np.empty((len(indices), *self._waves[0].shape[1:]), np.int16)
        for number in np.unique(shard):
            rows = np.flatnonzero(shard == number)
            waves[rows] = self._waves[number][indices[rows] - self._first[number]]
        return torch.from_numpy(waves), torch.from_numpy(self._scale[indices])


def _join_positions(shards: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the positions of all shards; those of splits with fewer slots get empty ones."""
    slots = max(part.shape[1] for part in shards)
    padded = [
        np.pad(part, ((0, 0), (0, slots - part.shape[1]), (0, 0)), constant_values=np.nan)
        if part.shape[1] < slots
        else part
        for part in shards
    ]
    return np.concatenate(padded)


@dataclass(frozen=True)
class Dataset:
    """Finished dataset in local storage.

    Attributes:
        store: Local store that holds the parts.
        fingerprint: Identity of the dataset.
        spec: Description of the dataset.
        microphones_m: Positions of the microphones in metres, shape (arrays, microphones, 2), or 3 with heights above sources.
        manifests: Manifest of each split by name.
    """

    store: Storage
    fingerprint: str
    spec: SampleSpec
    microphones_m: NDArray[np.float64]
    manifests: Mapping[str, Manifest]

    def open_split(self, name: str) -> Split:
        """Memory-map a split.

        Raises:
            KeyError: If there is no such split.
        """
        if name not in self.manifests:
            raise KeyError(f"no split {name!r}; there are {sorted(self.manifests)}")
        return Split([self.store.local_path(shard.name) for shard in self.manifests[name].shards])

    def find_damaged(self) -> tuple[str, ...]:
        """Return the names of shards that are missing or whose checksum differs; reads every byte."""
        return tuple(name for manifest in self.manifests.values() for name in manifest.find_damaged(self.store))

    def count_shards(self) -> tuple[ShardEntry, ...]:
        """Return the shards of all splits."""
        return tuple(shard for manifest in self.manifests.values() for shard in manifest.shards)


def join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """Return the manifest of several splits as one: their shards one after the other."""
    first = manifests[0]
    return replace(first, shards=tuple(shard for manifest in manifests for shard in manifest.shards))


def find_dataset(plan: SamplePlan, store: Storage) -> Dataset | None:
    """Return the finished dataset of a plan, or None if a shard is missing in the local store."""
    manifests = {}
    for part in plan.list_parts():
        if part.split is not None:
            manifest = Manifest.read(store, part.folder)
            if manifest is None or manifest.list_incomplete(store):
                return None
            manifests[part.split] = manifest
    return Dataset(store, plan.fingerprint, plan.spec, plan.microphones_m, manifests)


def open_dataset(plan: SamplePlan, store: Storage, cache: Path) -> Dataset:
    """Open a finished dataset; shards in a bucket are copied to this machine once.

    Args:
        plan: Plan of the dataset.
        store: Location of the dataset.
        cache: Local folder for copies of shards from a bucket.

    Raises:
        InputError: If a shard is missing or damaged.
    """
    local = store if store.is_local else storage_at(str(cache))
    if not store.is_local and (copy := find_dataset(plan, local)) is not None:
        return copy  # the manifest of a part is copied after its shards, so that no request to the bucket is needed
    if not store.is_local:
        for part in plan.list_parts():
            if part.kind == SPLIT and (manifest := Manifest.read(store, part.folder)) is not None:
                for shard in manifest.shards:
                    store.fetch_verified(shard.name, shard.sha256, local.local_path(shard.name))
                local.write_file(f"{part.folder}/{MANIFEST}", store.read_file(f"{part.folder}/{MANIFEST}"))
    found = find_dataset(plan, local)
    if found is None:
        raise InputError(
            f"{store.name}: dataset {plan.fingerprint}",
            "the dataset must be there, with all its shards",
            remedy="build it with  python -m datasets.generate",
        )
    return found


def build_dataset(plan: SamplePlan, root: Path, progress: Progress = lambda *_: None) -> Dataset:
    """Build the missing parts of a dataset in this process, and open it."""
    store = storage_at(str(root))
    Builder(store, progress).build(plan)
    return open_dataset(plan, store, root)
