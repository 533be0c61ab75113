"""Sound files of a corpus: one sub-folder per genre or class of sound, read in excerpts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.audio import folders, inspection, sound_files
from datasets.audio.inspection import InspectedFile
from datasets.audio.repeats import find_repeats, repeated_error
from runtime import hashing
from runtime.errors import InputError

EXCERPT_RMS: Final = 0.1
"""RMS to which excerpts are normalised."""
SILENT_RMS: Final = inspection.SILENT_RMS

_EARLIER_SUFFIXES: Final = (".wav", ".flac", ".ogg", ".mp3")
"""Suffixes of sound files in versions that divided music by excerpts."""


@dataclass(frozen=True)
class MusicFile:
    """Sound file of a music corpus, with the values of its header.

    Attributes:
        path: Path of the file.
        genre: Genre of the music, or class of the sound.
        frames: Length in samples per channel.
        rate_hz: Sample rate.
        sha256: Checksum of the file.
        repeats: Path of an earlier file with the same sound; None if there is none.
    """

    path: Path
    genre: str
    frames: int
    rate_hz: int
    sha256: str = ""
    repeats: Path | None = None

    def count_excerpts(self, seconds: float) -> int:
        """Return the number of complete excerpts in the file."""
        return int(self.frames / self.rate_hz / seconds)

    def duration_s(self) -> float:
        """Return the length in seconds."""
        return self.frames / self.rate_hz


@dataclass(frozen=True)
class Corpus:
    """Sound files below the sub-folders of a folder.

    Attributes:
        folder: The folder.
        pieces: Files that are used, genre by genre.
        skipped: What is wrong with the files that are left out.
        ignored: Number of entries that are no sound, by kind.
    """

    folder: Path
    pieces: tuple[MusicFile, ...]
    skipped: tuple[InputError, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)

    def of_genre(self, genre: str) -> tuple[MusicFile, ...]:
        """Return the files of a genre."""
        return tuple(piece for piece in self.pieces if piece.genre == genre)

    def hash_files(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its path relative to the folder."""
        return {piece.path.relative_to(self.folder).as_posix(): piece.sha256 for piece in self.pieces}


def read_corpus(
    folder: Path, genres: Sequence[str], *, skip_broken: bool = False, problems: Sequence[InputError] = ()
) -> Corpus:
    """Inspect all sound files of some genres.

    Args:
        folder: Folder with one sub-folder per genre.
        genres: Names of the sub-folders to be read.
        skip_broken: Whether files that cannot be used are left out.
        problems: What is already known to be wrong with the folder.

    Raises:
        InputError: If a file cannot be used and `skip_broken` is not set; lists all such files.
    """
    found = [_inspect_genre(folder, genre) for genre in genres]
    repeats = find_repeats({genre.name: genre.files for genre in found})
    wrong = [*problems, *(problem for genre in found for problem in genre.problems)]
    if not skip_broken:
        misplaced = [repeated_error(folder, path, used) for path, used in repeats.misplaced.items()]
        folders.raise_unusable(folder, [*wrong, *misplaced])
    else:
        wrong += [repeated_error(folder, path, used) for path, used in repeats.used.items()]
    pieces = [
        _make_piece(file, genre.name, repeats.used.get(file.path))
        for genre in found
        for file in genre.files
        if not (skip_broken and file.path in repeats.used)
    ]
    ignored = sum((Counter(genre.ignored) for genre in found), Counter[str]())
    return Corpus(folder, tuple(pieces), tuple(wrong), ignored)


def read_earlier_corpus(folder: Path, genres: Sequence[str]) -> Corpus:
    """Read the sound files of some genres by the rules of earlier versions, so that their searches can be resumed.

    Raises:
        InputError: If a file is empty, truncated or unreadable.
    """
    pieces = []
    for genre in genres:
        for path in sorted((folder / genre).rglob("*")):
            if path.suffix.lower() in _EARLIER_SUFFIXES:
                header = sound_files.read_header(path, is_length_checked=False)
                sha256 = hashing.hash_file(path)
                pieces.append(MusicFile(path, genre, header.frames, header.rate_hz, sha256))
    return Corpus(folder, tuple(pieces))


@dataclass(frozen=True)
class _Genre:
    """Sub-folder of a corpus: its usable files, what is wrong with others, and what else is there."""

    name: str
    files: tuple[InspectedFile, ...]
    problems: tuple[InputError, ...]
    ignored: Mapping[str, int]


def _inspect_genre(folder: Path, name: str) -> _Genre:
    listing = folders.list_sounds(folder / name)
    results = list(inspection.inspect_files(listing.sounds))
    files = tuple(result for result in results if isinstance(result, InspectedFile))
    broken = tuple(result for result in results if isinstance(result, InputError))
    return _Genre(name, files, (*listing.problems, *broken), listing.ignored)


def _make_piece(file: InspectedFile, genre: str, repeats: Path | None) -> MusicFile:
    return MusicFile(file.path, genre, file.header.frames, file.header.rate_hz, file.sha256, repeats)


def decode_excerpt(piece: MusicFile, first: int, seconds: float) -> NDArray[np.float32]:
    """Decode an excerpt of a sound file.

    Args:
        piece: Sound file.
        first: First frame of the excerpt, at the sample rate of the file.
        seconds: Length of the excerpts.

    Returns:
        Shape (samples,), mono, 16 kHz.

    Raises:
        InputError: If the file cannot be decoded or holds NaN.
    """
    mono = sound_files.decode_sound(piece.path, first, int(seconds * piece.rate_hz)).mean(axis=1)
    length = round(seconds * SAMPLE_RATE_HZ)
    resampled = sound_files.resample_sound(mono, piece.rate_hz)[:length]
    return np.pad(resampled, (0, length - len(resampled)))
