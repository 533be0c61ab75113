"""Measures of room impulse responses after ISO 3382: decay times, clarity and direct-to-reverberant ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ

_DIRECT_S: Final = 0.0025
"""Time after the first arrival that counts as direct sound."""
_EARLY_S: Final = 0.05
_ONSET_DB: Final = -20.0
"""Level of the first arrival relative to the maximum (ISO 3382-1, A.3.4)."""
_MIN_POWER: Final = 1e-12
_T20_DB: Final = (-5.0, -25.0)
_EDT_DB: Final = (0.0, -10.0)


@dataclass(frozen=True, eq=False)
class EnergyDecay:
    """Energy decay of an impulse response.

    Attributes:
        curve_db: Remaining energy relative to the total energy in dB, shape (taps,) (Schroeder, "New Method of
            Measuring Reverberation Time", 1965).
        rt60_s: Reverberation time T20 according to ISO 3382, in seconds: three times the decay time from -5 to -25 dB
            of a line fitted to the curve; None if the curve does not fall to -25 dB.
    """

    curve_db: NDArray[np.float64]
    rt60_s: float | None


def energy_decay(response: NDArray[np.float32], rate_hz: int = SAMPLE_RATE_HZ) -> EnergyDecay:
    """Compute the energy decay of an impulse response by backward integration.

    Args:
        response: Impulse response, shape (taps,).
        rate_hz: Sample rate.
    """
    remaining = _integrate_backward(response)
    curve = 10 * np.log10(np.maximum(remaining, _MIN_POWER * remaining[0] + 1e-300) / (remaining[0] + 1e-300))
    return EnergyDecay(curve, _fit_decay_time(curve, rate_hz, _T20_DB))


@dataclass(frozen=True, eq=False)
class ResponseMeasures:
    """Measures of impulse responses, each of shape (responses,).

    Attributes:
        t20_s: Reverberation time from the decay between -5 and -25 dB, in seconds; NaN where direct sound covers it.
        edt_s: Early decay time, from the decay between 0 and -10 dB, in seconds; NaN likewise.
        c50_db: Ratio of the energy of the first 50 ms to the rest, in dB.
        drr_db: Ratio of the energy of the direct sound to the rest, in dB.
    """

    t20_s: NDArray[np.float64]
    edt_s: NDArray[np.float64]
    c50_db: NDArray[np.float64]
    drr_db: NDArray[np.float64]


def measure_responses(responses: NDArray[np.float32]) -> ResponseMeasures:
    """Measure impulse responses at 16 kHz, from their first arrivals.

    Args:
        responses: Impulse responses, shape (…, taps).
    """
    rows = [_measure_response(response) for response in responses.reshape(-1, responses.shape[-1])]
    return ResponseMeasures(*np.array(rows, np.float64).T)


def measure_coherence(
    responses: NDArray[np.float32], first: int, second: int, frame: int = 256
) -> NDArray[np.complex128]:
    """Measure the coherence of two microphones over positions, arrays and overlapping frames.

    The spectrum of each array and microphone is whitened before.

    Args:
        responses: Part of impulse responses, shape (positions, arrays, microphones, taps).
        first: Number of one microphone.
        second: Number of the other one.
        frame: Length of the frames, in samples.

    Returns:
        Shape (frame / 2 + 1,).
    """
    frames = np.lib.stride_tricks.sliding_window_view(responses, frame, -1)[..., :: frame // 2, :]
    spectra = np.fft.rfft(frames.astype(np.float64) * np.hanning(frame))
    spectra /= np.sqrt(np.square(np.abs(spectra)).mean((0, 2), keepdims=True))
    return np.asarray((spectra[:, :, first] * spectra[:, :, second].conj()).mean((0, 1, 2)))


def _measure_response(response: NDArray[np.float32]) -> tuple[float, float, float, float]:
    if not response.any():
        return (float("nan"),) * 4
    heard = response[np.argmax(np.abs(response) >= 10 ** (_ONSET_DB / 20) * np.abs(response).max()) :]
    decay, remaining = energy_decay(heard), _integrate_backward(heard)
    early = _fit_decay_time(decay.curve_db, SAMPLE_RATE_HZ, _EDT_DB)
    clarity, direct = (_early_to_late_db(remaining, time_s) for time_s in (_EARLY_S, _DIRECT_S))
    return decay.rt60_s or float("nan"), early or float("nan"), clarity, direct


def _integrate_backward(response: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]


def _fit_decay_time(curve_db: NDArray[np.float64], rate_hz: int, levels_db: tuple[float, float]) -> float | None:
    """Return the time of a decay by 60 dB at the slope between two levels; None where hardly a sample is between them."""
    high, low = levels_db
    fitted = np.flatnonzero((curve_db <= high) & (curve_db >= low))
    if len(fitted) < 3 or curve_db.min() > low:
        return None
    slope = float(np.polyfit(fitted / rate_hz, curve_db[fitted], 1)[0])
    return -60 / slope if slope < 0 else None


def _early_to_late_db(remaining: NDArray[np.float64], time_s: float) -> float:
    index = round(time_s * SAMPLE_RATE_HZ)
    late = remaining[index] if index < len(remaining) else 0.0
    return float(10 * np.log10((remaining[0] - late) / max(late, _MIN_POWER * remaining[0])))
