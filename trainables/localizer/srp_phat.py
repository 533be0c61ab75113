"""SRP-PHAT on a grid over the area: a classical yardstick without training (DiBiase 2000).

The steered response power with phase transform of a position is the sum over pairs of microphones of the generalised
cross-correlation (Knapp and Carter 1976) at the difference of their distances.Pairs are those
within an array; the responses of the arrays are multiplied, and divided by the largest one of a sample, so that one threshold
serves all levels of noise. What other choices give is in docs/decisions/048-srp-phat-beside-the-localizer.md.
"""

from __future__ import annotations

import itertools
import math
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.features import BINS, WINDOW

_BAND_HZ: Final = (200.0, 7500.0)
"""Frequencies of the response: below, a small array resolves nothing; above, the simulated delays are not exact."""
_LEAST: Final = 1e-12
_LARGEST: Final = 1 - 1e-6
"""Largest score, below 1 so that it has a logit."""
_CELL_M: Final = 0.1
"""Size of a cell, at most."""
_MOST_CELLS: Final = 81
_THRESHOLDS: Final = tuple(round(0.02 * number, 2) for number in range(1, 50))
_RADII_M: Final = (0.5, 1.0, 1.5, 2.0)
SRP_PHAT: Final = "SRP-PHAT"


def reading_config(size_m: tuple[float, float]) -> LocalizerConfig:
    """Return the Config with which maps of the steered response are read: local maxima on cells of at most 10 cm.

    Args:
        size_m: Size of the area, x and y.
    """
    cells = min(_MOST_CELLS, math.ceil(max(size_m) / _CELL_M) + 1)
    unused = {
        "encoder": "single",
        "network": {"width": 4, "tail_width": 4, "decoder_width": 16},
    }  # the network is replaced
    return LocalizerConfig.model_validate({"representation": "tg", "grid": {"cells": cells, "margin_m": 0.0}, **unused})


def list_inference_params() -> list[dict[str, float]]:
    """Return the thresholds and radii from which validation chooses."""
    return [
        {"threshold": threshold, "nms_radius_m": radius, "smoothing_m": 0.0}
        for radius in _RADII_M
        for threshold in _THRESHOLDS
    ]


class SteeredResponse(nn.Module):
    """Map of the steered response power from the spectra of all microphones, without parameters.

    Args:
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).
        cells_m: Centres of the cells, shape (cells, cells, 2).

    Shape:
        input (batch, arrays, 2 · mics, 9, 256) from `features.stft_features`, output (batch, 1, cells, cells): logits of the
        response relative to the largest one of the sample.
    """

    steering: Tensor

    def __init__(self, microphones_m: NDArray[np.float64], cells_m: Float[Tensor, "cells cells 2"]) -> None:
        super().__init__()
        self.cells = len(cells_m)
        arrays, mics, axes = microphones_m.shape
        is_scattered = mics == 1
        self.groups = 1 if is_scattered else arrays  # single microphones are one array
        placed = torch.from_numpy(microphones_m.reshape(self.groups, -1, axes).astype(np.float64))
        flat = cells_m.double().reshape(-1, 2)
        points = torch.cat([flat, torch.zeros(len(flat), axes - 2, dtype=torch.float64)], dim=1)
        self.pairs = list(itertools.combinations(range(placed.shape[1]), 2))
        frequency = torch.arange(1, BINS + 1, dtype=torch.float64) * SAMPLE_RATE_HZ / WINDOW
        self.band = (frequency >= _BAND_HZ[0]) & (frequency <= _BAND_HZ[1])
        phases = []
        for group in placed:
            distance = torch.cdist(points, group)
            delays = torch.stack([distance[:, i] - distance[:, j] for i, j in self.pairs]) / SPEED_OF_SOUND_M_S
            phases.append(2 * math.pi * frequency[self.band][None, :, None] * delays[:, None])
        phase = torch.stack(phases).flatten(1, 2)  # (groups, pairs · bins, cells²)
        self.register_buffer("steering", torch.cat([phase.cos(), -phase.sin()], dim=1).float(), persistent=False)

    def forward(self, spectra: Float[Tensor, "batch arrays channels 9 256"]) -> Float[Tensor, "batch 1 cells cells"]:
        """Correlate all pairs of each array with the delays of each cell, and multiply the responses of the arrays."""
        batch, _, channels = spectra.shape[:3]
        parts = spectra[..., self.band].unflatten(2, (2, channels // 2)).double()
        waves = torch.complex(parts[:, :, 0], parts[:, :, 1])
        waves = waves.reshape(batch, self.groups, -1, *waves.shape[3:])
        first, second = (waves[:, :, [pair[end] for pair in self.pairs]] for end in (0, 1))
        cross = (first * second.conj()).sum(dim=3)  # over the frames
        coherence = cross / cross.abs().clamp(min=_LEAST)
        stacked = torch.cat([coherence.real, coherence.imag], dim=2).flatten(2).float()
        response = torch.einsum("bgk,gkc->bgc", stacked, self.steering) / (coherence.shape[2] * coherence.shape[3])
        joined = response.clamp(min=_LEAST).log().mean(dim=1).exp()
        relative = joined / joined.amax(dim=1, keepdim=True)
        return (relative * _LARGEST).clamp(min=_LEAST).logit().reshape(batch, 1, self.cells, self.cells)
