"""Sound files of a corpus: one sub-folder per genre or class of sound, read in excerpts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.audio import sound_files
from runtime import hashing

SOUND_SUFFIXES: Final = (".wav", ".flac", ".ogg", ".mp3")
EXCERPT_RMS: Final = 0.1
"""RMS to which excerpts are normalised."""
SILENT_RMS: Final = 1e-4


@dataclass(frozen=True)
class MusicFile:
    """Sound file of a music corpus, with the values of its header."""

    path: Path
    genre: str
    frames: int
    rate_hz: int

    def count_excerpts(self, seconds: float) -> int:
        """Return the number of complete excerpts in the file."""
        return int(self.frames / self.rate_hz / seconds)


def scan_genre(folder: Path, genre: str) -> list[MusicFile]:
    """Read the headers of all sound files below the folder of a genre.

    Raises:
        InputError: If a file is empty, truncated or unreadable.
    """
    return [
        read_music_header(path, genre) for path in sorted(folder.rglob("*")) if path.suffix.lower() in SOUND_SUFFIXES
    ]


def read_music_header(path: Path, genre: str) -> MusicFile:
    """Read the header of a sound file.

    Args:
        path: Path of the file.
        genre: Genre of the music.

    Raises:
        InputError: If the file is empty, truncated or unreadable.
    """
    header = sound_files.read_header(path)
    return MusicFile(path, genre, header.frames, header.rate_hz)


def hash_files(pieces: tuple[MusicFile, ...], folder: Path) -> dict[str, str]:
    """Compute the SHA-256 of each sound file, by its path relative to the folder."""
    return {piece.path.relative_to(folder).as_posix(): hashing.hash_file(piece.path) for piece in pieces}


def decode_excerpt(piece: MusicFile, number: int, seconds: float) -> NDArray[np.float32]:
    """Decode an excerpt of a sound file.

    Args:
        piece: Sound file.
        number: Number of the excerpt within the file.
        seconds: Length of the excerpts.

    Returns:
        Shape (samples,), mono, 16 kHz.

    Raises:
        InputError: If the file cannot be decoded or holds NaN.
    """
    frames = int(seconds * piece.rate_hz)
    mono = sound_files.decode_sound(piece.path, number * frames, frames).mean(axis=1)
    length = round(seconds * SAMPLE_RATE_HZ)
    resampled = sound_files.resample_sound(mono, piece.rate_hz)[:length]
    return np.pad(resampled, (0, length - len(resampled)))
