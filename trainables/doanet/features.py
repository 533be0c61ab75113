"""Log-mel spectra with intensity vectors (FOA) or GCC-PHAT of all pairs (MIC), and their scaling.

Source: section on features in Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning
sound source localizers" (2021); values that the paper does not state are those of the authors' implementation.
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
"""Distance of feature frames, in samples."""
WINDOW: Final = 960
"""Length of the windows, in samples."""
FFT: Final = 1024
"""Length of the transforms, in samples."""
BANDS: Final = 64
"""Number of mel bands."""
FRAMES_PER_LABEL: Final = 5
"""Number of feature frames per label frame: 20 ms and 100 ms."""
FEATURE_CHANNELS: Final[dict[Format, int]] = {"foa": 7, "mic": 10}

_LEAST_POWER: Final = 1e-10
_LEAST_ENERGY: Final = 1e-8

_MEL_PARTS: Final = 2
"""Number of groups of bands with separate products, which halves the work; more groups are not faster."""
_CACHED_FRAMES: Final = 50
"""Number of frames processed at once on a CPU, over all recordings, so that intermediate results stay in its cache."""
_FRAMES_AT_ONCE: Final = 20_000
"""Number of frames processed at once on other devices, limited by memory: 20 000 frames take about 2 GiB."""

# Slaney's scale: linear up to 1 kHz, then 27 steps to a factor of 6.4.
_LINEAR_HZ: Final = 200 / 3
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP: Final = float(np.log(6.4)) / 27


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert frequencies to Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1 kHz, logarithmic above.

    The linear part has 3 mel per 200 Hz.
    """
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert mel to Hz, the inverse of `hz_to_mel`."""
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)


def mel_frequencies(count: int, high_hz: float) -> NDArray[np.float64]:
    """Return frequencies from 0 to `high_hz` with equal distances in mel, in Hz, shape (count,)."""
    return mel_to_hz(np.linspace(0.0, float(hz_to_mel(np.array(high_hz))), count))


def mel_matrix() -> NDArray[np.float64]:
    """Return triangular filters over the bins of the STFT from 0 to 12 kHz, shape (513 bins, 64 bands).

    Each triangle has an area of 1 in Hz; it rises from the centre of the band below to its own, and falls to that of the band
    above.
    """
    bins_hz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ)[:, None]
    edges_hz = mel_frequencies(BANDS + 2, SAMPLE_RATE_HZ / 2)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rise = (bins_hz - low) / (centre - low)
    fall = (high - bins_hz) / (high - centre)
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)


def _mel_parts(like: Tensor) -> list[tuple[slice, Tensor]]:
    """Return the mel matrix in groups of bands, each with its range of non-zero bins."""
    parts = []
    for bands in np.split(mel_matrix(), _MEL_PARTS, axis=1):
        nonzero = np.flatnonzero(bands.any(axis=1)).tolist()
        bins = slice(nonzero[0], nonzero[-1] + 1)
        parts.append((bins, torch.as_tensor(bands[bins], dtype=like.dtype, device=like.device)))
    return parts


def _to_mel_bands(values: Float[Tensor, "*batch 513"], mel: list[tuple[slice, Tensor]]) -> Float[Tensor, "*batch 64"]:
    """Multiply with the mel matrix."""
    return torch.cat([values[..., bins] @ matrix for bins, matrix in mel], dim=-1)


def compute_stft(
    waves: Float[Tensor, "batch channels samples"], at_once: int
) -> Iterator[tuple[slice, Complex[Tensor, "batch channels frames 513"]]]:
    """Compute spectra every 20 ms with a periodic Hann window of 40 ms, centred in 1024 samples.

    Frames are centred on samples 0, 480, 960 …; the signal is zero beyond its ends. The frame centred on the end is left out,
    so that 60 s have 3000 frames.

    Args:
        waves: Complete recordings.
        at_once: Number of frames per step.

    Yields:
        Range of frames, and their spectra.
    """
    window = functional.pad(
        torch.hann_window(WINDOW, device=waves.device, dtype=waves.dtype), ((FFT - WINDOW) // 2,) * 2
    )
    samples = waves.shape[-1]
    for first in range(0, samples // HOP, at_once):
        last = min(first + at_once, samples // HOP)
        start, stop = first * HOP - FFT // 2, (last - 1) * HOP + FFT // 2
        segment = waves[..., max(start, 0) : stop]
        if start < 0 or stop > samples:
            segment = functional.pad(segment, (max(-start, 0), max(stop - samples, 0)))
        yield slice(first, last), torch.fft.rfft(segment.unfold(-1, FFT, HOP) * window)


def band_power(spectra: Complex[Tensor, "*batch 513"]) -> Float[Tensor, "*batch 513"]:
    """Return squared magnitudes, without the square root that `abs` would compute."""
    parts = torch.view_as_real(spectra)
    return _sum_spectra(parts * parts)


def intensity_vectors(
    spectra: Complex[Tensor, "batch 4 frames 513"], powers: Float[Tensor, "batch 4 frames 513"]
) -> Float[Tensor, "batch 3 frames 513"]:
    """Return the active intensity divided by the energy density.

    With unit-gain dipoles, a plane wave has a vector of length 3/4 in every bin, which points to its direction of arrival.

    Args:
        spectra: Spectra of the channels W, Y, Z, X.
        powers: Squared magnitudes of the spectra.

    Returns:
        Channels Y, Z, X: the order of the recording, as in the authors' implementation; the paper states x, y, z.
    """
    parts = torch.view_as_real(spectra)
    active = _sum_spectra(parts[:, :1] * parts[:, 1:])
    return active.div_(powers[:, :1] + powers[:, 1:].mean(1, keepdim=True) + _LEAST_ENERGY)


def _sum_spectra(products: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    return products[..., 0] + products[..., 1]


def gcc_phat(
    spectra: Complex[Tensor, "batch mics frames 513"], powers: Float[Tensor, "batch mics frames 513"]
) -> Float[Tensor, "batch pairs frames 64"]:
    """Return the generalised cross-correlation with phase transform (Knapp and Carter 1976) of all pairs.

    Args:
        spectra: Spectra of the microphones.
        powers: Squared magnitudes of the spectra.

    Returns:
        Correlations of the pairs (0,1), (0,2) … (2,3) at lags of -32 … 31 samples of 41.7 µs; a peak at lag d means that the
        sound arrives d samples later at the second microphone of the pair.
    """
    # The phase of a product is the product of the phases, and there are fewer microphones than pairs to normalise.
    phases = spectra * powers.rsqrt()
    silent = powers == 0 if bool(powers.amin() == 0) else None
    half, correlations = BANDS // 2, []
    for first in range(spectra.shape[1] - 1):
        one, others = slice(first, first + 1), slice(first + 1, None)
        cross = phases[:, one].conj() * phases[:, others]
        if silent is not None:
            # A silent bin has the phase 0, so that silence correlates at lag 0.
            cross = cross.masked_fill(silent[:, one] | silent[:, others], 1)
        lags = torch.fft.irfft(cross, FFT)
        correlations.append(torch.cat([lags[..., -half:], lags[..., :half]], dim=-1))
    return torch.cat(correlations, dim=1)


def extract_features(
    waves: Float[Tensor, "batch 4 samples"], fmt: Format, *, top_db: float | None = 80.0
) -> Float[Tensor, "batch features frames 64"]:
    """Compute the features of recordings at 24 kHz, full scale 1.

    Args:
        waves: Complete recordings of one length; FOA channels are W, Y, Z, X.
        fmt: Format of the recordings, `foa` or `mic`.
        top_db: Largest distance of log-mel values below the maximum of their channel, in dB; lower values are raised to it.
            None disables this.

    Returns:
        Unscaled features: 4 log-mel channels in dB, then 3 of intensity (FOA) or 6 of GCC-PHAT (MIC); one frame per 480
        samples.
    """
    mel = _mel_parts(waves)
    features = waves.new_empty(len(waves), FEATURE_CHANNELS[fmt], waves.shape[-1] // HOP, BANDS)
    at_once = max(1, (_CACHED_FRAMES if waves.device.type == "cpu" else _FRAMES_AT_ONCE) // len(waves))
    for frames, spectra in compute_stft(waves, at_once):
        powers = band_power(spectra)
        features[:, :4, frames] = _to_mel_bands(powers, mel)
        spatial = _to_mel_bands(intensity_vectors(spectra, powers), mel) if fmt == "foa" else gcc_phat(spectra, powers)
        features[:, 4:, frames] = spatial
    level = features[:, :4].clamp_(min=_LEAST_POWER).log10_().mul_(10)
    if top_db is not None:
        torch.maximum(level, level.amax((2, 3), keepdim=True) - top_db, out=level)
    return features


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Scaling of features to zero mean and unit variance per channel and band.

    Attributes:
        mean: Means, shape (channels, bands).
        std: Population standard deviations, shape (channels, bands); 1 for constant features.
    """

    mean: Tensor
    std: Tensor

    def scale_features(
        self, features: Float[Tensor, "batch channels frames bands"]
    ) -> Float[Tensor, "batch channels frames bands"]:
        """Subtract the mean and divide by the standard deviation."""
        mean, std = (value.to(features)[:, None] for value in (self.mean, self.std))
        return (features - mean) / std


def fit_scaler(recordings: Iterable[Float[Tensor, "channels frames bands"]]) -> FeatureScaler:
    """Fit a scaler to recordings, which should be those of the training split.

    Means and variances of recordings are pooled (Chan, Golub and LeVeque 1979), so only one recording is in memory.

    Args:
        recordings: Features of the recordings.

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
