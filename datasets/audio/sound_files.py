"""Sound files: headers, decoding and resampling, with input errors for files that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from runtime.errors import InputError


@dataclass(frozen=True)
class SoundHeader:
    """Properties of a sound file according to its header."""

    frames: int
    rate_hz: int
    channels: int


def read_header(path: Path) -> SoundHeader:
    """Read the header of a sound file, and check that its first samples can be decoded.

    Raises:
        InputError: If the file is empty, unreadable, shorter than its header says, or contains no sound.
    """
    if path.stat().st_size == 0:
        raise InputError(
            str(path), "a sound file must not be empty", value="0 bytes", remedy="remove or replace the file"
        )
    try:
        require_complete(path)
        with soundfile.SoundFile(path) as file:
            file.read(1024)
            header = SoundHeader(file.frames, file.samplerate, file.channels)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise InputError(
            str(path),
            "a sound file must be readable",
            value=_decode_failure(error),
            remedy="remove or re-encode the file",
        ) from error
    if header.frames < 1:
        raise InputError(
            str(path), "a sound file must contain sound", value="0 frames", remedy="remove or replace the file"
        )
    return header


def decode_sound(path: Path, first: int, frames: int) -> NDArray[np.float32]:
    """Decode a section of a sound file.

    Args:
        path: Path of the file.
        first: Index of the first frame.
        frames: Number of frames.

    Returns:
        Samples, shape (frames, channels).

    Raises:
        InputError: If the file cannot be decoded, ends early, or contains NaN or infinity.
    """
    try:
        with soundfile.SoundFile(path) as file:
            declared = file.frames
            file.seek(first)
            sound: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise InputError(
            str(path), "a sound file must be readable", value=_decode_failure(error), remedy="re-encode the file"
        ) from error
    if len(sound) < frames:
        raise InputError(
            str(path),
            "a sound file must be as long as its header says",
            value=f"{first + len(sound)} of {declared} frames",
            remedy="replace the truncated file",
        )
    if not np.isfinite(sound).all():
        raise InputError(str(path), "samples must be finite numbers", value="NaN or infinity", remedy="repair the file")
    return sound


def resample_sound(sound: NDArray[np.float32], rate_hz: int, wanted_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Resample sound.

    Args:
        sound: Samples, shape (frames, ...).
        rate_hz: Sample rate of the input.
        wanted_hz: Sample rate of the output.

    Returns:
        Resampled sound, shape (⌈frames · wanted_hz / rate_hz⌉, ...).
    """
    from scipy import signal

    divisor = np.gcd(rate_hz, wanted_hz)
    resampled = signal.resample_poly(sound, wanted_hz // divisor, rate_hz // divisor, axis=0)
    return resampled.astype(np.float32)


def require_complete(path: Path) -> None:
    """Check that a WAV file is as long as its header says, since libsndfile decodes truncated files without an error.

    Raises:
        InputError: If the file is shorter than its header says.
    """
    with path.open("rb") as file:
        start = file.read(8)
    declared = int.from_bytes(start[4:8], "little")
    is_streamed = declared in (0, 2**32 - 1)  # written before the length was known
    if start[:4] == b"RIFF" and not is_streamed and declared + 8 > path.stat().st_size:
        raise InputError(
            str(path),
            "a sound file must be as long as its header says",
            value=f"{path.stat().st_size} of {declared + 8} bytes",
            remedy="replace the truncated file",
        )


def _decode_failure(error: Exception) -> str:
    return str(error).rsplit(":", 1)[-1].strip()
