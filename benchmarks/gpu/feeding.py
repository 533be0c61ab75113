"""Ways to bring the mixtures of a dataset to the device, and to train on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.rooms.dataset import Batch, Split
from trainables.acceleration import Tensors, prefetch_batches
from trainables.localizer.trainable import Localizer

_LOADED: Final = 2000
"""Number of mixtures that are copied at once into the memory of the device."""

Indices = Iterator[NDArray[np.int64]]
Feed = Callable[[Split, Indices, torch.device], Iterator[Batch]]


def random_batches(samples: int, batch: int, seed: int = 0) -> Indices:
    """Yield batches of endlessly reshuffled indices; batches do not cross the end of a pass."""
    generator = np.random.default_rng(seed)
    size = min(batch, samples)
    while True:
        order = generator.permutation(samples)
        yield from (order[first : first + size] for first in range(0, samples - size + 1, size))


def feed_plain(split: Split, indices: Indices, device: torch.device) -> Iterator[Batch]:
    """Read and copy in the training thread, as the localizer does."""
    for chosen in indices:
        batch = split.read_batch(chosen)
        yield _as_batch(batch.waves.to(device, non_blocking=True), batch.positions_m.to(device))


def feed_pinned(split: Split, indices: Indices, device: torch.device) -> Iterator[Batch]:
    """Read in the training thread, and copy from pinned memory in the background."""
    for chosen in indices:
        batch = split.read_batch(chosen)
        tensors = (batch.waves, batch.positions_m)
        if device.type == "cuda":
            tensors = (batch.waves.pin_memory(), batch.positions_m.pin_memory())
        yield _as_batch(*(value.to(device, non_blocking=True) for value in tensors))


def feed_prefetched(split: Split, indices: Indices, device: torch.device) -> Iterator[Batch]:
    """Read, pin and copy in a thread, on a stream of its own."""

    def read() -> Iterator[Tensors]:
        for chosen in indices:
            batch = split.read_batch(chosen)
            yield batch.waves, batch.positions_m

    yield from (_as_batch(*tensors) for tensors in prefetch_batches(read(), device))


def feed_quantised(split: Split, indices: Indices, device: torch.device) -> Iterator[Batch]:
    """Read, pin and copy 16-bit waves in a thread; the device converts them."""

    def read() -> Iterator[Tensors]:
        for chosen in indices:
            yield *split.read_quantised(chosen), split.positions_m[chosen]

    for waves, scale, positions in prefetch_batches(read(), device):
        yield _as_batch(_dequantise(waves, scale), positions)


def feed_resident(split: Split, indices: Indices, device: torch.device) -> Iterator[Batch]:
    """Hold the complete split in the memory of the device, as 16-bit waves: 41 kB per mixture with two Kinects."""
    parts = [
        split.read_quantised(np.arange(first, min(first + _LOADED, len(split))))
        for first in range(0, len(split), _LOADED)
    ]
    waves = torch.cat([part[0].to(device) for part in parts])
    scale = torch.cat([part[1] for part in parts]).to(device)
    positions = split.positions_m.to(device)
    for chosen in indices:
        rows = torch.from_numpy(chosen).to(device)
        yield _as_batch(_dequantise(waves[rows], scale[rows]), positions[rows])


FEEDS: Final[dict[str, Feed]] = {
    "plain": feed_plain,
    "pinned": feed_pinned,
    "prefetched": feed_prefetched,
    "prefetched_int16": feed_quantised,
    "resident_int16": feed_resident,
}


def _dequantise(waves: Tensor, scale: Tensor) -> Tensor:
    return waves.float() * scale[:, None, None, None]


def _as_batch(waves: Tensor, positions_m: Tensor) -> Batch:
    return Batch(waves, positions_m, (~positions_m[..., 0].isnan()).sum(1))


def train_fed(model: Localizer) -> Callable[[Batch], None]:
    """Return a function that trains a localizer on a batch."""
    model.network.train()
    generator = torch.Generator().manual_seed(0)

    def train(batch: Batch) -> None:
        model._train_step(batch, generator)

    return train
