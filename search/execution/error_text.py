"""Reasons of failures: an exception in one line, with the place in the code of the trainable."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_MAX_LENGTH: Final = 500
_SEARCH: Final = str(Path(__file__).resolve().parents[1]) + os.sep
_LIBRARIES: Final = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def describe_error(error: BaseException) -> str:
    """Return the type, the first line of the message and the place of an exception; never raise one."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    message = _format_message(error)
    return f"{type(error).__name__}{': ' if message else ''}{message}{format_location(frames)}"


def _format_message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        return f"exit status {code}" if isinstance(code, int) else f"exit status 1, {code}"
    try:
        text = str(error)
    except Exception as another:  # noqa: BLE001  # any exception of a user's __str__
        return f"(its message cannot be formatted: {type(another).__name__})"
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:_MAX_LENGTH]


def format_location(frames: Sequence[tuple[str, int]]) -> str:
    """Return the last place outside of libraries and of this package as " at FILE:LINE"; empty if there is none.

    Args:
        frames: Paths and line numbers, innermost last.
    """
    own = [(path, line) for path, line in frames if not path.startswith("<") and not _is_library(path)]
    if not own:
        return ""
    path, line = own[-1]
    return f" at {_shorten_path(path)}:{line}"


def _is_library(path: str) -> bool:
    return str(Path(path).resolve()).startswith((*_LIBRARIES, _SEARCH))


def _shorten_path(path: str) -> str:
    """Return a path relative to the longest entry of the module search path that contains it."""
    absolute = Path(path).absolute()
    parents = [entry for entry in sys.path if entry and absolute.is_relative_to(Path(entry).absolute())]
    return str(absolute.relative_to(Path(max(parents, key=len)).absolute())) if parents else str(absolute)
