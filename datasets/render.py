"""Batched simulation of free-field sound in the frequency domain.

One FFT a source, one inverse FFT a microphone; a propagation delay is a phase and costs two complex products. The result
equals pyroomacoustics' (`datasets.reference`) below 7 kHz to better than -60 dB, which a test holds: its fractional
delays, an 81-tap sinc under a Hann window read from a table of 20 points a sample, are reproduced, table included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor

from datasets.geometry import SAMPLE_RATE_HZ, SAMPLES, SPEED_OF_SOUND_M_S

_MARGIN: Final = 104
"""Samples kept from the ends of the transform, where its circular shifts wrap around."""
_TAPS: Final = 81
_TABLE: Final = 20
"""Points a sample in pyroomacoustics' table of the sinc; it interpolates linearly between them."""
_NEAREST_M: Final = 1e-3
"""A silent slot may stand on a microphone; nothing that sounds comes as near."""
_BLOCK: Final = 64
"""Phases are products of a coarse and a fine table of about this length: 64 + 26 sines instead of 1,600."""


@dataclass(frozen=True)
class Window:
    """How much of a source is needed for 160 ms at the microphones.

    Attributes:
        length: Samples of the source, and length of the transform.
        lead: Of these, samples before the first one that is heard.
    """

    length: int
    lead: int


def window(size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> Window:
    """The window that covers the longest path of a room.

    Args:
        size_m: The room, x by y.
        microphones_m: Shape (arrays, microphones, 2).
    """
    corners = np.array([(x, y) for x in (0.0, size_m[0]) for y in (0.0, size_m[1])])
    farthest = float(np.linalg.norm(microphones_m.reshape(-1, 1, 2) - corners, axis=-1).max())
    lead = math.ceil(farthest / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + _MARGIN
    return Window(fft.next_fast_len(lead + SAMPLES + _MARGIN, real=True), lead)


def free_field(sources: Tensor, positions_m: Tensor, microphones_m: Tensor, lead: int) -> Tensor:
    """Sound of several sources at several arrays: delayed by r/c and attenuated by 1/r, summed.

    Args:
        sources: Shape (batch, slots, length), float32; silent slots are zeros.
        positions_m: Shape (batch, slots, 2); silent slots may hold anything finite.
        microphones_m: Shape (arrays, microphones, 2).
        lead: From `window`.

    Returns:
        Shape (batch, arrays, microphones, 2560), float32.
    """
    batch, _, length = sources.shape
    arrays, microphones, _ = microphones_m.shape
    distance = torch.cdist(positions_m.double(), microphones_m.double().reshape(1, -1, 2).expand(batch, -1, -1))
    delay = distance / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
    transfer = _phases(delay.floor(), (1 / distance.clamp(min=_NEAREST_M)).float(), length) * _fractions(
        delay.frac(), length
    )
    heard = (torch.fft.rfft(sources)[:, :, None] * transfer).sum(dim=1)
    waves: Tensor = torch.fft.irfft(heard, length)[..., lead : lead + SAMPLES]
    return waves.reshape(batch, arrays, microphones, SAMPLES)


def _phases(delay: Tensor, gain: Tensor, length: int) -> Tensor:
    """Spectra gain · exp(-2πi k delay / length) of delayed impulses: shape (..., length // 2 + 1)."""
    bins = length // 2 + 1
    coarse = torch.arange(0, bins, _BLOCK, dtype=torch.float64)
    fine = torch.arange(_BLOCK, dtype=torch.float64)
    # Turns are reduced in double precision, so that single-precision sines stay exact at high bins.
    turns_coarse = (delay[..., None] * coarse / length).frac().float() * (-2 * math.pi)
    turns_fine = (delay[..., None] * fine / length).frac().float() * (-2 * math.pi)
    outer = torch.polar(gain[..., None].expand_as(turns_coarse).contiguous(), turns_coarse)
    inner = torch.polar(torch.ones_like(turns_fine), turns_fine)
    return (outer[..., :, None] * inner[..., None, :]).flatten(-2)[..., :bins]


def _fractions(fraction: Tensor, length: int) -> Tensor:
    """Spectra of the windowed sinc for delays of a fraction of a sample: shape (..., length // 2 + 1)."""
    place = (1 - fraction[..., None]) * _TABLE
    weights = (1 - (place - torch.arange(_TABLE + 1)).abs()).relu().float()  # linear interpolation, as a matrix product
    return torch.view_as_complex((weights @ _fraction_table(length)).unflatten(-1, (-1, 2)))


@lru_cache(maxsize=4)
def _fraction_table(length: int) -> Tensor:
    """Spectra at every point of the table, real and imaginary parts side by side: shape (21, 2 · (length // 2 + 1))."""
    tap = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    shift = torch.arange(_TABLE + 1, dtype=torch.float64)[:, None] / _TABLE
    filters = torch.hann_window(_TAPS, periodic=False, dtype=torch.float64) * torch.sinc(tap - 1 + shift)
    centred = torch.zeros(_TABLE + 1, length, dtype=torch.float64)
    centred[:, tap.long() % length] = filters
    return torch.view_as_real(torch.fft.rfft(centred)).flatten(-2).float()
