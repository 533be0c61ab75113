"""Division of the recordings of a genre among splits: by recording, or by time with gaps. Pure functions of content and seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from datasets.audio.corpus import MusicFile

SHARE: Final = 0.1
"""Share of the excerpts of a genre for every split but the first, which receives the remainder."""
REVERBERATION_S: Final = 1.0
"""Part of the gaps that exceeds the length of an excerpt, for reverberation on the recordings themselves."""
_LEAST_REMAINDER: Final = 0.5
"""Share of the recordings that the first split keeps where a genre is divided by recording."""
_TOLERANCE: Final = 1.5
"""Largest multiple of its share that a split receives in several recordings."""


@dataclass(frozen=True)
class Section:
    """Excerpt of a recording.

    Attributes:
        piece: The recording.
        first: First frame, at the sample rate of the file.
    """

    piece: MusicFile
    first: int


@dataclass(frozen=True)
class GenreDivision:
    """Excerpts of a genre by split.

    Attributes:
        way: `recording` if no recording is in two splits; `time` if sections of one may be, with gaps between them.
        sections: Excerpts of every split in the order of the files.
    """

    way: Literal["recording", "time"]
    sections: Mapping[str, tuple[Section, ...]]


def gap_seconds(excerpt_s: float) -> float:
    """Return the least distance between excerpts of one recording that belong to different splits, in seconds."""
    return excerpt_s + REVERBERATION_S


def rank_content(*values: object) -> str:
    """Return a key that orders recordings or excerpts at random, but independently of their names and of each other."""
    return hashlib.sha256(" ".join(map(str, values)).encode()).hexdigest()


def divide_by_recording(
    pieces: Sequence[MusicFile], splits: Sequence[str], *, excerpt_s: float, seed: int, sparing: bool = True
) -> GenreDivision | None:
    """Give every recording to one split.

    Each split after the first draws recordings, in an order of its own, until it has a tenth of the excerpts. A recording
    that is added or removed therefore moves at most one other per split, unless lengths differ widely.

    Args:
        pieces: Recordings of a genre, each with at least one excerpt.
        splits: Names of the splits, the one that receives the remainder first.
        excerpt_s: Length of the excerpts in seconds.
        seed: Seed of the order.
        sparing: Whether the first split must keep half of the recordings.

    Returns:
        The division; None if there are too few recordings for all splits.
    """
    others = len(splits) - 1
    if len(pieces) < max(len(splits), others / _LEAST_REMAINDER if sparing else 0):
        return None
    counts = {piece: piece.count_excerpts(excerpt_s) for piece in pieces}
    total = sum(counts.values())
    longest = _LEAST_REMAINDER * total / others if sparing and others else total
    left = list(pieces)
    owned: dict[str, list[MusicFile]] = {}
    for name in reversed(splits[1:]):
        order = sorted(left, key=lambda piece: rank_content(seed, name, piece.sha256))
        owned[name] = _draw_share([piece for piece in order if counts[piece] <= longest], counts, SHARE * total)
        drawn = set(owned[name])
        left = [piece for piece in left if piece not in drawn]
    owned[splits[0]] = left
    if not all(owned.values()):
        return None
    return GenreDivision("recording", {name: _all_sections(owned[name], excerpt_s) for name in splits})


def divide_nothing(pieces: Sequence[MusicFile], split: str, excerpt_s: float) -> GenreDivision:
    """Give all recordings of a genre to one split."""
    return GenreDivision("recording", {split: _all_sections(pieces, excerpt_s)})


def _draw_share(order: Sequence[MusicFile], counts: Mapping[MusicFile, int], share: float) -> list[MusicFile]:
    """Return the first recording, and further ones that bring the number of excerpts closer to the share."""
    drawn: list[MusicFile] = []
    have = 0
    for piece in order:
        will_have = have + counts[piece]
        if not drawn or (will_have <= _TOLERANCE * share and abs(will_have - share) < abs(have - share)):
            drawn.append(piece)
            have = will_have
    return drawn


def _all_sections(pieces: Sequence[MusicFile], excerpt_s: float) -> tuple[Section, ...]:
    return tuple(
        Section(piece, number * int(excerpt_s * piece.rate_hz))
        for piece in pieces
        for number in range(piece.count_excerpts(excerpt_s))
    )


def divide_by_time(
    pieces: Sequence[MusicFile], splits: Sequence[str], *, excerpt_s: float, seed: int
) -> GenreDivision | None:
    """Lay the recordings end to end, and give every split a stretch of them.

    The splits after the first receive a tenth of the excerpts each, less where the music does not suffice. A recording is
    cut only where a stretch ends inside it, and a gap is left there.

    Args:
        pieces: Recordings of a genre, each with at least one excerpt.
        splits: Names of the splits, the one that receives the remainder first.
        excerpt_s: Length of the excerpts in seconds.
        seed: Seed of the order of the recordings.

    Returns:
        The division; None if there is too little music for all splits.
    """
    order = sorted(pieces, key=lambda piece: rank_content(seed, piece.sha256))
    total = sum(piece.count_excerpts(excerpt_s) for piece in pieces)
    for share in range(max(1, int(SHARE * total)), 0, -1):
        cutter = _Cutter(order, excerpt_s)
        sections = {name: cutter.take(share) for name in reversed(splits[1:])}
        sections[splits[0]] = cutter.take(total)
        if all(len(sections[name]) >= share for name in splits):
            return GenreDivision("time", {name: tuple(sorted(sections[name], key=_file_order)) for name in splits})
    return None


def _file_order(section: Section) -> tuple[str, int]:
    return str(section.piece.path), section.first


class _Cutter:
    """Recordings laid end to end, from which excerpts are taken at the end.

    Args:
        pieces: Recordings in order.
        excerpt_s: Length of the excerpts in seconds.
    """

    def __init__(self, pieces: Sequence[MusicFile], excerpt_s: float) -> None:
        self._pieces = list(pieces)
        self._excerpt_s = excerpt_s
        self._free_frames = pieces[-1].frames

    def take(self, count: int) -> list[Section]:
        """Take up to a number of excerpts for a split, and leave a gap before them."""
        taken: list[Section] = []
        while self._pieces and len(taken) < count:
            piece = self._pieces[-1]
            length = int(self._excerpt_s * piece.rate_hz)
            here = min(count - len(taken), self._free_frames // length)
            first = self._free_frames - here * length
            taken += [Section(piece, first + number * length) for number in range(here)]
            self._free_frames = first
            if len(taken) < count:
                self._drop_last()
        self._leave_gap(taken)
        return taken

    def _leave_gap(self, taken: Sequence[Section]) -> None:
        if not self._pieces:
            return
        piece = self._pieces[-1]
        if taken and taken[-1].piece is piece:
            self._free_frames -= math.ceil(gap_seconds(self._excerpt_s) * piece.rate_hz)
        if self._free_frames < int(self._excerpt_s * piece.rate_hz):
            self._drop_last()

    def _drop_last(self) -> None:
        self._pieces.pop()
        self._free_frames = self._pieces[-1].frames if self._pieces else 0


def limit_sections(division: GenreDivision, most: int, seed: int) -> dict[str, tuple[Section, ...]]:
    """Return at most a number of excerpts, of which every split keeps its share.

    Args:
        division: Excerpts of a genre by split, the one that receives the remainder last or first.
        most: Maximum number of excerpts of all splits.
        seed: Seed of the choice.
    """
    sections = division.sections
    total = sum(map(len, sections.values()))
    if total <= most:
        return dict(sections)
    first, *others = sections
    least = 2 if most >= 2 * len(sections) else 1  # one excerpt alone might be silent
    quotas = {name: min(len(sections[name]), max(least, most * len(sections[name]) // total)) for name in others}
    quotas[first] = max(1, most - sum(quotas.values()))
    return {name: _choose_sections(sections[name], quotas[name], seed) for name in sections}


def _choose_sections(sections: Sequence[Section], count: int, seed: int) -> tuple[Section, ...]:
    ranked = sorted(sections, key=lambda section: rank_content(seed, section.piece.sha256, section.first))
    return tuple(sorted(ranked[:count], key=_file_order))
