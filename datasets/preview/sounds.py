"""What a page plays and draws of sound: WAV files in memory, loops, spectrograms, decays of impulse responses."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ

PLAYED_PEAK: Final = 0.7
FADE: Final = 160
"""Samples at each end of a repetition: 10 ms at 16 kHz, without which every seam clicks."""
REPEATS: Final = 9
"""160 ms nine times are 1.44 s."""

_FULL_SCALE: Final = 32_767
_SILENT: Final = 1e-12
_FIT_DB: Final = (-5.0, -25.0)


def encode_wav(channels: NDArray[np.float32], rate_hz: int) -> bytes:
    """Encode sound as a 16-bit WAV file.

    Args:
        channels: Shape (channels, samples), full scale 1; what lies beyond it is clipped.
        rate_hz: Sampling rate.
    """
    steps = np.rint(np.clip(channels.T.astype(np.float64), -1, 1) * _FULL_SCALE).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, steps, rate_hz, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def make_playable(channels: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Bring sound to a comfortable level.

    Args:
        channels: Shape (channels, samples).

    Returns:
        The same sound with a peak of 0.7, and the gain that it took, dB; silence stays as it is.
    """
    peak = float(np.abs(channels).max(initial=0.0))
    gain = PLAYED_PEAK / peak if peak > _SILENT else 1.0
    return (channels * np.float32(gain)).astype(np.float32), 20 * float(np.log10(gain))


def loop_sound(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat a short sound nine times, each time faded in and out over 10 ms.

    Args:
        channels: Shape (channels, samples), 16 kHz.

    Returns:
        Shape (channels, 9 · samples).
    """
    length = min(FADE, channels.shape[1] // 2)
    envelope = np.ones(channels.shape[1], np.float32)
    rise = (np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(1, length)) ** 2).astype(np.float32)
    envelope[:length] = rise
    envelope[len(envelope) - length :] = rise[::-1]
    return np.tile(channels * envelope, REPEATS)


def cardioid_stereo(foa: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode first-order Ambisonics to stereo: two virtual cardioids, to the left (+90°) and to the right (-90°).

    With W = s and Y = s · sin(azimuth) · cos(elevation) (SN3D), (W ± Y) / 2 is a cardioid's signal.

    Args:
        foa: W, Y, Z, X; shape (4, samples).

    Returns:
        Left and right, shape (2, samples).
    """
    return np.stack([foa[0] + foa[1], foa[0] - foa[1]]) * np.float32(0.5)


def spectrogram_db(wave: NDArray[np.float32], window: int, hop: int, range_db: float = 70.0) -> NDArray[np.float64]:
    """Short-time spectrum under a Hamming window.

    Args:
        wave: Shape (samples,).
        window: Samples of the window.
        hop: Samples from one window to the next.
        range_db: What lies further below the largest value is raised to that.

    Returns:
        Power relative to the largest value, dB, shape (window // 2 + 1, frames).
    """
    padded = np.pad(wave, (0, max(0, window - len(wave))))
    cut = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.square(np.abs(np.fft.rfft(cut * np.hamming(window)))).T
    decibels = 10 * np.log10(np.maximum(power, _SILENT * _SILENT) / max(float(power.max()), _SILENT))
    shown: NDArray[np.float64] = np.maximum(decibels, -range_db)
    return shown


def level_db(waves: NDArray[np.float32]) -> NDArray[np.float64]:
    """Level of samples: RMS over all their microphones, dB re 1.

    Args:
        waves: Shape (samples, arrays, microphones, time).

    Returns:
        Shape (samples,).
    """
    power = np.mean(np.square(waves, dtype=np.float64), axis=(1, 2, 3))
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power, _SILENT))
    return level


@dataclass(frozen=True, eq=False)
class EnergyDecay:
    """How a room fades.

    Attributes:
        curve_db: Energy that is still to come, relative to all of it, shape (taps,), dB (Schroeder, "New Method of
            Measuring Reverberation Time", 1965).
        rt60_s: Reverberation time T20 as in ISO 3382: three times what the curve takes from -5 to -25 dB on the line
            fitted between them; None if it does not fall so far.
    """

    curve_db: NDArray[np.float64]
    rt60_s: float | None


def energy_decay(response: NDArray[np.float32], rate_hz: int = SAMPLE_RATE_HZ) -> EnergyDecay:
    """Integrate an impulse response backwards.

    Args:
        response: Shape (taps,).
        rate_hz: Its sampling rate.
    """
    left = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    curve = 10 * np.log10(np.maximum(left, _SILENT * left[0] + 1e-300) / (left[0] + 1e-300))
    fitted = np.flatnonzero((curve <= _FIT_DB[0]) & (curve >= _FIT_DB[1]))
    if len(fitted) < 3 or curve.min() > _FIT_DB[1]:
        return EnergyDecay(curve, None)
    slope = float(np.polyfit(fitted / rate_hz, curve[fitted], 1)[0])
    return EnergyDecay(curve, -60 / slope if slope < 0 else None)
