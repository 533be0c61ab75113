"""Command lines: parsing of arguments, and exit statuses."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from runtime.errors import InputError, suggest_name
from runtime.files import write_obstacle
from runtime.machines.surroundings import prepare_surroundings
from runtime.uris import expand_home

_PLACE_ERRORS: Final = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ELOOP),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ESTALE),
}
"""Error numbers that concern a place and not the program."""
_BROKEN_PIPE: Final = 141
"""Exit status of a command whose output nobody reads any more: 128 plus the number of SIGPIPE."""


class Parser(argparse.ArgumentParser):
    """Parser that reports a wrong command line as an `InputError`."""

    def error(self, message: str) -> NoReturn:
        """Raise the error for a wrong command line.

        Raises:
            InputError: Always.
        """
        option = next((word for word in message.split() if word.startswith("--")), "")
        known = [name for action in self._actions for name in action.option_strings]
        hint = suggest_name(option, known) if "unrecognized" in message and option else "see --help"
        raise InputError(self.prog, message, remedy=hint)


def run_command(command: Callable[[], int], *, stopped: str = "Stopped; the same command continues from here.") -> int:
    """Run a command and return its exit status.

    Args:
        command: Function that returns the exit status.
        stopped: Message after an interruption with Ctrl-C.

    Returns:
        The command's own status, 2 for wrong input, 130 after Ctrl-C, or 141 if the output is a pipe that was closed.
    """
    try:
        prepare_surroundings()
        return command()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output has ended, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it exits
        return _BROKEN_PIPE
    except OSError as error:
        if error.errno not in _PLACE_ERRORS or error.filename is None:
            raise
        print(f"error: {_describe_place_error(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return 130


def _describe_place_error(error: OSError) -> InputError:
    return InputError(
        str(error.filename),
        "the file or folder must be accessible",
        value=error.strerror,
        remedy="check its path, its permissions and the free space of its disk; then run the command again",
    )


def local_folder(text: str) -> Path:
    """Return the output folder of `--to`.

    Raises:
        InputError: If it is a URI.
    """
    if "://" in text:
        raise InputError("--to", "the output folder must be local", value=text, remedy="name a local folder")
    return expand_home(text)


def require_output_folder(folder: Path) -> None:
    """Check that an output folder is or could be created and written, without creating it.

    Raises:
        InputError: If not.
    """
    obstacle = write_obstacle(folder)
    if obstacle is not None:
        raise InputError(
            str(folder), "the output folder must be writable", value=obstacle, remedy="name another folder with --to"
        )


def whole_number_type(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return the type of an option that takes an integer within bounds, both inclusive."""

    def number(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    number.__name__ = "whole number"
    return number


def positive_number_type(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Return the type of an option that takes a finite number above zero."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above zero, got {text}")
        return value

    number.__name__ = "whole number" if kind is int else "number"
    return number


def parse_seed(text: str) -> int:
    """Return the value of an option that takes a random seed."""
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"must be in 0 … 2147483647, got {text}")
    return value


def require_output(path: Path, *, force: bool) -> None:
    """Check that the file of the option `-o` can be written.

    Args:
        path: File to write.
        force: Whether an existing file may be replaced.

    Raises:
        InputError: If it exists already, or its folder cannot be written to.
    """
    if path.is_dir() or (path.exists() and not force):
        rule = "the file must not exist" if path.is_file() else "the output must be a file"
        raise InputError("-o", rule, value=str(path), remedy="name another file, or add --force to overwrite it")
    obstacle = write_obstacle(path.parent)
    if obstacle is not None:
        raise InputError(
            "-o", "the folder must be writable", value=f"{path.parent}: {obstacle}", remedy="name another one"
        )
