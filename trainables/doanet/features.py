"""Log-mel spectra with the intensity vector (FOA) or the GCC-PHAT of all pairs (MIC), and their scaling.

Source: section on features in Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning
sound source localizers" (2021); numbers that the paper leaves open are those of the authors' implementation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

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


def stft(waves: Float[Tensor, "batch channels samples"]) -> Complex[Tensor, "batch channels frames 513"]:
    """Spectra every 20 ms through a periodic Hann window of 40 ms, which stands in the middle of 1024 samples.

    Frames are centred on samples 0, 480, 960 …; beyond the edges the sound is zero. The frame centred on the end of the
    sound is left out, so that 60 s have 3000 frames.
    """
    window = torch.hann_window(WINDOW, device=waves.device, dtype=waves.dtype)
    spectra = torch.stft(
        waves.flatten(0, 1), FFT, HOP, WINDOW, window, center=True, pad_mode="constant", return_complex=True
    )
    frames = waves.shape[-1] // HOP
    by_channel: Tensor = spectra[..., :frames].transpose(1, 2).unflatten(0, waves.shape[:2])
    return by_channel


def log_mel(
    spectra: Complex[Tensor, "batch channels frames 513"], mel: Float[Tensor, "513 bands"], top_db: float | None = 80.0
) -> Float[Tensor, "batch channels frames bands"]:
    """Mel spectra in dB.

    Args:
        spectra: Of whole recordings, since `top_db` refers to all frames given.
        mel: From `mel_matrix`.
        top_db: Values further below the channel's maximum are raised to that; None raises none.
    """
    power = spectra.real.square() + spectra.imag.square()
    level = 10 * (power @ mel).clamp(min=_LEAST_POWER).log10()
    return level if top_db is None else torch.maximum(level, level.amax((2, 3), keepdim=True) - top_db)


def intensity(
    spectra: Complex[Tensor, "batch 4 frames 513"], mel: Float[Tensor, "513 bands"]
) -> Float[Tensor, "batch 3 frames bands"]:
    """Active intensity over the energy density, summed over each band.

    A plane wave of unit-gain dipoles has a vector of length 3/4 in every bin, which points to where it comes from.

    Args:
        spectra: Channels W, Y, Z, X.
        mel: From `mel_matrix`.

    Returns:
        Channels Y, Z, X: the order of the recording, as in the authors' implementation; the paper says x, y, z.
    """
    omni, dipoles = spectra[:, :1], spectra[:, 1:]
    active = (omni.conj() * dipoles).real
    power = spectra.real.square() + spectra.imag.square()
    energy = power[:, :1] + power[:, 1:].mean(1, keepdim=True)
    return (active / (_LEAST_ENERGY + energy)) @ mel


def gcc_phat(spectra: Complex[Tensor, "batch mics frames 513"]) -> Float[Tensor, "batch pairs frames 64"]:
    """Generalised cross-correlation with phase transform (Knapp and Carter 1976) of all pairs (0,1), (0,2) … (2,3).

    Returns:
        Lags of -32 … 31 samples of 41.7 µs; a peak at lag d says that the pair's second microphone hears it d later.
    """
    pairs = list(itertools.combinations(range(spectra.shape[1]), 2))
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    cross = spectra[:, first].conj() * spectra[:, second]
    # A bin without sound has the phase 0, so that silence correlates at lag 0.
    phases = torch.where(cross.abs() > 0, cross.sgn(), 1)
    lags = torch.fft.irfft(phases, FFT)
    half = BANDS // 2
    return torch.cat([lags[..., -half:], lags[..., :half]], dim=-1)


def extract(
    waves: Float[Tensor, "batch 4 samples"], fmt: Format, *, top_db: float | None = 80.0
) -> Float[Tensor, "batch features frames 64"]:
    """Features of recordings at 24 kHz, full scale 1.

    Args:
        waves: Whole recordings; FOA channels are W, Y, Z, X. As in any batch all are of one length.
        fmt: `foa` or `mic`.
        top_db: See `log_mel`.

    Returns:
        4 log-mel channels in dB, then 3 of intensity (FOA) or 6 of GCC-PHAT (MIC); one frame per 480 samples. Unscaled.
    """
    mel = torch.as_tensor(mel_matrix(), dtype=waves.dtype, device=waves.device)
    spectra = stft(waves)
    spatial = intensity(spectra, mel) if fmt == "foa" else gcc_phat(spectra)
    return torch.cat([log_mel(spectra, mel, top_db), spatial], dim=1)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Zero mean and unit variance for every channel and band.

    Attributes:
        mean: Shape (channels, bands).
        std: Population standard deviation, shape (channels, bands); 1 where nothing varies.
    """

    mean: Tensor
    std: Tensor

    def scale(
        self, features: Float[Tensor, "batch channels frames bands"]
    ) -> Float[Tensor, "batch channels frames bands"]:
        """Subtract the mean, divide by the standard deviation."""
        mean, std = (value.to(features)[:, None] for value in (self.mean, self.std))
        return (features - mean) / std


def fit_scaler(recordings: Iterable[Float[Tensor, "channels frames bands"]]) -> Scaler:
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
    return Scaler(mean.float(), torch.where(std > 0, std, 1.0).float())
