"""Log-mel spectra with the intensity vector (FOA) or the GCC-PHAT of all pairs (MIC), and their scaling.

Source: section on features in Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning
sound source localizers" (2021); numbers that the paper leaves open are those of the authors' implementation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trainables.doanet.config import Format

SAMPLE_RATE_HZ: Final = 24_000
HOP: Final = 480
WINDOW: Final = 960
FFT: Final = 1024
BANDS: Final = 64
FRAMES_PER_LABEL: Final = 5
"""Labels come every 100 ms, feature frames every 20 ms."""
FEATURE_CHANNELS: Final[dict[Format, int]] = {"foa": 7, "mic": 10}

_LEAST_POWER: Final = 1e-10
_LEAST_ENERGY: Final = 1e-8

_MEL_PARTS: Final = 2
"""Groups of bands that are multiplied apart, which halves the product; more groups save no more time."""
_CACHED_FRAMES: Final = 50
"""Frames worked on at once, over all recordings: on a CPU what lies between the steps then stays in its cache."""
_FRAMES_AT_ONCE: Final = 20_000
"""Likewise on other devices, where memory is the limit: 20 000 frames take about 2 GiB."""

# Slaney's scale: linear up to 1 kHz, then 27 steps to a factor of 6.4.
_LINEAR_HZ: Final = 200 / 3
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP: Final = float(np.log(6.4)) / 27


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox, 1998): 3 mel per 200 Hz up to 1 kHz, logarithmic above."""
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)


def mel_frequencies(count: int, high_hz: float) -> NDArray[np.float64]:
    """Frequencies from 0 to `high_hz`, equally far apart in mel, shape (count,), Hz."""
    return mel_to_hz(np.linspace(0.0, float(hz_to_mel(np.array(high_hz))), count))


def mel_matrix() -> NDArray[np.float64]:
    """Triangles over the bins of the STFT, each of area 1 in Hz, from 0 to 12 kHz; shape (513 bins, 64 bands).

    Each triangle rises from the centre of the band below to its own, and falls to that of the band above.
    """
    bins_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)[:, None]
    edges_hz = mel_frequencies(BANDS + 2, SAMPLE_RATE_HZ / 2)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rise = (bins_hz - low) / (centre - low)
    fall = (high - bins_hz) / (high - centre)
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)


def _mel_parts(like: Tensor) -> list[tuple[slice, Tensor]]:
    """The mel matrix in groups of bands, each with the bins it hears alone: all others are zero in it."""
    parts = []
    for bands in np.split(mel_matrix(), _MEL_PARTS, axis=1):
        heard = np.flatnonzero(bands.any(axis=1)).tolist()
        bins = slice(heard[0], heard[-1] + 1)
        parts.append((bins, torch.as_tensor(bands[bins], dtype=like.dtype, device=like.device)))
    return parts


def _to_mel_bands(values: Float[Tensor, "*batch 513"], mel: list[tuple[slice, Tensor]]) -> Float[Tensor, "*batch 64"]:
    """The product with the mel matrix."""
    return torch.cat([values[..., bins] @ part for bins, part in mel], dim=-1)


