"""Music of a dataset: a folder or the procedural band, cut into excerpts that belong to one split each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import corpus, folders
from datasets.audio.corpus import EXCERPT_RMS, SILENT_RMS, Corpus, MusicFile
from datasets.audio.summary import summarise_corpus
from datasets.rooms.spec import PROCEDURAL_GENRES, MusicSpec
from runtime.errors import InputError
from runtime.files import printable_path
from runtime.uris import expand_home

EXCERPTS_PER_SHARD: Final = 25
_SPLIT_SHARE: Final = 0.1
"""Share of the excerpts of a genre for every split but the first."""


@dataclass(frozen=True)
class MusicExcerpts:
    """Excerpts of music in memory.

    Attributes:
        waves: One wave per excerpt, shape (samples,), float32, 16 kHz, with an RMS of 0.1.
        rows_by_split: Rows of `waves` that a split may use; no row is in two.
    """

    waves: tuple[NDArray[np.float32], ...]
    rows_by_split: dict[str, NDArray[np.int64]]


def scan_corpus(spec: MusicSpec, location: str) -> Corpus:
    """Inspect all sound files of a music folder that a dataset uses.

    Args:
        spec: Description of the dataset; its music is a folder.
        location: Option or key that names the folder, for errors.

    Raises:
        InputError: If the folder, a genre or music is missing, or a file cannot be used; lists all such files.
    """
    folder = expand_home(spec.music)
    if not folder.is_dir():
        raise InputError(
            location,
            "the music folder must exist",
            value=printable_path(folder),
            remedy="name a folder with one sub-folder per genre",
        )
    subfolders, problems = folders.list_subfolders(folder)
    names = [subfolder.name for subfolder in subfolders]
    if spec.genres is not None:  # other links may lead anywhere
        relevant = {printable_path(folder / genre) for genre in (*spec.genres, spec.held_out)}
        problems = tuple(problem for problem in problems if problem.place in relevant)
    seen = list(spec.genres) if spec.genres is not None else [genre for genre in names if genre != spec.held_out]
    wanted = seen + [spec.held_out] * spec.uses_held_out()
    if not seen:
        raise InputError(
            location,
            "the music folder needs a sub-folder per genre besides the held-out one",
            value=printable_path(folder),
            remedy="put the files of each genre into a folder of its own, e.g. classical/ and funk/",
        )
    for genre in wanted:
        if genre not in names:
            folders.raise_unusable(folder, problems)
            raise InputError(
                location,
                f"the music folder {printable_path(folder)} needs the genre {genre!r}",
                value=names,
                remedy="add that sub-folder, or set dataset.genres and dataset.held_out to folders that exist",
            )
    found = corpus.read_corpus(folder, wanted, skip_broken=spec.skip_broken, problems=problems)
    for genre in wanted:
        _require_enough(found, genre, spec)
    return found


def describe_corpus(spec: MusicSpec, found: Corpus) -> list[str]:
    """Return the genres of a music folder and their use, and what is left out, line by line."""
    return summarise_corpus(found, notes={spec.held_out: "held out"}, least_s=spec.excerpt_s)


def _require_enough(found: Corpus, genre: str, spec: MusicSpec) -> None:
    have = sum(piece.count_excerpts(spec.excerpt_s) for piece in found.of_genre(genre))
    need = len(_splits_of(spec, held_out=genre == spec.held_out))
    if have < need:
        raise InputError(
            printable_path(found.folder / genre),
            f"a genre needs at least {need} excerpts of {spec.excerpt_s:g} s, since no excerpt serves two splits",
            value=f"{have} excerpts",
            remedy="add longer recordings, or shorten dataset.excerpt_s",
        )


@dataclass(frozen=True)
class Excerpt:
    """Excerpt of music.

    Attributes:
        genre: Genre of the music.
        number: Number of the excerpt within its file, or within its genre of the procedural band.
        piece: Sound file; None for the procedural band.
    """

    genre: str
    number: int
    piece: MusicFile | None


def list_excerpts(spec: MusicSpec, pieces: tuple[MusicFile, ...] | None) -> tuple[Excerpt, ...]:
    """Return all excerpts of a dataset: at most `spec.excerpts` per genre, drawn from its files or from the procedural band.

    Args:
        spec: Description of the dataset.
        pieces: Result of `scan_corpus`, or None for the procedural band.
    """
    if pieces is None:
        return tuple(Excerpt(genre, number, None) for genre in PROCEDURAL_GENRES for number in range(spec.excerpts))
    chosen: list[Excerpt] = []
    for genre in dict.fromkeys(piece.genre for piece in pieces):
        held = [(piece, piece.count_excerpts(spec.excerpt_s)) for piece in pieces if piece.genre == genre]
        everything = [Excerpt(genre, number, piece) for piece, count in held for number in range(count)]
        order = np.random.default_rng([spec.seed, 1]).permutation(len(everything))[: spec.excerpts]
        chosen += [everything[index] for index in sorted(order)]
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
        first = excerpt.number * int(spec.excerpt_s * excerpt.piece.rate_hz)
        wave = corpus.decode_excerpt(excerpt.piece, first, spec.excerpt_s)
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    gain = EXCERPT_RMS / level if level > SILENT_RMS else 0.0
    return (wave * gain).astype(np.float32), level


def assemble_excerpts(
    spec: MusicSpec, chosen: Sequence[Excerpt], waves: Sequence[NDArray[np.float32]], levels: Sequence[float]
) -> MusicExcerpts:
    """Drop silent excerpts, and assign every other excerpt to a single split."""
    audible = [row for row, level in enumerate(levels) if level > SILENT_RMS]
    genres = np.array([chosen[row].genre for row in audible])
    return MusicExcerpts(tuple(waves[row] for row in audible), _assign_excerpts(spec, genres))


def _splits_of(spec: MusicSpec, *, held_out: bool) -> list[str]:
    """Return the splits that share the excerpts of a genre; the first receives the remainder."""
    tests = [name for name, test in spec.tests.items() if (test.genres == "held_out") == held_out]
    return tests if held_out else ["train", "validate", *tests]


def _assign_excerpts(spec: MusicSpec, genres: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Assign every excerpt to a split: a tenth of each genre to every split, the remainder to the first."""
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in spec.resolve_splits()}
    generator = np.random.default_rng([spec.seed, 2])
    for genre in sorted(set(genres.tolist())):
        of_genre = generator.permutation(np.flatnonzero(genres == genre))
        splits = _splits_of(spec, held_out=genre == spec.held_out)
        if spec.genres is not None and genre != spec.held_out and genre not in spec.genres:
            continue
        share = max(1, int(_SPLIT_SHARE * len(of_genre)))
        for name in reversed(splits[1:]):
            rows[name].append(of_genre[:share])
            of_genre = of_genre[share:]
        if splits:
            rows[splits[0]].append(of_genre)
    return {name: np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64) for name, parts in rows.items()}
