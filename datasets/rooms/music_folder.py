"""Folder of music of a dataset: its genres, and the division of their recordings among the splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.audio import corpus, folders, splits
from datasets.audio.corpus import Corpus, MusicFile
from datasets.audio.splits import GenreDivision
from datasets.audio.summary import summarise_corpus
from datasets.rooms.spec import MusicSpec
from runtime.errors import InputError
from runtime.files import printable_path
from runtime.uris import expand_home


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
    wanted, problems = _choose_genres(spec, folder, location)
    if not spec.divides_recordings():
        found = corpus.read_earlier_corpus(folder, wanted)
        for genre in wanted:
            _require_enough(found, genre, spec)
        return found
    found = corpus.read_corpus(folder, wanted, skip_broken=spec.skip_broken, problems=problems)
    if spec.skip_broken and spec.genres is None:
        wanted = [genre for genre in wanted if genre == spec.held_out or found.of_genre(genre)]
    _require_division(spec, found, wanted)
    return found


def _choose_genres(spec: MusicSpec, folder: Path, location: str) -> tuple[list[str], tuple[InputError, ...]]:
    """Return the genres that a dataset uses, and what is wrong with their folders."""
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
    return wanted, problems


def describe_corpus(spec: MusicSpec, found: Corpus) -> list[str]:
    """Return the genres of a music folder and their use, and what is left out, line by line."""
    divisions = divide_music(spec, found.pieces) if spec.divides_recordings() else {}
    notes = {genre: _describe_division(spec, genre, division) for genre, division in divisions.items()}
    return summarise_corpus(found, notes=notes, least_s=spec.excerpt_s)


def _describe_division(spec: MusicSpec, genre: str, division: GenreDivision) -> str:
    held_out = "held out, " if genre == spec.held_out else ""
    if len(division.sections) == 1:
        return f"{held_out}all of it in {next(iter(division.sections))}"
    if division.way == "time":
        return f"{held_out}split by time with gaps of {splits.gap_seconds(spec.excerpt_s):g} s"
    counts = {name: len({section.piece for section in own}) for name, own in division.sections.items()}
    return f"{held_out}split by recording: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def divide_music(spec: MusicSpec, pieces: Sequence[MusicFile]) -> dict[str, GenreDivision]:
    """Divide the recordings of every genre among the splits; a genre with too little music serves its first split only."""
    divisions: dict[str, GenreDivision] = {}
    for genre in dict.fromkeys(piece.genre for piece in pieces):
        own = [piece for piece in _list_recordings(spec, pieces) if piece.genre == genre]
        names = splits_of(spec, held_out=genre == spec.held_out)
        if own and names:
            divisions[genre] = _divide_genre(spec, own, names) or splits.divide_nothing(own, names[0], spec.excerpt_s)
    return divisions


def _list_recordings(spec: MusicSpec, pieces: Sequence[MusicFile]) -> list[MusicFile]:
    """Return the files that repeat no other one and have at least one excerpt."""
    return [piece for piece in pieces if piece.repeats is None and piece.count_excerpts(spec.excerpt_s)]


def _divide_genre(spec: MusicSpec, own: Sequence[MusicFile], names: Sequence[str]) -> GenreDivision | None:
    excerpt_s, seed = spec.excerpt_s, spec.seed
    division = None
    if spec.split_by != "time":
        sparing = spec.split_by == "auto"
        division = splits.divide_by_recording(own, names, excerpt_s=excerpt_s, seed=seed, sparing=sparing)
    if division is None and spec.split_by != "recording":
        division = splits.divide_by_time(own, names, excerpt_s=excerpt_s, seed=seed)
    return division


def _require_division(spec: MusicSpec, found: Corpus, wanted: Sequence[str]) -> None:
    """Check that every genre has an excerpt, and every split the excerpts of a genre."""
    divisions = divide_music(spec, found.pieces)
    served = {name for division in divisions.values() for name in division.sections}
    for genre in wanted:
        names = splits_of(spec, held_out=genre == spec.held_out)
        if genre in divisions and served >= set(names):
            continue
        own = [piece for piece in _list_recordings(spec, found.pieces) if piece.genre == genre]
        have = sum(piece.count_excerpts(spec.excerpt_s) for piece in own)
        between = ", which do not share recordings"
        if spec.split_by != "recording":
            between = f", {splits.gap_seconds(spec.excerpt_s):g} s apart within a recording"
        raise InputError(
            printable_path(found.folder / genre),
            f"a genre needs at least {len(names)} excerpts of {spec.excerpt_s:g} s for {', '.join(names)}{between}",
            value=f"{have} excerpts in {len(own)} recordings",
            remedy="add longer recordings or more of them, or shorten dataset.excerpt_s",
        )


def _require_enough(found: Corpus, genre: str, spec: MusicSpec) -> None:
    have = sum(piece.count_excerpts(spec.excerpt_s) for piece in found.of_genre(genre))
    need = len(splits_of(spec, held_out=genre == spec.held_out))
    if have < need:
        raise InputError(
            printable_path(found.folder / genre),
            f"a genre needs at least {need} excerpts of {spec.excerpt_s:g} s, since no excerpt serves two splits",
            value=f"{have} excerpts",
            remedy="add longer recordings, or shorten dataset.excerpt_s",
        )


def splits_of(spec: MusicSpec, *, held_out: bool) -> list[str]:
    """Return the splits that share the excerpts of a genre; the first receives the remainder."""
    tests = [name for name, test in spec.tests.items() if (test.genres == "held_out") == held_out]
    return tests if held_out else ["train", "validate", *tests]
