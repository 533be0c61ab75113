"""Resampling of long sound section by section, with the result of resampling it at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio.sound_files import resample_sound

_FILTER_HALF_LENGTH: Final = 10
"""Half the length of the filter of `scipy.signal.resample_poly`, in periods of the lower one of both rates."""


@dataclass(frozen=True)
class ResampledSound:
    """Sound at another sample rate; each section is computed when it is read.

    Attributes:
        read: Function of the first sample and the number of samples at the original rate; returns shape (samples, channels).
        original_samples: Number of samples at the original rate.
        rate_hz: Original sample rate.
        wanted_hz: Sample rate of the result.
    """

    read: Callable[[int, int], NDArray[np.float32]]
    original_samples: int
    rate_hz: int
    wanted_hz: int

    @property
    def samples(self) -> int:
        """Number of samples of the result."""
        return resampled_length(self.original_samples, self.rate_hz, self.wanted_hz)

    def read_section(self, first: int, samples: int) -> NDArray[np.float32]:
        """Return a section of the result, shape (samples, channels)."""
        divisor = math.gcd(self.rate_hz, self.wanted_hz)
        up, down = self.wanted_hz // divisor, self.rate_hz // divisor
        context = math.ceil(_FILTER_HALF_LENGTH * max(1, down / up)) + 1
        # Only at multiples of `down` does an original sample coincide with one of the result.
        start = max(0, first // up * down - math.ceil(context / down) * down)
        stop = min(self.original_samples, math.ceil((first + samples) * down / up) + context)
        resampled = resample_sound(self.read(start, stop - start), self.rate_hz, self.wanted_hz)
        skipped = first - start // down * up
        return resampled[skipped : skipped + samples]


def resampled_length(samples: int, rate_hz: int, wanted_hz: int) -> int:
    """Return the number of samples after resampling."""
    return -(-samples * wanted_hz // rate_hz)
