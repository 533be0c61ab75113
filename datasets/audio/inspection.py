"""Inspection of sound files before they are used: everything that is wrong with them, and which of them sound the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import sound_files
from datasets.audio.sound_files import SoundHeader
from datasets.audio.sound_headers import open_sound
from runtime import hashing
from runtime.errors import InputError
from runtime.files import printable_path

SILENT_RMS: Final = 1e-4

_PROBES: Final = 16
"""Number of sections of a file that are decoded; decoding all of it would take too long before a search."""
_PROBE_FRAMES: Final = 2048
_COMPARED_FRAMES: Final = 1 << 14
"""Length of the beginning by which files are compared; the sections after it may be missed by some frames in MP3 and Ogg."""
_FLOAT_SUBTYPES: Final = ("FLOAT", "DOUBLE")
_WORKERS: Final = 8
"""Number of threads, which wait for the disk or for libsndfile most of the time."""


@dataclass(frozen=True)
class InspectedFile:
    """Sound file that can be used.

    Attributes:
        path: Path of the file.
        header: Properties of the file.
        sha256: Checksum of its bytes.
        probe: Digest of its length and of the beginning of its sound, independent of format, tags and identical channels.
    """

    path: Path
    header: SoundHeader
    sha256: str
    probe: str


def inspect_files(paths: tuple[Path, ...]) -> Iterator[InspectedFile | InputError]:
    """Inspect files in parallel; yield the result of each one, or the error that says what is wrong with it."""
    with ThreadPoolExecutor(_WORKERS) as threads:
        yield from threads.map(_inspect_or_explain, paths)


def _inspect_or_explain(path: Path) -> InspectedFile | InputError:
    try:
        return inspect_file(path)
    except InputError as error:
        return error


def inspect_file(path: Path) -> InspectedFile:
    """Read the header, sections of the sound, and the checksum of a file.

    Raises:
        InputError: If the file is empty, truncated or unreadable, changes meanwhile, is silent, or contains NaN.
    """
    try:
        before = path.stat()
        header = sound_files.read_header(path)
        probe = _probe_sound(path, header)
        sha256 = hashing.hash_file(path)
        after = path.stat()
    except (RuntimeError, OSError) as error:
        raise sound_files.unreadable_error(path, error, "re-encode the file") from error
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise InputError(
            printable_path(path),
            "a sound file must not change while it is read",
            value=f"{before.st_size}, then {after.st_size} bytes",
            remedy="wait until it has been written, and run the command again",
        )
    return InspectedFile(path, header, sha256, probe)


def hash_sound(path: Path) -> str:
    """Return a digest of all samples of a file, independent of its format, its tags and identical channels.

    Raises:
        InputError: If the file cannot be decoded.
    """
    digest = hashlib.sha256()
    try:
        for block in sound_files.decode_blocks(path):
            digest.update(_mix_down(block).tobytes())
    except (RuntimeError, OSError) as error:
        raise sound_files.unreadable_error(path, error, "re-encode the file") from error
    return digest.hexdigest()


def _probe_sound(path: Path, header: SoundHeader) -> str:
    """Check sections of a file, all of it if it may hold NaN or seems silent, and return a digest of its length and beginning."""
    frames = min(_PROBE_FRAMES, header.frames)
    with open_sound(path) as file:
        is_float = file.subtype in _FLOAT_SUBTYPES
        beginning = file.read(_COMPARED_FRAMES, dtype="float32", always_2d=True)
        is_silent = _is_silent(beginning)
        for first in np.linspace(0, header.frames - frames, _PROBES).astype(int).tolist():
            file.seek(first)
            section = file.read(frames, dtype="float32", always_2d=True)
            if len(section) < frames:
                section = sound_files.read_section(path, first, frames)
            _require_sound(path, section, frames)
            is_silent = is_silent and _is_silent(section)
    if is_silent or is_float:
        _require_audible(path)
    digest = hashlib.sha256(f"{header.frames} {header.rate_hz}".encode())
    digest.update(_mix_down(beginning).tobytes())
    return digest.hexdigest()


def _require_sound(path: Path, section: NDArray[np.float32], frames: int) -> None:
    if len(section) < frames:
        raise InputError(
            printable_path(path),
            "a sound file must be as long as its header says",
            value=f"{len(section)} of {frames} frames of a section",
            remedy="replace the truncated file",
        )
    if not np.isfinite(section).all():
        raise sound_files.not_finite_error(path)


def _require_audible(path: Path) -> None:
    """Decode a file completely, and check that it is finite and not silent."""
    is_silent = True
    for block in sound_files.decode_blocks(path):
        _require_sound(path, block, 0)
        is_silent = is_silent and _is_silent(block)
    if is_silent:
        raise InputError(
            printable_path(path),
            "a sound file must contain sound",
            value="silence",
            remedy="remove or replace the file",
        )


def _is_silent(section: NDArray[np.float32]) -> bool:
    return bool(np.sqrt(np.mean(np.square(section, dtype=np.float64))) <= SILENT_RMS)


def _mix_down(section: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels, which is the same for a sound and for several copies of it side by side."""
    mixed: NDArray[np.float32] = section[:, 0] if section.shape[1] == 1 else section.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(mixed)
