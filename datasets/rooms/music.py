"""Music of a dataset: a folder or the procedural band, cut into excerpts that belong to one split each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import corpus, splits
from datasets.audio.corpus import EXCERPT_RMS, SILENT_RMS, MusicFile
from datasets.rooms.music_folder import divide_music, splits_of
from datasets.rooms.spec import PROCEDURAL_GENRES, MusicSpec

EXCERPTS_PER_SHARD: Final = 25


@dataclass(frozen=True)
class MusicExcerpts:
    """Excerpts of music in memory.

    Attributes:
        waves: One wave per excerpt, shape (samples,), float32, 16 kHz, with an RMS of 0.1.
        rows_by_split: Rows of `waves` that a split may use; no row is in two.
    """

    waves: tuple[NDArray[np.float32], ...]
    rows_by_split: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Excerpt:
    """Excerpt of music.

    Attributes:
        genre: Genre of the music.
        number: Number of the excerpt within its genre of the procedural band; otherwise its first frame in the file.
        piece: Sound file; None for the procedural band.
        split: Split that the excerpt belongs to; None if excerpts are assigned to splits after they have been decoded.
    """

    genre: str
    number: int
    piece: MusicFile | None
    split: str | None = None


def list_excerpts(spec: MusicSpec, pieces: tuple[MusicFile, ...] | None) -> tuple[Excerpt, ...]:
    """Return all excerpts of a dataset: at most `spec.excerpts` per genre, drawn from its files or from the procedural band.

    Args:
        spec: Description of the dataset.
        pieces: Result of `scan_corpus`, or None for the procedural band.
    """
    if pieces is None:
        return tuple(Excerpt(genre, number, None) for genre in PROCEDURAL_GENRES for number in range(spec.excerpts))
    if spec.divides_recordings():
        return _list_divided_excerpts(spec, pieces)
    chosen: list[Excerpt] = []
    for genre in dict.fromkeys(piece.genre for piece in pieces):
        held = [(piece, piece.count_excerpts(spec.excerpt_s)) for piece in pieces if piece.genre == genre]
        everything = [
            Excerpt(genre, number * int(spec.excerpt_s * piece.rate_hz), piece)
            for piece, count in held
            for number in range(count)
        ]
        order = np.random.default_rng([spec.seed, 1]).permutation(len(everything))[: spec.excerpts]
        chosen += [everything[index] for index in sorted(order)]
    return tuple(chosen)


def _list_divided_excerpts(spec: MusicSpec, pieces: Sequence[MusicFile]) -> tuple[Excerpt, ...]:
    chosen: list[Excerpt] = []
    for genre, division in divide_music(spec, pieces).items():
        limited = splits.limit_sections(division, spec.excerpts, spec.seed)
        chosen += [
            Excerpt(genre, section.first, section.piece, name) for name, own in limited.items() for section in own
        ]
    return tuple(chosen)


def load_excerpt(spec: MusicSpec, excerpt: Excerpt) -> tuple[NDArray[np.float32], float]:
    """Decode or synthesise an excerpt.

    Returns:
        Samples with an RMS of 0.1 (zeros if the excerpt is silent), and the original RMS.

    Raises:
        InputError: If the file cannot be decoded or holds NaN.
    """
    if excerpt.piece is None:
        # Imported late: scipy's filters take a second to load, and mistakes are to be reported at once.
        from datasets.audio import music_synth

        wave = music_synth.synthesize_excerpt(excerpt.genre, spec.seed * 1_000_003 + excerpt.number, spec.excerpt_s)
    else:
        wave = corpus.decode_excerpt(excerpt.piece, excerpt.number, spec.excerpt_s)
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    gain = EXCERPT_RMS / level if level > SILENT_RMS else 0.0
    return (wave * gain).astype(np.float32), level


def assemble_excerpts(
    spec: MusicSpec, chosen: Sequence[Excerpt], waves: Sequence[NDArray[np.float32]], levels: Sequence[float]
) -> MusicExcerpts:
    """Drop silent excerpts, and assign every other excerpt to a single split."""
    audible = [row for row, level in enumerate(levels) if level > SILENT_RMS]
    if any(excerpt.split is not None for excerpt in chosen):
        assigned = np.array([chosen[row].split for row in audible])
        rows_by_split = {name: np.flatnonzero(assigned == name) for name in spec.resolve_splits()}
    else:
        rows_by_split = _assign_excerpts(spec, np.array([chosen[row].genre for row in audible]))
    return MusicExcerpts(tuple(waves[row] for row in audible), rows_by_split)


def _assign_excerpts(spec: MusicSpec, genres: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Assign every excerpt to a split: a tenth of each genre to every split, the remainder to the first."""
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in spec.resolve_splits()}
    generator = np.random.default_rng([spec.seed, 2])
    for genre in sorted(set(genres.tolist())):
        of_genre = generator.permutation(np.flatnonzero(genres == genre))
        names = splits_of(spec, held_out=genre == spec.held_out)
        if spec.genres is not None and genre != spec.held_out and genre not in spec.genres:
            continue
        share = max(1, int(splits.SHARE * len(of_genre)))
        for name in reversed(names[1:]):
            rows[name].append(of_genre[:share])
            of_genre = of_genre[share:]
        if names:
            rows[names[0]].append(of_genre)
    return {name: np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64) for name, parts in rows.items()}
