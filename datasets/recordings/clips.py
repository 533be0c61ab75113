"""What a manifest describes: clips, and the sound files that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.audio.sound_files import SoundHeader
from datasets.recordings.table import TableRow


@dataclass(frozen=True)
class ChannelFile:
    """A sound file with the channels of one array, or of all.

    Attributes:
        place: The cell that names it, for errors.
        file: Its name as written.
        path: Where it is.
        array: Which array it holds, or None for all.
        channels: The file's channels in the order of the microphones (array after array if it holds all).
        header: Its header.
    """

    place: str
    file: str
    path: Path
    array: int | None
    channels: tuple[int, ...]
    header: SoundHeader

    def duration_s(self) -> float:
        """How long it is."""
        return self.header.frames / self.header.rate_hz


@dataclass(frozen=True)
class Clip:
    """One synchronous recording by all arrays.

    Attributes:
        name: From the manifest.
        row: Its first row.
        splits: The split that uses it, or the test sets that do.
        genre: What was played; may be empty.
        positions_m: (x, y) of every source.
        tracks: Array after array, or one with all.
    """

    name: str
    row: TableRow
    splits: tuple[str, ...]
    genre: str
    positions_m: tuple[tuple[float, float], ...]
    tracks: tuple[ChannelFile, ...]
