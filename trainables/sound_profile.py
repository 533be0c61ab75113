"""Profile of training sound: ranges of level, spectrum, noisiness and coherence, with which recordings are compared.

Training excerpts and recordings are measured alike: windows of one length, all channels, and without pauses. A quantity of a
recording is outside if three quarters of its windows lie beyond 19 of 20 training windows, on the same side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainables.prediction import Recording

TRAINING_EXCERPTS: Final = 200
"""Number of training excerpts that a profile is computed from."""
_RECORDING_WINDOWS: Final = 200
"""Largest number of windows of a recording that are measured, evenly spread."""
_FEWEST_WINDOWS: Final = 5
"""A recording with fewer windows is not compared: one note need not resemble most of the training data."""
_QUANTILES: Final = (0.05, 0.5, 0.95)
_MOST: Final = (0.25, 0.75)
"""Quantiles of a recording: if the upper one is below the range of training, three quarters of the windows are."""
_PAUSE_DB: Final = 30.0
"""Windows that are quieter than the loud ones by more are pauses."""
_FRAME_S: Final = 0.032
"""Length of the Fourier transforms, which are averaged in each window, in s."""
_CHUNK: Final = 8
"""Number of windows whose spectra are computed at once."""
_LOWEST_HZ: Final = 100.0
_LEAST_BAND_HZ: Final = 250.0
"""Lower edge of the lowest octave band."""
_FLOOR: Final = 1e-12

LEVEL: Final = "level_dbfs"
FLATNESS: Final = "flatness_db"
COHERENCE: Final = "coherence"
BAND: Final = "band_hz_"
"""Prefix of the level of an octave band relative to the complete spectrum, in dB; the lower edge in Hz follows."""


@dataclass(frozen=True, eq=False)
class SoundExcerpts:
    """Excerpts of training sound, in the format of recordings.

    Attributes:
        rate_hz: Sample rate, in Hz.
        waves: Excerpts of one length, shape (excerpts, samples, channels); full scale 1.
    """

    rate_hz: int
    waves: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Departure:
    """Quantity of a recording that lies outside the range of training.

    Attributes:
        quantity: Name of the quantity.
        is_above: Whether the recording lies above the range.
        value: Median of the recording.
        bound: End of the range of training on this side.
    """

    quantity: str
    is_above: bool
    value: float
    bound: float


@dataclass(frozen=True)
class SoundProfile:
    """Ranges of measured quantities in the training data of a model.

    Attributes:
        rate_hz: Sample rate, in Hz.
        window_samples: Length of the windows, in samples.
        quantiles: The 5th, 50th and 95th percentile of each quantity.
    """

    rate_hz: int
    window_samples: int
    quantiles: Mapping[str, tuple[float, float, float]]

    @classmethod
    def from_excerpts(cls, excerpts: SoundExcerpts) -> SoundProfile:
        """Measure excerpts of training sound; each one is a window."""
        measured = measure_windows(excerpts.waves, excerpts.rate_hz)
        quantiles = {name: _quantiles(values) for name, values in measured.items()}
        return cls(excerpts.rate_hz, excerpts.waves.shape[1], quantiles)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> SoundProfile:
        """Build a profile from the values of `to_values`.

        Raises:
            KeyError, TypeError, ValueError: If the values are not those of a profile.
        """
        quantiles = {str(name): tuple(map(float, row)) for name, row in values["quantiles"].items()}
        if any(len(row) != len(_QUANTILES) for row in quantiles.values()):
            raise ValueError("a quantity must have three quantiles")
        return cls(int(values["rate_hz"]), int(values["window_samples"]), quantiles)  # type: ignore[arg-type]

    def to_values(self) -> dict[str, Any]:
        """Return the profile as plain values, for files."""
        quantiles = {name: list(row) for name, row in self.quantiles.items()}
        return {"rate_hz": self.rate_hz, "window_samples": self.window_samples, "quantiles": quantiles}

    def find_departures(self, recording: Recording) -> list[Departure]:
        """Return the quantities of a recording that lie outside their ranges; none for a recording of a few windows."""
        waves = self._read_windows(recording)
        if len(waves) < _FEWEST_WINDOWS:
            return []
        departures = []
        for name, values in measure_windows(waves, self.rate_hz).items():
            if name not in self.quantiles:
                continue
            low, _, high = self.quantiles[name]
            lower, upper = np.quantile(values, _MOST)
            margin = _margin(name)
            if upper < low - margin or lower > high + margin:
                is_above = bool(lower > high + margin)
                departures.append(Departure(name, is_above, float(np.median(values)), high if is_above else low))
        return departures

    def _read_windows(self, recording: Recording) -> NDArray[np.float32]:
        windows, length = recording.samples // self.window_samples, self.window_samples
        chosen = np.unique(np.linspace(0, windows - 1, min(windows, _RECORDING_WINDOWS)).round().astype(int))
        read = [recording.read(int(number) * length, length) for number in chosen] if windows else []
        return np.stack(read) if read else np.empty((0, length, 1), np.float32)


def measure_windows(waves: NDArray[np.floating[Any]], rate_hz: int) -> dict[str, NDArray[np.float64]]:
    """Measure windows of sound, without pauses.

    Args:
        waves: Windows, shape (windows, samples, channels); full scale 1.
        rate_hz: Sample rate, in Hz.

    Returns:
        By quantity one value per window that is no pause: the level in dBFS, the levels of octave bands relative to the
        complete spectrum in dB, the flatness of the spectrum in dB (0 for white noise), and the coherence of
        neighbouring channels (1 without noise and reverberation; only with several channels).
    """
    level = 10 * np.log10(np.square(waves).mean(axis=(1, 2), dtype=np.float64) + _FLOOR)
    is_sounding = level >= np.quantile(level, _QUANTILES[-1]) - _PAUSE_DB
    sounding = waves[is_sounding]
    # A few windows at a time: their spectra remain in the cache of a core.
    measured = [
        _measure_spectra(sounding[first : first + _CHUNK], rate_hz) for first in range(0, len(sounding), _CHUNK)
    ]
    spectral = {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}
    return {LEVEL: level[is_sounding], **spectral}


def _measure_spectra(waves: NDArray[np.floating[Any]], rate_hz: int) -> dict[str, NDArray[np.float64]]:
    """Return the quantities that depend on spectra, which are averaged over half-overlapping frames without DC."""
    length = min(round(_FRAME_S * rate_hz), waves.shape[1])
    frames = np.lib.stride_tricks.sliding_window_view(waves, length, axis=1)[:, :: max(1, length // 2)]
    spectra = np.fft.rfft(frames * np.hanning(length).astype(np.float32), axis=-1)[..., 1:]
    frequency_hz = np.fft.rfftfreq(length, 1 / rate_hz)[1:].astype(np.float64)
    power = np.square(np.abs(spectra)).mean(1).astype(np.float64)  # of each channel
    result = _spectrum_shape(power.mean(1, dtype=np.float64), frequency_hz, rate_hz)
    if waves.shape[2] > 1:
        result[COHERENCE] = _mean_coherence(spectra, power)
    return result


def _spectrum_shape(
    power: NDArray[np.float64], frequency_hz: NDArray[np.float64], rate_hz: int
) -> dict[str, NDArray[np.float64]]:
    """Return relative levels of octave bands, from the highest one down, and the flatness above 100 Hz."""
    total = power.sum(1) + _FLOOR**2
    result = {}
    upper = rate_hz / 2
    while upper > _LEAST_BAND_HZ:
        lower = upper / 2
        band = (frequency_hz > lower) & (frequency_hz <= upper)
        result[f"{BAND}{lower:g}"] = 10 * np.log10(power[:, band].sum(1) / total + _FLOOR)
        upper = lower
    audible = power[:, frequency_hz >= _LOWEST_HZ] + (1e-9 * total / power.shape[1])[:, None]
    result[FLATNESS] = 10 * (np.log10(audible).mean(1) - np.log10(audible.mean(1)))
    return result


def _mean_coherence(spectra: NDArray[np.complexfloating[Any, Any]], power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the magnitude-squared coherence of neighbouring channels, averaged with the power as weight."""
    cross = np.square(np.abs((spectra[:, :, :-1] * spectra[:, :, 1:].conj()).mean(1))).astype(np.float64)
    weight = np.sqrt(power[:, :-1] * power[:, 1:]) + _FLOOR**2
    coherence: NDArray[np.float64] = (cross / weight).sum((1, 2)) / weight.sum((1, 2))
    return coherence


def _quantiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = (round(float(value), 4) for value in np.quantile(values, _QUANTILES))
    return low, middle, high


def _margin(quantity: str) -> float:
    """Return how far beyond the range a quantity has to be, in its own unit: differences that nobody would hear are none."""
    if quantity == COHERENCE:
        return 0.03
    return 3.0 if quantity.startswith(BAND) else 1.0
