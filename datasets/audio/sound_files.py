"""Sound files: headers, decoding and resampling, with input errors for files that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.audio.sound_headers import contains_mpeg_length, open_sound, require_complete, require_regular
from runtime.errors import InputError
from runtime.files import printable_path

_BLOCK_FRAMES: Final = 1 << 20
_LAST_FRAMES: Final = 2048
_SOUGHT_INEXACTLY: Final = ("OGG", "MP3")
"""Formats in which libsndfile may miss a position by some frames, and then reports the end of the file too early."""


@dataclass(frozen=True)
class SoundHeader:
    """Properties of a sound file according to its header, or to its content where the header does not have the length."""

    frames: int
    rate_hz: int
    channels: int


def read_header(path: Path, *, is_length_checked: bool = True) -> SoundHeader:
    """Read the header of a sound file, and check that its first samples can be decoded.

    Args:
        path: Path of the file.
        is_length_checked: Whether the length of an MP3 file is measured where libsndfile only estimates it.

    Raises:
        InputError: If the file is empty, unreadable, shorter than its header says, or contains no sound.
    """
    try:
        require_regular(path)
        if path.stat().st_size == 0:
            raise _unusable_error(path, "a sound file must not be empty", "0 bytes")
        require_complete(path)
        with open_sound(path) as file:
            file.read(1024)
            header = SoundHeader(file.frames, file.samplerate, file.channels)
            is_estimate = is_length_checked and file.format == "MP3" and not contains_mpeg_length(path)
        if is_estimate:
            header = replace(header, frames=_measure_length(path, header.frames))
    except (RuntimeError, OSError) as error:
        raise unreadable_error(path, error, "remove or re-encode the file") from error
    if header.frames < 1:
        raise _unusable_error(path, "a sound file must contain sound", "0 frames")
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
    declared = 0
    try:
        sound = read_section(path, first, frames)
        if len(sound) < frames:
            with open_sound(path) as file:
                declared = file.frames
    except (RuntimeError, OSError) as error:
        raise unreadable_error(path, error, "re-encode the file") from error
    if len(sound) < frames:
        raise InputError(
            printable_path(path),
            "a sound file must be as long as its header says",
            value=f"{first + len(sound)} of {declared} frames",
            remedy="replace the truncated file",
        )
    if not np.isfinite(sound).all():
        raise not_finite_error(path)
    return sound


def read_section(path: Path, first: int, frames: int) -> NDArray[np.float32]:
    """Read a section of a sound file, which is shorter than requested only where the sound ends.

    Args:
        path: Path of the file.
        first: Index of the first frame.
        frames: Number of frames.

    Returns:
        Samples, shape (frames or less, channels).

    Raises:
        OSError: If the file cannot be read.
        RuntimeError: If it cannot be decoded.
    """
    with open_sound(path) as file:
        file.seek(first)
        sound: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True)
        is_inexact = file.format in _SOUGHT_INEXACTLY
    return _read_from_start(path, first, frames) if is_inexact and len(sound) < frames else sound


def _read_from_start(path: Path, first: int, frames: int) -> NDArray[np.float32]:
    with open_sound(path, is_sequential=True) as file:
        left = first
        while left > 0 and (skipped := len(file.read(min(left, _BLOCK_FRAMES), dtype="float32"))):
            left -= skipped
        sound: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True)
    return sound


def _measure_length(path: Path, estimate: int) -> int:
    """Return the number of frames that can be decoded, at most the estimate; only files that end early are decoded."""
    with open_sound(path) as file:
        file.seek(max(0, estimate - _LAST_FRAMES))
        if len(file.read(_LAST_FRAMES)) >= min(_LAST_FRAMES, estimate):
            return estimate
    return sum(map(len, decode_blocks(path)))


def decode_blocks(path: Path) -> Iterator[NDArray[np.float32]]:
    """Decode a sound file block by block, to the end of the sound, which `SoundFile.blocks` would pad to the declared length.

    Yields:
        Samples, shape (frames, channels).

    Raises:
        OSError: If the file cannot be read.
        RuntimeError: If it cannot be decoded.
    """
    with open_sound(path, is_sequential=True) as file:
        while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
            yield block


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


def not_finite_error(path: Path) -> InputError:
    """Return the error for a sound file with samples that are not finite."""
    rule = "samples must be finite numbers"
    return InputError(printable_path(path), rule, value="NaN or infinity", remedy="repair the file")


def unreadable_error(path: Path, error: Exception, remedy: str) -> InputError:
    """Return the error for a sound file that cannot be read or decoded."""
    reason = error.strerror if isinstance(error, OSError) else str(error).rsplit(":", 1)[-1].strip()
    return InputError(
        printable_path(path),
        "a sound file must be readable",
        value=reason or "libsndfile does not recognise its format",
        remedy=remedy,
    )


def _unusable_error(path: Path, rule: str, value: str) -> InputError:
    return InputError(printable_path(path), rule, value=value, remedy="remove or replace the file")
