"""MUSIC on a grid over the area: a classical yardstick without training (Schmidt 1986).

At a frequency, the covariance of the microphones of an array is divided into the subspace of its largest eigenvalues, as many as
there are sources, and the rest, the noise. A steering vector in the signal subspace points to a source: the pseudo-spectrum is
the inverse of the power of the steering vector in the noise. The pseudo-spectra are divided by their largest value and averaged
over frequencies (NormMUSIC: Salvati, Drioli and Foresti 2014), and the averages of the arrays are multiplied, as in
`srp_phat`. `pyroomacoustics.doa` has the same for directions, one sample at a time; a test compares both.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from trainables.localizer.response_maps import (
    group_spectra,
    list_band,
    place_grid,
    relative_logits,
    without_autocast,
)

_STEP: Final = 2
"""Step between the frequencies that are used, in bins of 31 Hz: neighbouring ones overlap in the window."""
_SOURCES: Final = 2
"""Dimension of the signal subspace, at most; see docs/decisions/050-music-beside-the-localizer.md."""
_LEAST_NOISE: Final = 1e-6
MUSIC: Final = "MUSIC"


class PseudoSpectrum(nn.Module):
    """Map of the pseudo-spectrum of MUSIC from the spectra of all microphones, without parameters.

    Args:
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).
        cells_m: Centres of the cells, shape (cells, cells, 2).

    Shape:
        input (batch, arrays, 2 · mics, 9, 256) from `features.stft_features`, output (batch, 1, cells, cells): logits of the
        pseudo-spectrum relative to the largest one of the sample.
    """

    steering: Tensor

    def __init__(self, microphones_m: NDArray[np.float64], cells_m: Float[Tensor, "cells cells 2"]) -> None:
        super().__init__()
        self.cells = len(cells_m)
        placed, points = place_grid(microphones_m, cells_m)
        self.sources = min(_SOURCES, placed.shape[1] - 1)
        self.bins, frequency_hz = list_band(_STEP)
        delays = torch.stack([torch.cdist(array, points) for array in placed]) / SPEED_OF_SOUND_M_S
        phase = 2 * math.pi * frequency_hz[:, None, None] * delays[:, None]  # (arrays, bins, mics, cells²)
        steering = torch.cat([phase.cos(), -phase.sin()], dim=2) * placed.shape[1] ** -0.5
        self.register_buffer("steering", steering.float(), persistent=False)

    @without_autocast
    def forward(self, spectra: Float[Tensor, "batch arrays channels 9 256"]) -> Float[Tensor, "batch 1 cells cells"]:
        """Average the pseudo-spectra of each array over frequencies, and multiply those of the arrays."""
        waves = group_spectra(spectra[..., self.bins], len(self.steering)).permute(1, 4, 0, 2, 3)
        covariance = waves @ waves.mH
        signal = torch.linalg.eigh(covariance).eigenvectors[..., -self.sources :]
        # The inner product with a steering vector, its real and its imaginary part, from real and imaginary parts.
        conjugate = signal.mH
        rows = torch.cat(
            [
                torch.cat([conjugate.real, -conjugate.imag], dim=-1),
                torch.cat([conjugate.imag, conjugate.real], dim=-1),
            ],
            dim=-2,
        )
        spectrum = torch.stack([_average_spectra(*array) for array in zip(rows, self.steering, strict=True)])
        return relative_logits(spectrum.transpose(0, 1)).reshape(len(spectra), 1, self.cells, self.cells)


def _average_spectra(
    rows: Float[Tensor, "bins batch rows parts"], steering: Float[Tensor, "bins parts points"]
) -> Float[Tensor, "batch points"]:
    """Return the mean over frequencies of the pseudo-spectra of an array, each relative to its largest value."""
    total = torch.zeros(rows.shape[1], steering.shape[-1], device=rows.device)
    for subspace, vectors in zip(rows, steering, strict=True):
        noise = (subspace.flatten(0, 1) @ vectors).unflatten(0, subspace.shape[:2]).square_().sum(dim=1)
        noise.neg_().add_(1).clamp_(min=_LEAST_NOISE)
        total += noise.amin(dim=1, keepdim=True) / noise
    return total / len(rows)