def compute_stft(
    waves: Float[Tensor, "batch channels samples"], at_once: int
) -> Iterator[tuple[slice, Complex[Tensor, "batch channels frames 513"]]]:
    """Spectra every 20 ms through a periodic Hann window of 40 ms, which stands in the middle of 1024 samples.

    Frames are centred on samples 0, 480, 960 …; beyond the edges the sound is zero. The frame centred on the end of the
    sound is left out, so that 60 s have 3000 frames.

    Args:
        waves: Whole recordings.
        at_once: How many frames come together.

    Yields:
        Which frames, and their spectra.
    """
    window = functional.pad(
        torch.hann_window(WINDOW, device=waves.device, dtype=waves.dtype), ((FFT - WINDOW) // 2,) * 2
    )
    samples = waves.shape[-1]
    for first in range(0, samples // HOP, at_once):
        last = min(first + at_once, samples // HOP)
        start, stop = first * HOP - FFT // 2, (last - 1) * HOP + FFT // 2
        heard = waves[..., max(start, 0) : stop]
        if start < 0 or stop > samples:
            heard = functional.pad(heard, (max(-start, 0), max(stop - samples, 0)))
        yield slice(first, last), torch.fft.rfft(heard.unfold(-1, FFT, HOP) * window)


def band_power(spectra: Complex[Tensor, "*batch 513"]) -> Float[Tensor, "*batch 513"]:
    """Squared magnitudes; without a square root on the way, as `abs` would take it."""
    parts = torch.view_as_real(spectra)
    return _sum_spectra(parts * parts)


def intensity_vectors(
    spectra: Complex[Tensor, "batch 4 frames 513"], powers: Float[Tensor, "batch 4 frames 513"]
) -> Float[Tensor, "batch 3 frames 513"]:
    """Active intensity over the energy density.

    A plane wave of unit-gain dipoles has a vector of length 3/4 in every bin, which points to where it comes from.

    Args:
        spectra: Channels W, Y, Z, X.
        powers: Of these spectra.

    Returns:
        Channels Y, Z, X: the order of the recording, as in the authors' implementation; the paper says x, y, z.
    """
    parts = torch.view_as_real(spectra)
    active = _sum_spectra(parts[:, :1] * parts[:, 1:])
    return active.div_(powers[:, :1] + powers[:, 1:].mean(1, keepdim=True) + _LEAST_ENERGY)


def _sum_spectra(products: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    return products[..., 0] + products[..., 1]


def gcc_phat(
    spectra: Complex[Tensor, "batch mics frames 513"], powers: Float[Tensor, "batch mics frames 513"]
) -> Float[Tensor, "batch pairs frames 64"]:
    """Generalised cross-correlation with phase transform (Knapp and Carter 1976) of all pairs (0,1), (0,2) … (2,3).

    Args:
        spectra: Of all microphones.
        powers: Of these spectra.

    Returns:
        Lags of -32 … 31 samples of 41.7 µs; a peak at lag d says that the pair's second microphone hears it d later.
    """
    # The phase of a product is the product of phases: there are fewer microphones to normalise than pairs.
    phases = spectra * powers.rsqrt()
    silent = powers == 0 if bool(powers.amin() == 0) else None
    half, found = BANDS // 2, []
    for first in range(spectra.shape[1] - 1):
        one, others = slice(first, first + 1), slice(first + 1, None)
        cross = phases[:, one].conj() * phases[:, others]
        if silent is not None:
            # A bin without sound has the phase 0, so that silence correlates at lag 0.
            cross = cross.masked_fill(silent[:, one] | silent[:, others], 1)
        lags = torch.fft.irfft(cross, FFT)
        found.append(torch.cat([lags[..., -half:], lags[..., :half]], dim=-1))
    return torch.cat(found, dim=1)


def extract_features(
    waves: Float[Tensor, "batch 4 samples"], fmt: Format, *, top_db: float | None = 80.0
) -> Float[Tensor, "batch features frames 64"]:
    """Features of recordings at 24 kHz, full scale 1.

    Args:
        waves: Whole recordings; FOA channels are W, Y, Z, X. As in any batch all are of one length.
        fmt: `foa` or `mic`.
        top_db: Log-mel values further below their channel's maximum are raised to that; None raises none.

    Returns:
        4 log-mel channels in dB, then 3 of intensity (FOA) or 6 of GCC-PHAT (MIC); one frame per 480 samples. Unscaled.
    """
    mel = _mel_parts(waves)
    found = waves.new_empty(len(waves), FEATURE_CHANNELS[fmt], waves.shape[-1] // HOP, BANDS)
    at_once = max(1, (_CACHED_FRAMES if waves.device.type == "cpu" else _FRAMES_AT_ONCE) // len(waves))
    for frames, spectra in compute_stft(waves, at_once):
        powers = band_power(spectra)
        found[:, :4, frames] = _to_mel_bands(powers, mel)
        spatial = _to_mel_bands(intensity_vectors(spectra, powers), mel) if fmt == "foa" else gcc_phat(spectra, powers)
        found[:, 4:, frames] = spatial
    level = found[:, :4].clamp_(min=_LEAST_POWER).log10_().mul_(10)
    if top_db is not None:
        torch.maximum(level, level.amax((2, 3), keepdim=True) - top_db, out=level)
    return found


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Zero mean and unit variance for every channel and band.

    Attributes:
        mean: Shape (channels, bands).
        std: Population standard deviation, shape (channels, bands); 1 where nothing varies.
    """

    mean: Tensor
    std: Tensor

    def scale_features(
        self, features: Float[Tensor, "batch channels frames bands"]
    ) -> Float[Tensor, "batch channels frames bands"]:
        """Subtract the mean, divide by the standard deviation."""
        mean, std = (value.to(features)[:, None] for value in (self.mean, self.std))
        return (features - mean) / std


def fit_scaler(recordings: Iterable[Float[Tensor, "channels frames bands"]]) -> FeatureScaler:
    """Fit to the recordings given; they should be those of training alone.

    Means and variances of recordings are pooled (Chan, Golub and LeVeque 1979), so one recording at a time is in memory.

    Raises:
        ValueError: If there is no recording.
    """
    count = 0
    mean = squares = torch.zeros(())
    for recording in recordings:
        values = recording.double()
        new = values.shape[1]
        change = values.mean(1) - mean
        squares = squares + values.var(1, correction=0) * new + change.square() * (count * new / (count + new))
        mean = mean + change * (new / (count + new))
        count += new
    if not count:
        raise ValueError("a scaler is fitted to at least one recording")
    std = (squares / count).sqrt()
    return FeatureScaler(mean.float(), torch.where(std > 0, std, 1.0).float())
