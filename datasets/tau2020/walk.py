"""Search for the files of a folder and its sub-folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FOREIGN: Final = frozenset({"__MACOSX"})
"""Folders that archives of other systems leave behind."""


def find_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files below a folder with one of the suffixes, in any case, sorted by path.

    Hidden files and folders are left out. Links are followed, each folder once; a link that leads nowhere counts as a file.

    Args:
        folder: Folder; it need not exist.
        suffixes: Suffixes in lower case, with their dot.
    """
    found: list[Path] = []
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _FOREIGN
            and os.path.realpath(os.path.join(parent, name)) not in visited
        ]
        found += [Path(parent, name) for name in names if not name.startswith(".") and name.lower().endswith(suffixes)]
    return sorted(found)
