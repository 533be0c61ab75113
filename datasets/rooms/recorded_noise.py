"""Recorded noise of microphone arrays: checks of the file, and the sections of it that each split is given. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.rooms.spec import LocalizerSpec
from runtime import hashing
from runtime.errors import InputError
from runtime.uris import expand_home

RECORDED: Final = "recorded"
_SHARES: Final = {"train": (0.0, 0.6), "validate": (0.6, 0.8)}
"""Part of the file that a split draws from; all tests have the rest."""
_TEST_SHARE: Final = (0.8, 1.0)
_SHORTEST_S: Final = 10.0
"""Least length of a file, of which a test split has a fifth."""
_LONGEST_S: Final = 120.0
"""Length of the section that a split draws from at most, since it is kept in memory."""
_SILENT: Final = 1e-3
"""Level of a dead microphone, relative to the loudest one."""


def sibling_place(location: str, field: str) -> str:
    """Return the place of another field of the same dataset, for errors; `location` may be an option in place of its key."""
    return f"dataset.{field}" if location.startswith("--") else f"{location.rpartition('.')[0]}.{field}"


def check_noise_file(spec: LocalizerSpec, microphones: tuple[int, int], location: str) -> str:
    """Check the file of recorded noise, and return its SHA-256; empty if the dataset has none.

    Args:
        spec: Description of the dataset.
        microphones: Number of arrays, and of microphones per array.
        location: Key of the file, for errors.

    Raises:
        InputError: If the file is missing, unreadable, too short or silent, or has another number of channels.
    """
    if spec.noise_file is None:
        return ""
    from datasets.audio.sound_files import read_header  # loads soundfile

    path = expand_home(spec.noise_file)
    if not path.is_file():
        raise InputError(location, "the file of recorded noise must exist", value=str(path), remedy="correct the path")
    header = read_header(path)
    channels = microphones[0] * microphones[1]
    if header.channels != channels:
        raise InputError(
            location,
            f"recorded noise needs a channel per microphone, {channels}: those of the first array, then of the next",
            value=f"{path}: {header.channels} channels",
            remedy="record it with the arrays of the dataset",
        )
    if header.rate_hz < SAMPLE_RATE_HZ:
        raise InputError(
            location,
            f"recorded noise needs a sample rate of at least {SAMPLE_RATE_HZ} Hz",
            value=f"{path}: {header.rate_hz} Hz",
            remedy="record it at a higher rate",
        )
    seconds = header.frames / header.rate_hz
    if seconds < _SHORTEST_S:
        raise InputError(
            location,
            f"recorded noise must last {_SHORTEST_S:g} s at least, since the splits divide it",
            value=f"{path}: {seconds:.1f} s",
            remedy="record more",
        )
    for split in (*_SHARES, "tests"):
        level = read_section(path, split, *microphones).std(axis=-1)
        silent = level <= _SILENT * level.max()
        if silent.any():
            array, microphone = np.argwhere(silent)[0]
            raise InputError(
                location,
                "every microphone of recorded noise must have heard something",
                value=f"{path}: microphone {microphone} of array {array}, in the part for {split}",
                remedy="record it again, or check the channels",
            )
    return hashing.hash_file(path)


def read_section(path: Path, split: str, arrays: int, microphones: int) -> NDArray[np.float32]:
    """Read the noise of a split at 16 kHz, without offsets and with a mean power of 1 over time and microphones.

    Args:
        path: Sound file.
        split: Name of the split.
        arrays: Number of arrays.
        microphones: Microphones per array.

    Returns:
        Noise, shape (arrays, microphones, time).

    Raises:
        InputError: If the file cannot be read.
    """
    from datasets.audio.sound_files import decode_sound, read_header, resample_sound

    header = read_header(path)
    begin, end = (int(share * header.frames) for share in _SHARES.get(split, _TEST_SHARE))
    frames = min(end - begin, int(_LONGEST_S * header.rate_hz))
    sound = resample_sound(decode_sound(path, begin, frames), header.rate_hz)
    noise = np.ascontiguousarray(sound.T).reshape(arrays, microphones, -1)
    noise -= noise.mean(axis=-1, keepdims=True)
    power = float(np.square(noise, dtype=np.float64).mean())
    return noise / np.float32(np.sqrt(power)) if power > 0 else noise
