"""Summary of a folder of sounds for the plan of a search: what was found, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from datasets.audio.corpus import Corpus, MusicFile
from datasets.audio.folders import describe_ignored, describe_problem
from runtime.files import printable_path

_LISTED: Final = 20
"""Number of files that are listed by name."""


def summarise_corpus(corpus: Corpus, *, notes: Mapping[str, str] | None = None, least_s: float = 0.0) -> list[str]:
    """Return lines about the files of a corpus by genre, and about the entries that are left out.

    Args:
        corpus: Files of a folder.
        notes: Remark about each genre, such as its use.
        least_s: Length of the shortest file from which an excerpt can be taken, in seconds.
    """
    genres = list(dict.fromkeys(piece.genre for piece in corpus.pieces))
    total = _describe_pieces(corpus.pieces)
    lines = [f"{printable_path(corpus.folder)}: {total} in {len(genres)} folder{'s' * (len(genres) != 1)}"]
    for genre in genres:
        note = (notes or {}).get(genre, "")
        lines.append(f"{printable_path(genre)}: {_describe_pieces(corpus.of_genre(genre))}{note and f', {note}'}")
    short = sum(piece.duration_s() < least_s for piece in corpus.pieces)
    if short:
        lines.append(f"too short for an excerpt of {least_s:g} s: {short} file{'s' * (short != 1)}")
    if corpus.ignored:
        lines.append(f"not read: {describe_ignored(corpus.ignored)}")
    repeated = [
        f"{_relative(corpus, piece.path)}: repeats {_relative(corpus, piece.repeats)}"
        for piece in corpus.pieces
        if piece.repeats is not None
    ]
    lines += _list_some("repeated recordings, used once", repeated)
    return lines + _list_some("left out", [describe_problem(corpus.folder, problem) for problem in corpus.skipped])


def _describe_pieces(pieces: Sequence[MusicFile]) -> str:
    minutes = sum(piece.duration_s() for piece in pieces if piece.repeats is None) / 60
    return f"{len(pieces):,} file{'s' * (len(pieces) != 1)}, {minutes:,.1f} min"


def _relative(corpus: Corpus, path: Path) -> str:
    return printable_path(path.relative_to(corpus.folder))


def _list_some(title: str, names: Sequence[str]) -> list[str]:
    """Return a title with the number of files, and the first of their names."""
    if not names:
        return []
    more = [f"  and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return [f"{title}: {len(names):,} file{'s' * (len(names) != 1)}", *(f"  {name}" for name in names[:_LISTED]), *more]
