"""SRP-PHAT on a grid over the area: a classical yardstick without training (DiBiase 2000).

The steered response power with phase transform of a position is the sum over pairs of microphones of the generalised
cross-correlation (Knapp and Carter 1976) at the difference of their distances. Pairs are those
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

from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from trainables.localizer.response_maps import (
    LEAST,
    group_spectra,
    list_band,
    place_grid,
    relative_logits,
    without_autocast,
)

SRP_PHAT: Final = "SRP-PHAT"


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
        placed, points = place_grid(microphones_m, cells_m)
        self.groups = len(placed)
        self.pairs = list(itertools.combinations(range(placed.shape[1]), 2))
        self.bins, frequency_hz = list_band()
        phases = []
        for group in placed:
            distance = torch.cdist(points, group)
            delays = torch.stack([distance[:, i] - distance[:, j] for i, j in self.pairs]) / SPEED_OF_SOUND_M_S
            phases.append(2 * math.pi * frequency_hz[None, :, None] * delays[:, None])
        phase = torch.stack(phases).flatten(1, 2)  # (groups, pairs · bins, cells²)
        self.register_buffer("steering", torch.cat([phase.cos(), -phase.sin()], dim=1).float(), persistent=False)

    @without_autocast
    def forward(self, spectra: Float[Tensor, "batch arrays channels 9 256"]) -> Float[Tensor, "batch 1 cells cells"]:
        """Correlate all pairs of each array with the delays of each cell, and multiply the responses of the arrays."""
        waves = group_spectra(spectra[..., self.bins].double(), self.groups)
        first, second = (waves[:, :, [pair[end] for pair in self.pairs]] for end in (0, 1))
        cross = (first * second.conj()).sum(dim=3)  # over the frames
        coherence = cross / cross.abs().clamp(min=LEAST)
        stacked = torch.cat([coherence.real, coherence.imag], dim=2).flatten(2).float()
        response = torch.einsum("bgk,gkc->bgc", stacked, self.steering) / (coherence.shape[2] * coherence.shape[3])
        return relative_logits(response).reshape(len(spectra), 1, self.cells, self.cells)
