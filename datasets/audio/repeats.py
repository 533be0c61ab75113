"""Recordings that occur in several files of a corpus: equal bytes, or equal samples in another format or with other tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from datasets.audio import inspection
from datasets.audio.inspection import InspectedFile
from runtime.errors import InputError
from runtime.files import printable_path


@dataclass(frozen=True)
class Repeats:
    """Files that repeat others.

    Attributes:
        used: By path of a file that repeats another one, the file with the same sound that is used.
        misplaced: The same for files that repeat one of another genre, where these genres have little else in common.
    """

    used: Mapping[Path, Path]
    misplaced: Mapping[Path, Path]


def find_repeats(files_of: Mapping[str, Sequence[InspectedFile]]) -> Repeats:
    """Find the files that repeat others, and choose the one of each recording that is used.

    Where most recordings of a genre also belong to another genre, these are labels that overlap; each of their common
    recordings is used in the genre that has fewer. Any other recording in two genres is misplaced.

    Args:
        files_of: Files by genre.
    """
    copies = _group_by_sound(files_of)
    recordings_of = {
        genre: {key for key, files in copies.items() if any(owner == genre for owner, _ in files)} for genre in files_of
    }
    used: dict[Path, Path] = {}
    misplaced: dict[Path, Path] = {}
    counts = {
        genre: sum(len({owner for owner, _ in copies[key]}) == 1 for key in keys)
        for genre, keys in recordings_of.items()
    }
    for key in sorted(copies):
        genres = list(dict.fromkeys(genre for genre, _ in copies[key]))
        chosen, first = copies[key][0]
        if all(_overlap(recordings_of[one], recordings_of[other]) for one, other in combinations(genres, 2)):
            chosen = min(genres, key=lambda genre: counts[genre])
            first = next(path for genre, path in copies[key] if genre == chosen)
            counts[chosen] += len(genres) > 1
        else:
            misplaced |= {path: first for genre, path in copies[key] if genre != chosen}
        used |= {path: first for _, path in copies[key] if path != first}
    return Repeats(used, misplaced)


def _overlap(one: set[str], other: set[str]) -> bool:
    """Return whether two genres have more than half of the recordings of the smaller one in common."""
    return 2 * len(one & other) > min(len(one), len(other))


def _group_by_sound(files_of: Mapping[str, Sequence[InspectedFile]]) -> dict[str, list[tuple[str, Path]]]:
    """Return genre and path of all files of each recording; only files with equal lengths and probes are decoded."""
    of_probe: dict[str, list[tuple[str, InspectedFile]]] = {}
    for genre, files in files_of.items():
        for file in files:
            of_probe.setdefault(file.probe, []).append((genre, file))
    copies: dict[str, list[tuple[str, Path]]] = {}
    for probe, candidates in of_probe.items():
        has_one_content = len({file.sha256 for _, file in candidates}) == 1
        hashed: dict[str, str] = {}
        for genre, file in candidates:
            if file.sha256 not in hashed:
                hashed[file.sha256] = probe if has_one_content else _hash_sound(file)
            copies.setdefault(hashed[file.sha256], []).append((genre, file.path))
    return copies


def _hash_sound(file: InspectedFile) -> str:
    try:
        return inspection.hash_sound(file.path)
    except InputError:  # damaged between its probes: repeats nothing but the same bytes, and is named when it is used
        return file.sha256


def repeated_error(folder: Path, path: Path, first: Path) -> InputError:
    """Return the error for a file that repeats another one of the same folder."""
    return InputError(
        printable_path(path),
        "a recording must occur once, since no two splits may share its sound",
        value=f"the same sound as {printable_path(first.relative_to(folder))}",
        remedy="remove one of the two files",
    )
