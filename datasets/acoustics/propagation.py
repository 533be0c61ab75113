"""Batched simulation of sound in the frequency domain: free field, and rooms by their impulse responses.

One FFT a source, one inverse FFT a microphone; the spectrum of a delay is a mean of two rows of a table. The result
equals pyroomacoustics' (`datasets.acoustics.pyroom`) below 7 kHz to better than -60 dB, which a test holds: its fractional
delays, an 81-tap sinc under a Hann window read from a table of 20 points a sample, are reproduced, table included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor
from torch.nn import functional

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SAMPLES, SPEED_OF_SOUND_M_S

_TAPS: Final = 81
_MARGIN: Final = _TAPS // 2 + 1
"""Samples kept from the ends of the transform, where its circular shifts wrap around."""
_TABLE: Final = 20
"""Points a sample in pyroomacoustics' table of the sinc; it interpolates linearly between them."""
_NEAREST_M: Final = 1e-3
"""A silent slot may stand on a microphone; nothing that sounds comes as near."""


@dataclass(frozen=True)
class PropagationWindow:
    """How much of a source is needed for 160 ms at the microphones.

    Attributes:
        length: Samples of the source.
        lead: Of these, samples before the first one that is heard.
    """

    length: int
    lead: int


def propagation_window(size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> PropagationWindow:
    """The window that covers the longest path of a room.

    Args:
        size_m: The room, x by y.
        microphones_m: Shape (arrays, microphones, 2).
    """
    corners = np.array([(x, y) for x in (0.0, size_m[0]) for y in (0.0, size_m[1])])
    farthest = float(np.linalg.norm(microphones_m.reshape(-1, 1, 2) - corners, axis=-1).max())
    lead = math.ceil(farthest / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + _MARGIN
    return PropagationWindow(fft.next_fast_len(lead + SAMPLES + _MARGIN, real=True), lead)


class FreeField:
    """Sound of several sources at several arrays: delayed by r/c and attenuated by 1/r, summed.

    Args:
        size_m: The room, x by y.
        microphones_m: Shape (arrays, microphones, 2).
    """

    def __init__(self, size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> None:
        self.window = propagation_window(size_m, microphones_m)
        self._shape = microphones_m.shape[:2]
        self._microphones = torch.from_numpy(microphones_m.reshape(-1, 2).astype(np.float64))
        self._table = _delay_table(self.window.lead, self.window.length)

    def propagate(self, sources: Tensor, positions_m: Tensor) -> Tensor:
        """Simulate a batch.

        Args:
            sources: Shape (batch, slots, length), float32; silent slots are zeros.
            positions_m: Shape (batch, slots, 2); silent slots may hold anything finite inside the room.

        Returns:
            Shape (batch, arrays, microphones, 2560), float32.
        """
        batch, slots, length = sources.shape
        distance = torch.cdist(positions_m.double(), self._microphones.expand(batch, -1, -1))
        delay = distance.flatten() * (SAMPLE_RATE_HZ / SPEED_OF_SOUND_M_S)
        place = delay.frac() * _TABLE
        row = (delay.floor() * (_TABLE + 1) + place.floor()).clamp(max=len(self._table) - 2)
        gain = 1 / distance.clamp(min=_NEAREST_M).float().flatten()
        upper = place.frac().float() * gain
        rows, weights = torch.stack([row, row + 1], 1).to(torch.int32), torch.stack([gain - upper, upper], 1)
        # One pass through memory: a gathered, weighted sum, which no pair of indexing and product comes near.
        transfer = functional.embedding_bag(rows, self._table, mode="sum", per_sample_weights=weights)
        shaped = torch.view_as_complex(transfer.view(batch, slots, len(self._microphones), -1, 2))
        spectra = torch.fft.rfft(sources)
        heard = spectra[:, 0, None] * shaped[:, 0]
        for slot in range(1, slots):
            heard.addcmul_(spectra[:, slot, None], shaped[:, slot])
        waves: Tensor = torch.fft.irfft(heard, length)[..., self.window.lead : self.window.lead + SAMPLES]
        return waves.reshape(batch, *self._shape, SAMPLES)


def _delay_table(longest: int, length: int) -> Tensor:
    """Spectra of impulses delayed by every 20th of a sample.

    pyroomacoustics' filter for a delay between two points of its table is the mean of the two, weighted by how near they
    are. Its window stands still while the sinc moves, so a delay of n + 20/20 is not one of n + 1 + 0/20.

    Returns:
        Real and imaginary parts side by side, shape (21 · (longest + 1), 2 · (length // 2 + 1)).
    """
    tap = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    shift = torch.arange(_TABLE + 1, dtype=torch.float64)[:, None] / _TABLE
    filters = torch.zeros(_TABLE + 1, length, dtype=torch.float64)
    filters[:, tap.long() % length] = torch.hann_window(_TAPS, periodic=False, dtype=torch.float64) * torch.sinc(
        tap - shift
    )
    fractions = torch.fft.rfft(filters).to(torch.complex64)
    bins = torch.arange(length // 2 + 1, dtype=torch.float64)
    table = torch.empty(longest + 1, _TABLE + 1, len(bins), dtype=torch.complex64)
    for delay in range(longest + 1):
        # Turns are reduced in double precision, so that single-precision sines stay exact at high bins.
        turns = (bins * delay / length).frac().float() * (-2 * math.pi)
        torch.mul(fractions, torch.polar(torch.ones_like(turns), turns), out=table[delay])
    return torch.view_as_real(table.flatten(0, 1)).flatten(-2)


def response_window(taps: int) -> PropagationWindow:
    """The window for impulse responses of so many taps, in whole blocks of 160 ms."""
    blocks = -(-taps // SAMPLES)
    return PropagationWindow((blocks + 1) * SAMPLES, blocks * SAMPLES)


class ImpulseResponses:
    """Sound through impulse responses: a convolution in blocks of 160 ms, of which only the heard block is computed.

    Args:
        responses: Shape (places, arrays, microphones, taps), float32.
        taps: Length that they are brought to with silence, if not their own.
    """

    def __init__(self, responses: NDArray[np.float32], taps: int | None = None) -> None:
        places, *self._shape, own = responses.shape
        self.window = response_window(taps or own)
        self._blocks = self.window.lead // SAMPLES
        padded = np.zeros((places, int(np.prod(self._shape)), self._blocks * SAMPLES), np.float32)
        padded[..., :own] = responses.reshape(places, -1, own)
        cut = torch.from_numpy(padded).unflatten(-1, (self._blocks, SAMPLES))
        self._spectra = [torch.fft.rfft(cut[:, :, block], 2 * SAMPLES) for block in range(self._blocks)]

    def propagate(self, sources: Tensor, places: Tensor) -> Tensor:
        """Convolve a batch.

        Args:
            sources: Shape (batch, slots, length), float32; silent slots are zeros.
            places: Rows of the responses, shape (batch, slots); silent slots may hold any.

        Returns:
            Shape (batch, arrays, microphones, 2560), float32.
        """
        batch, slots, _ = sources.shape
        heard = torch.zeros(batch, math.prod(self._shape), SAMPLES + 1, dtype=torch.complex64)
        for block, spectra in enumerate(self._spectra):
            first = (self._blocks - block - 1) * SAMPLES
            played = torch.fft.rfft(sources[..., first : first + 2 * SAMPLES])
            for slot in range(slots):
                heard.addcmul_(played[:, slot, None], spectra[places[:, slot]])
        waves: Tensor = torch.fft.irfft(heard, 2 * SAMPLES)[..., SAMPLES:]
        return waves.reshape(batch, *self._shape, SAMPLES)
