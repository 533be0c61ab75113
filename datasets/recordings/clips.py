"""Clips of a manifest and their sound files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.audio.sound_files import SoundHeader
from datasets.recordings.table import TableRow


@dataclass(frozen=True)
class ChannelFile:
    """Sound file with the channels of one array, or of all arrays.

    Attributes:
        place: Cell of the manifest that names the file, for errors.
        file: Name in the manifest.
        path: Path of the file.
        array: Number of the array; None for all arrays.
        channels: Channels of the file in the order of the microphones (array after array if it holds all).
        header: Header of the file.
    """

    place: str
    file: str
    path: Path
    array: int | None
    channels: tuple[int, ...]
    header: SoundHeader

    def duration_s(self) -> float:
        """Return the duration in seconds."""
        return self.header.frames / self.header.rate_hz


@dataclass(frozen=True)
class Clip:
    """Synchronous recording by all arrays.

    Attributes:
        name: Name in the manifest.
        row: First row in the manifest.
        splits: Name of the split, or names of the test splits that share the clip.
        genre: Genre of the sound; may be empty.
        positions_m: Position (x, y) of every source, in metres.
        tracks: Channel files ordered by array, or a single one with all arrays.
    """

    name: str
    row: TableRow
    splits: tuple[str, ...]
    genre: str
    positions_m: tuple[tuple[float, float], ...]
    tracks: tuple[ChannelFile, ...]
