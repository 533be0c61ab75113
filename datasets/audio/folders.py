"""Listing of a folder of sounds: which files are meant to be sound, and what else is there. Opens no file."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.error_list import raise_problems
from runtime.errors import InputError
from runtime.files import printable_path

SOUND_SUFFIXES: Final = (
    *(".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".flac", ".ogg", ".oga", ".opus", ".mp3"),
)
"""Suffixes of sound files that libsndfile decodes; the content determines the format."""
FOREIGN_SUFFIXES: Final = (
    *(".m4a", ".m4b", ".mp4", ".aac", ".wma", ".ape", ".wv", ".mpc", ".mka", ".webm", ".amr", ".ac3"),
    *(".dsf", ".dff", ".tak", ".tta", ".shn", ".ra", ".3gp"),
)
"""Suffixes of sound files that libsndfile does not decode."""
SYSTEM_NAMES: Final = frozenset(
    {
        *("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("lost+found", "@eadir", "#recycle", "icon\r"),
    }
)
"""Names in lower case that operating systems and archivers leave behind."""


@dataclass(frozen=True)
class FolderListing:
    """Content of a folder of sounds, at any depth.

    Attributes:
        sounds: Regular files with the suffix of a sound file, in the order of their paths.
        problems: Entries that are meant to be sound and cannot be read.
        ignored: Number of other entries by kind, such as `hidden` or `.jpg`.
    """

    sounds: tuple[Path, ...]
    problems: tuple[InputError, ...]
    ignored: Mapping[str, int]


def is_hidden(name: str) -> bool:
    """Return whether an entry is hidden, or belongs to an operating system instead of a user."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def list_subfolders(folder: Path) -> tuple[tuple[Path, ...], tuple[InputError, ...]]:
    """Return the sub-folders of a folder by name, and the entries that should be sub-folders and cannot be read.

    Links are followed; hidden folders are left out.

    Raises:
        InputError: If the folder cannot be read.
    """
    folders: list[Path] = []
    problems: list[InputError] = []
    for entry in _list_entries(folder):
        if is_hidden(entry.name):
            continue
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if not Path(entry.name).suffix:
                problems.append(_unreadable_error(entry, error))
            continue
        if stat.S_ISDIR(mode):
            folders.append(Path(entry.path))
    return tuple(folders), tuple(problems)


def list_sounds(folder: Path) -> FolderListing:
    """List the sound files below a folder.

    Links to files and folders are followed, except where a folder would contain itself.

    Args:
        folder: Existing folder.
    """
    walk = _FolderWalk()
    walk.enter(folder, ())
    return FolderListing(tuple(walk.sounds), tuple(walk.problems), +walk.ignored)


def describe_ignored(ignored: Mapping[str, int]) -> str:
    """Return the entries that are no sound in words, such as `2 hidden, 1 .jpg`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))


class _FolderWalk:
    """Recursive listing of a folder."""

    def __init__(self) -> None:
        self.sounds: list[Path] = []
        self.problems: list[InputError] = []
        self.ignored: Counter[str] = Counter()

    def enter(self, folder: Path, above: tuple[tuple[int, int], ...]) -> None:
        """List a folder; `above` holds the devices and inodes of the folders on the way to it."""
        try:
            own = _identify_folder(folder)
            entries = [] if own in above else _list_entries(folder)
        except InputError as error:
            self.problems.append(error)
            return
        self.ignored["links to a folder above"] += own in above
        for entry in entries:
            self._classify(entry, (*above, own))

    def _classify(self, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> None:
        suffix = Path(entry.name).suffix.lower()
        if is_hidden(entry.name):
            self.ignored["hidden"] += 1
            return
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if suffix in (*SOUND_SUFFIXES, *FOREIGN_SUFFIXES, ""):
                self.problems.append(_unreadable_error(entry, error))
            else:
                self.ignored["broken links"] += 1
            return
        if stat.S_ISDIR(mode):
            self.enter(Path(entry.path), above)
        elif suffix in FOREIGN_SUFFIXES:
            self.problems.append(_foreign_error(entry.path))
        elif suffix in SOUND_SUFFIXES:
            self.sounds.append(Path(entry.path))
        else:
            self.ignored[printable_path(suffix) or "without a suffix"] += 1


def _identify_folder(folder: Path) -> tuple[int, int]:
    """Return the device and the inode of a folder."""
    try:
        status = folder.stat()
    except OSError as error:
        raise _unreadable_folder_error(folder, error) from error
    return status.st_dev, status.st_ino


def _list_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise _unreadable_folder_error(folder, error) from error


def _unreadable_folder_error(folder: Path, error: OSError) -> InputError:
    return InputError(
        printable_path(folder),
        "a folder of sounds must be readable",
        value=error.strerror or str(error),
        remedy="correct its permissions, or move it elsewhere",
    )


def _unreadable_error(entry: os.DirEntry[str], error: OSError) -> InputError:
    """Return the error for an entry whose properties cannot be read, such as a link that leads nowhere."""
    if not entry.is_symlink():
        rule, value = "a sound file must be readable", error.strerror or str(error)
    else:
        rule, value = "a link must lead to a file or a folder", printable_path(os.readlink(entry.path))
    return InputError(
        printable_path(entry.path), rule, value=value, remedy="restore what it leads to, or remove the link"
    )


def _foreign_error(path: str) -> InputError:
    return InputError(
        printable_path(path),
        "a sound file must have a format that libsndfile decodes",
        value=Path(path).suffix,
        remedy="convert it to .flac or .wav, or move it elsewhere",
    )


def raise_unusable(folder: Path, problems: Iterable[InputError]) -> None:
    """Raise one error that lists all files of a folder that cannot be used; return if there are none.

    Raises:
        InputError: If there is a problem.
    """
    raise_problems(printable_path(folder), tuple(problems), option="leave out these files with --skip-broken")


def describe_problem(folder: Path, problem: InputError) -> str:
    """Return what is wrong with a file in one line, with its path relative to a folder."""
    name = problem.place.removeprefix(f"{printable_path(folder)}/")
    value = "" if problem.value is None else f" ({problem.value})"
    return f"{name}: {problem.rule}{value}"
