"""Sound files: their headers and their samples, and one answer to whatever is wrong with them."""

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
    """What a sound file says about itself."""

    frames: int
    rate_hz: int
    channels: int


def read_header(path: Path) -> SoundHeader:
    """Read the header of a sound file and its first samples.

    Raises:
        InputError: If the file is empty, unreadable, shorter than it says, or holds no sound.
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
            str(path), "a sound file must hold sound", value="0 frames", remedy="remove or replace the file"
        )
    return header


def decode_sound(path: Path, first: int, frames: int) -> NDArray[np.float32]:
    """Read a part of a sound file.

    Args:
        path: The file.
        first: Its first frame that is wanted.
        frames: How many from there.

    Returns:
        Shape (frames, channels).

    Raises:
        InputError: If the file cannot be decoded, ends early, or holds NaN or infinity.
    """
    try:
        with soundfile.SoundFile(path) as file:
            promised = file.frames
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
            value=f"{first + len(sound)} of {promised} frames",
            remedy="replace the truncated file",
        )
    if not np.isfinite(sound).all():
        raise InputError(str(path), "samples must be finite numbers", value="NaN or infinity", remedy="repair the file")
    return sound


def resample_sound(sound: NDArray[np.float32], rate_hz: int, wanted_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Bring sound to another sample rate.

    Args:
        sound: Shape (frames, ...).
        rate_hz: Its rate.
        wanted_hz: The rate it shall have.

    Returns:
        Shape (⌈frames · wanted_hz / rate_hz⌉, ...).
    """
    from scipy import signal

    divisor = np.gcd(rate_hz, wanted_hz)
    resampled = signal.resample_poly(sound, wanted_hz // divisor, rate_hz // divisor, axis=0)
    return resampled.astype(np.float32)


def require_complete(path: Path) -> None:
    """Compare a WAV's header with the file; libsndfile would quietly play what is left of it.

    Raises:
        InputError: If the file is shorter than its header says.
    """
    with path.open("rb") as file:
        start = file.read(8)
    promised = int.from_bytes(start[4:8], "little")
    streamed = promised in (0, 2**32 - 1)  # written without knowing its end
    if start[:4] == b"RIFF" and not streamed and promised + 8 > path.stat().st_size:
        have = f"{path.stat().st_size} of {promised + 8} bytes"
        raise InputError(
            str(path),
            "a sound file must be as long as its header says",
            value=have,
            remedy="replace the truncated file",
        )


def _decode_failure(error: Exception) -> str:
    return str(error).rsplit(":", 1)[-1].strip()
