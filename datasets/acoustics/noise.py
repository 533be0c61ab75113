"""Sensor noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def add_noise(waves: Tensor, generator: np.random.Generator, snr_db: tuple[float, float]) -> None:
    """Add white sensor noise to waveforms, in place.

    Args:
        waves: Waveforms, shape (samples, arrays, microphones, time).
        generator: Random generator.
        snr_db: Range of the SNR, drawn uniformly per sample: ratio of the mean power over all microphones to that of the
            noise.
    """
    power = waves.square().mean(dim=(1, 2, 3), keepdim=True)
    ratio = torch.from_numpy(10 ** (generator.uniform(*snr_db, len(waves)) / 10)).float()[:, None, None, None]
    noise = torch.from_numpy(generator.standard_normal(tuple(waves.shape), dtype=np.float32))
    waves.addcmul_(noise, (power / ratio).sqrt())
