"""Folder and data that a search was started with: when it is resumed elsewhere, its relative paths must name the same data."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from runtime.errors import InputError
from runtime.uris import expand_home
from search.results import FINGERPRINT, SearchFolder

_PATHS: Final = "a resumed search keeps its data and files, wherever it is launched"


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys of an identity that changed; paths of the dataset may change if `require_same_data` follows.

    Args:
        before: Identity at the start of the search.
        now: Identity of this launch.
    """
    changed = [key for key in now if before.get(key) != now[key]]
    if FINGERPRINT in before and "dataset" in changed and _differ_in_texts(before.get("dataset"), now["dataset"]):
        changed.remove("dataset")
    return changed


def _differ_in_texts(before: Any, now: Any) -> bool:
    """Return whether two values are equal but for texts."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return before.keys() == now.keys() and all(_differ_in_texts(before[key], now[key]) for key in now)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(_differ_in_texts, before, now))
    return bool(before == now) or (isinstance(before, str) and isinstance(now, str))


@contextmanager
def explain_missing_data(folder: SearchFolder | None, launch_folder: Path) -> Iterator[None]:
    """Add the folder in which a search was started to the error about its data.

    Args:
        folder: Search that is resumed; None for a new one.
        launch_folder: Folder of this launch.

    Raises:
        InputError: Instead of the one that was raised, if the search was started in another folder.
    """
    try:
        yield
    except InputError as error:
        started = None if folder is None else _other_folder(folder, launch_folder)
        if started is None:
            raise
        remedy = f"{error.remedy}; relative paths: the search was started in {started}, launch it there"
        raise InputError(error.place, error.rule, value=error.value, remedy=remedy) from error


def require_same_data(folder: SearchFolder, launch_folder: Path, fingerprint: str, fixed: Mapping[str, Any]) -> None:
    """Check that a resumed search finds the data and files with which it was started.

    Args:
        folder: Search that is resumed.
        launch_folder: Folder of this launch.
        fingerprint: Identity of the dataset of this launch.
        fixed: Fixed values of the Config, some of which may be paths.

    Raises:
        InputError: If the data differ, or a relative path names another file here than where the search was started.
    """
    before = folder.read_identity().get(FINGERPRINT)
    started = _other_folder(folder, launch_folder)
    there = "" if started is None else f"cd {started}  and launch it there, "
    if before not in (None, fingerprint):
        raise InputError(
            folder.display_path(folder.identity_path),
            _PATHS,
            value=f"fingerprint {fingerprint}, {before} when the search was started",
            remedy=f"{there}name the files of the start, or start over with --fresh or --name",
        )
    for name, value in fixed.items() if started is not None else ():
        if isinstance(value, str) and _names_other_file(value, Path(str(started)), launch_folder):
            raise InputError(f"fixed.{name}", _PATHS, value=value, remedy=f"{there}or copy {value} to this folder")


def _other_folder(folder: SearchFolder, launch_folder: Path) -> Path | None:
    """Return the folder in which a search was started, if it is another one and still exists."""
    started = folder.read_launch_folder()
    return started if started is not None and started.is_dir() and not started.samefile(launch_folder) else None


def _names_other_file(text: str, started: Path, launch_folder: Path) -> bool:
    path = expand_home(text)
    before, now = started / path, launch_folder / path
    if path.is_absolute() or not before.is_file():
        return False
    return not (now.is_file() and filecmp.cmp(before, now, shallow=False))
