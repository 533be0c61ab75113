"""Samples of a split under another condition: sensor noise and deviating gains of the microphones."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.acoustics.conditions import AcousticCondition
from datasets.acoustics.noise import add_noise
from datasets.rooms.dataset import Batch, Split

_SEED: Final = 7


class DisturbedSplit(Split):
    """Samples of a split with noise and deviating gains, the same ones whenever a sample is read first in a batch.

    Args:
        split: The split.
        condition: Noise and gains; the reverberation is that of the samples.
    """

    def __init__(self, split: Split, condition: AcousticCondition) -> None:
        self._split = split
        self._condition = condition
        self.positions_m = split.positions_m
        self.counts = split.counts

    def __len__(self) -> int:
        return len(self._split)

    def read_batch(self, indices: NDArray[np.int64]) -> Batch:
        """Read samples, change the gains of their microphones, and add noise."""
        batch = self._split.read_batch(indices)
        generator = np.random.default_rng([_SEED, int(indices[0])])
        shape = (*batch.waves.shape[:3], 1)
        gains = generator.uniform(-self._condition.gain_db, self._condition.gain_db, shape)
        waves = batch.waves * torch.from_numpy(10 ** (gains / 20)).float()
        if self._condition.snr_db is not None:
            add_noise(waves, generator, (self._condition.snr_db, self._condition.snr_db))
        return Batch(waves, batch.positions_m, batch.counts)
