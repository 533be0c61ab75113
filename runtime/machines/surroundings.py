"""What a command finds around it: working directory, home folder and temporary folder, with replacements where possible."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.files import write_obstacle
from runtime.machines import machine

_MAX_SOCKET_BYTES: Final = 103
"""Maximum length of the path of a Unix socket on all platforms; Linux accepts 107."""
_RAY_SUFFIX: Final = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""Longest path of a socket below Ray's temporary folder."""
_RAY_BYTES: Final = 50 * 10**6
"""Free space for the logs of Ray's processes."""
_CACHE_VARIABLES: Final = {"MPLCONFIGDIR": "matplotlib", "NUMBA_CACHE_DIR": "numba", "TORCHINDUCTOR_CACHE_DIR": "torch"}
"""Variables of libraries that write to the home folder, and the names of their replacements."""


def prepare_surroundings() -> None:
    """Check the working directory, and give libraries folders to write to if the home folder is not writable.

    Raises:
        InputError: If the working directory does not exist, or no temporary folder can be written.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise InputError(
            "working directory",
            "the folder of the command must exist",
            value=error.strerror,
            remedy="cd to an existing folder and run the command again",
        ) from None
    if _is_home_writable():
        return
    temporary = _temporary_folder() / f"soundsweep-{os.getuid()}"
    for variable, name in _CACHE_VARIABLES.items():
        os.environ.setdefault(variable, str(temporary / name))


def _is_home_writable() -> bool:
    try:
        home = Path.home()
    except RuntimeError:  # no variable HOME, and no entry in the list of users
        return False
    return home.is_dir() and write_obstacle(home) is None


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise _no_temporary_folder_error(str(error.strerror)) from None


def _no_temporary_folder_error(value: str) -> InputError:
    return InputError(
        "TMPDIR",
        f"Ray needs a writable temporary folder whose path has at most {max_temporary_length()} bytes, for its sockets",
        value=value,
        remedy="free some space there, or name a folder, e.g.  export RAY_TMPDIR=/dev/shm",
    )


def max_temporary_length() -> int:
    """Return the maximum length of the path of Ray's temporary folder without `/ray`, in bytes."""
    return _MAX_SOCKET_BYTES - len(_RAY_SUFFIX) - len("/ray")


def choose_ray_folder() -> str:
    """Return a writable folder for Ray's temporary files, whose path leaves room for those of its sockets.

    Raises:
        InputError: If there is none.
    """
    own = f"ray-{os.getuid()}"
    candidates = [f"{_ray_default()}/ray", f"/tmp/{own}", f"/dev/shm/{own}", f"/var/tmp/{own}"]
    for candidate in map(os.path.abspath, candidates):
        short = len(os.fsencode(candidate)) <= max_temporary_length() + len("/ray")
        if short and write_obstacle(Path(candidate), create=True) is None and _has_space(Path(candidate)):
            return candidate
    raise _no_temporary_folder_error(_ray_default())


def _has_space(folder: Path) -> bool:
    return machine.free_bytes(folder) >= _RAY_BYTES


def _ray_default() -> str:
    """Return the temporary folder that Ray itself would choose."""
    on_linux = os.environ.get("TMPDIR") if sys.platform == "linux" else None
    return os.environ.get("RAY_TMPDIR") or on_linux or "/tmp"


def provide_ray_token() -> None:
    """Give this process and its children a token for Ray if none can be written to the home folder."""
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ) and not _is_home_writable():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
