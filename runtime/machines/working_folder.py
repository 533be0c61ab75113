"""The folder that relative paths refer to: that of the launch, in all processes of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.import_path import ROOT, find_shadowing_modules


def enter_folder(folder: Path) -> None:
    """Make a folder the working directory of this process, unless this machine does not have it, and import from it last.

    Worker processes of a cluster start in other folders, and Ray Tune gives every trial one of its own.
    """
    with suppress(OSError):
        os.chdir(folder)
        add_import_folder(folder)


def add_import_folder(folder: Path) -> None:
    """Import modules also from a folder, but none that exist elsewhere."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@contextmanager
def neutral_import_path() -> Iterator[None]:
    """Leave the working directory while Ray starts, if it contains modules that replace others.

    Ray puts the working directory first in the import path of its workers. They return to it with `enter_folder`.
    """
    launch_folder = Path.cwd()
    if not find_shadowing_modules(str(launch_folder)):
        yield
        return
    os.chdir(ROOT)
    try:
        yield
    finally:
        os.chdir(launch_folder)
