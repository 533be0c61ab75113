"""The folder that relative paths refer to: that of the launch, in all processes of a command."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def enter_folder(folder: Path) -> None:
    """Make a folder the working directory of this process, unless this machine does not have it.

    Worker processes of a cluster start in other folders, and Ray Tune gives every trial one of its own.
    """
    with suppress(OSError):
        os.chdir(folder)
