"""Audio of a preview page: WAV encoding, loops, spectrograms, levels and decays of impulse responses."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

PLAYED_PEAK: Final = 0.7
"""Peak of played sound, relative to full scale."""
FADE_SAMPLES: Final = 160
"""Length of the fade at each end of a repetition, in samples: 10 ms at 16 kHz, to avoid clicks."""
REPEATS: Final = 9
"""Number of repetitions of a 160 ms sample, 1.44 s in total."""

_FULL_SCALE: Final = 32_767
_MIN_POWER: Final = 1e-12


def encode_wav(channels: NDArray[np.float32], rate_hz: int) -> bytes:
    """Encode sound as a 16-bit WAV file.

    Args:
        channels: Sound with full scale 1, shape (channels, samples); larger values are clipped.
        rate_hz: Sample rate.

    Returns:
        Content of the file.
    """
    steps = np.rint(np.clip(channels.T.astype(np.float64), -1, 1) * _FULL_SCALE).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, steps, rate_hz, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def make_playable(channels: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Normalise sound to a comfortable peak level.

    Args:
        channels: Sound, shape (channels, samples).

    Returns:
        The sound with a peak of 0.7, and the applied gain in dB; silence is returned unchanged.
    """
    peak = float(np.abs(channels).max(initial=0.0))
    gain = PLAYED_PEAK / peak if peak > _MIN_POWER else 1.0
    return (channels * np.float32(gain)).astype(np.float32), 20 * float(np.log10(gain))


def loop_sound(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat a short sound nine times, with a fade-in and fade-out of 10 ms per repetition.

    Args:
        channels: Sound, shape (channels, samples), 16 kHz.

    Returns:
        The repeated sound, shape (channels, 9 · samples).
    """
    length = min(FADE_SAMPLES, channels.shape[1] // 2)
    envelope = np.ones(channels.shape[1], np.float32)
    rise = (np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(1, length)) ** 2).astype(np.float32)
    envelope[:length] = rise
    envelope[len(envelope) - length :] = rise[::-1]
    return np.tile(channels * envelope, REPEATS)


def cardioid_stereo(foa: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode first-order Ambisonics to stereo with two virtual cardioids at +90° (left) and -90° (right).

    With W = s and Y = s · sin(azimuth) · cos(elevation) (SN3D), (W ± Y) / 2 is the signal of a cardioid.

    Args:
        foa: Signals W, Y, Z, X; shape (4, samples).

    Returns:
        Left and right channel, shape (2, samples).
    """
    return np.stack([foa[0] + foa[1], foa[0] - foa[1]]) * np.float32(0.5)


def spectrogram_db(wave: NDArray[np.float32], window: int, hop: int, range_db: float = 70.0) -> NDArray[np.float64]:
    """Compute the short-time power spectrum with a Hamming window.

    Args:
        wave: Signal, shape (samples,).
        window: Length of the window, in samples.
        hop: Distance between successive windows, in samples.
        range_db: Dynamic range; smaller values are raised to the maximum minus this range.

    Returns:
        Power relative to the maximum in dB, shape (window // 2 + 1, frames).
    """
    padded = np.pad(wave, (0, max(0, window - len(wave))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.square(np.abs(np.fft.rfft(windows * np.hamming(window)))).T
    decibels = 10 * np.log10(np.maximum(power, _MIN_POWER * _MIN_POWER) / max(float(power.max()), _MIN_POWER))
    clipped: NDArray[np.float64] = np.maximum(decibels, -range_db)
    return clipped


def level_db(waves: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the RMS level of each sample over all microphones.

    Args:
        waves: Waveforms, shape (samples, arrays, microphones, time).

    Returns:
        Levels, dB re 1, shape (samples,).
    """
    power = np.mean(np.square(waves, dtype=np.float64), axis=(1, 2, 3))
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power, _MIN_POWER))
    return level
