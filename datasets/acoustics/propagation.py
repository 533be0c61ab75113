"""Batched simulation of sound propagation in the frequency domain: free field, and rooms by their impulse responses.

The simulation takes one FFT per source and one inverse FFT per microphone; the spectrum of a delay is interpolated between
two rows of a table. Below 7 kHz the result deviates from that of pyroomacoustics (`datasets.acoustics.pyroom`) by less than
-60 dB, which a test asserts. To this end, the fractional delays of pyroomacoustics are reproduced: an 81-tap sinc with a
Hann window, read from a table of 20 points per sample.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor
from torch.nn import functional

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S

_SINC_TAPS: Final = 81
"""Length of the fractional-delay filters of pyroomacoustics."""
_WRAP_MARGIN: Final = _SINC_TAPS // 2 + 1
"""Samples discarded at each end of the transform, where circular shifts wrap around."""
_TABLE_STEPS: Final = 20
"""Points per sample in the sinc table of pyroomacoustics, which interpolates linearly between them."""
_MIN_DISTANCE_M: Final = 1e-3
"""Lower bound of distances, in metres; only silent slots may be closer to a microphone."""


@dataclass(frozen=True)
class PropagationWindow:
    """Section of a source signal that determines 160 ms at the microphones.

    Attributes:
        length: Length of the section, in samples.
        lead: Number of samples that precede the 160 ms at the microphones.
    """

    length: int
    lead: int


def propagation_window(size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> PropagationWindow:
    """Return the window that covers the longest path in a room.

    Args:
        size_m: Size of the room, x by y.
        microphones_m: Microphone positions, shape (arrays, microphones, 2 or 3).
    """
    axes = microphones_m.shape[-1]
    corners = np.array([[x, y, 0.0][:axes] for x in (0.0, size_m[0]) for y in (0.0, size_m[1])])
    farthest = float(np.linalg.norm(microphones_m.reshape(-1, 1, axes) - corners, axis=-1).max())
    lead = math.ceil(farthest / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + _WRAP_MARGIN
    return PropagationWindow(fft.next_fast_len(lead + MIXTURE_SAMPLES + _WRAP_MARGIN, real=True), lead)


class FreeField:
    """Free-field propagation from sources to microphone arrays: signals delayed by r/c, attenuated by 1/r and summed.

    Args:
        size_m: Size of the area, x by y.
        microphones_m: Microphone positions, shape (arrays, microphones, 2), or 3 with heights above the sources.
    """

    def __init__(self, size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> None:
        self.window = propagation_window(size_m, microphones_m)
        self._shape = microphones_m.shape[:2]
        self._microphones = torch.from_numpy(microphones_m.reshape(-1, microphones_m.shape[-1]).astype(np.float64))
        self._table = _delay_table(self.window.lead, self.window.length)

    def to(self, device: torch.device | str) -> FreeField:
        """Return a copy on a device, on which source signals and positions then have to be."""
        moved = copy.copy(self)
        moved._microphones, moved._table = self._microphones.to(device), self._table.to(device)
        return moved

    def propagate(self, sources: Tensor, positions_m: Tensor) -> Tensor:
        """Simulate a batch of mixtures.

        Args:
            sources: Source signals, shape (batch, slots, length), float32; zeros in silent slots.
            positions_m: Source positions, shape (batch, slots, 2); any position inside the room for silent slots.

        Returns:
            Microphone signals, shape (batch, arrays, microphones, 2560), float32.
        """
        batch, slots, length = sources.shape
        placed = functional.pad(positions_m.double(), (0, self._microphones.shape[-1] - 2))
        distance = torch.cdist(placed, self._microphones.expand(batch, -1, -1))
        delay = distance.flatten() * (SAMPLE_RATE_HZ / SPEED_OF_SOUND_M_S)
        step = delay.frac() * _TABLE_STEPS
        row = (delay.floor() * (_TABLE_STEPS + 1) + step.floor()).clamp(max=len(self._table) - 2)
        gain = 1 / distance.clamp(min=_MIN_DISTANCE_M).float().flatten()
        upper = step.frac().float() * gain
        rows, weights = torch.stack([row, row + 1], 1).to(torch.int32), torch.stack([gain - upper, upper], 1)
        # A gathered, weighted sum in one pass through memory; indexing followed by a product is much slower.
        transfer = functional.embedding_bag(rows, self._table, mode="sum", per_sample_weights=weights)
        shaped = torch.view_as_complex(transfer.view(batch, slots, len(self._microphones), -1, 2))
        spectra = torch.fft.rfft(sources)
        mixed = spectra[:, 0, None] * shaped[:, 0]
        for slot in range(1, slots):
            mixed.addcmul_(spectra[:, slot, None], shaped[:, slot])
        waves: Tensor = torch.fft.irfft(mixed, length)[..., self.window.lead : self.window.lead + MIXTURE_SAMPLES]
        return waves.reshape(batch, *self._shape, MIXTURE_SAMPLES)


def _delay_table(longest: int, length: int) -> Tensor:
    """Compute the spectra of impulses delayed by multiples of 1/20 sample.

    The filter of pyroomacoustics for a delay between two points of its table interpolates linearly between them. The window
    of the filter is fixed while the sinc moves, so the filter for a delay of n + 20/20 differs from that of n + 1 + 0/20.

    Args:
        longest: Longest delay, in samples.
        length: Length of the transform, in samples.

    Returns:
        Interleaved real and imaginary parts, shape (21 · (longest + 1), 2 · (length // 2 + 1)).
    """
    tap = torch.arange(_SINC_TAPS, dtype=torch.float64) - _SINC_TAPS // 2
    shift = torch.arange(_TABLE_STEPS + 1, dtype=torch.float64)[:, None] / _TABLE_STEPS
    filters = torch.zeros(_TABLE_STEPS + 1, length, dtype=torch.float64)
    filters[:, tap.long() % length] = torch.hann_window(_SINC_TAPS, periodic=False, dtype=torch.float64) * torch.sinc(
        tap - shift
    )
    fractions = torch.fft.rfft(filters).to(torch.complex64)
    bins = torch.arange(length // 2 + 1, dtype=torch.float64)
    table = torch.empty(longest + 1, _TABLE_STEPS + 1, len(bins), dtype=torch.complex64)
    for delay in range(longest + 1):
        # Phases are reduced modulo 2π in double precision, so that single-precision sines stay exact at high bins.
        turns = (bins * delay / length).frac().float() * (-2 * math.pi)
        torch.mul(fractions, torch.polar(torch.ones_like(turns), turns), out=table[delay])
    return torch.view_as_real(table.flatten(0, 1)).flatten(-2)


def response_window(taps: int) -> PropagationWindow:
    """Return the window for impulse responses of a number of taps, in whole blocks of 160 ms."""
    blocks = -(-taps // MIXTURE_SAMPLES)
    return PropagationWindow((blocks + 1) * MIXTURE_SAMPLES, blocks * MIXTURE_SAMPLES)


class ImpulseResponses:
    """Convolution with impulse responses in blocks of 160 ms, of which only the last output block is computed.

    Args:
        responses: Impulse responses, shape (positions, arrays, microphones, taps), float32.
        taps: Length to which the responses are padded with zeros; their own length by default.
    """

    def __init__(self, responses: NDArray[np.float32], taps: int | None = None) -> None:
        positions, *self._shape, own_taps = responses.shape
        self.window = response_window(taps or own_taps)
        self._blocks = self.window.lead // MIXTURE_SAMPLES
        padded = np.zeros((positions, int(np.prod(self._shape)), self._blocks * MIXTURE_SAMPLES), np.float32)
        padded[..., :own_taps] = responses.reshape(positions, -1, own_taps)
        blocks = torch.from_numpy(padded).unflatten(-1, (self._blocks, MIXTURE_SAMPLES))
        self._spectra = [torch.fft.rfft(blocks[:, :, block], 2 * MIXTURE_SAMPLES) for block in range(self._blocks)]

    def propagate(self, sources: Tensor, rows: Tensor) -> Tensor:
        """Simulate a batch of mixtures.

        Args:
            sources: Source signals, shape (batch, slots, length), float32; zeros in silent slots.
            rows: Indices of the impulse responses, shape (batch, slots); any index for silent slots.

        Returns:
            Microphone signals, shape (batch, arrays, microphones, 2560), float32.
        """
        batch, slots, _ = sources.shape
        mixed = torch.zeros(batch, math.prod(self._shape), MIXTURE_SAMPLES + 1, dtype=torch.complex64)
        for block, spectra in enumerate(self._spectra):
            first = (self._blocks - block - 1) * MIXTURE_SAMPLES
            source_spectra = torch.fft.rfft(sources[..., first : first + 2 * MIXTURE_SAMPLES])
            for slot in range(slots):
                mixed.addcmul_(source_spectra[:, slot, None], spectra[rows[:, slot]])
        waves: Tensor = torch.fft.irfft(mixed, 2 * MIXTURE_SAMPLES)[..., MIXTURE_SAMPLES:]
        return waves.reshape(batch, *self._shape, MIXTURE_SAMPLES)
