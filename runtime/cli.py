"""What every command line has in common: how mistakes are answered, a line of progress, and room on the disk."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TextIO

from runtime import machine
from runtime.errors import InputError, StorageError, suggest_name

_EVERY_S: Final = 20.0
"""Where lines cannot move, progress is said this often."""


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line like every other wrong input."""

    def error(self, message: str) -> NoReturn:
        """Print rule and remedy, exit with status 2."""
        option = next((word for word in message.split() if word.startswith("--")), "")
        known = [name for action in self._actions for name in action.option_strings]
        hint = suggest_name(option, known) if "unrecognized" in message and option else "see --help"
        raise InputError(self.prog, message, remedy=hint)


class Console:
    """One line of progress."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._moves = out.isatty()
        self._last = -_EVERY_S

    def update_progress(self, text: str, *, final: bool = False) -> None:
        """Say where things stand; replaced by the next call on a terminal, rationed elsewhere."""
        if self._moves:
            width = shutil.get_terminal_size().columns - 1
            self._out.write("\r\x1b[K" + text[:width] + ("\n" if final else ""))
        elif final or self._now() - self._last >= _EVERY_S:
            self._last = self._now()
            self._out.write(text + "\n")
        self._out.flush()

    def print_line(self, text: str = "") -> None:
        """Say something that stays."""
        self._out.write(("\r\x1b[K" if self._moves else "") + text + "\n")
        self._out.flush()


class BuildProgress:
    """Progress of building a dataset."""

    def __init__(self, line: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._now = now
        self._started: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Told of every excerpt and shard."""
        started = self._started.setdefault(what, self._now())
        passed = self._now() - started
        left = f", {format_duration(passed * (total - done) / done)} left" if 0 < done < total and passed > 1 else ""
        spent = f" in {passed:.1f} s" if done == total else ""
        self._line.update_progress(f"data     {what} {done:,} of {total:,}{left}{spent}", final=done == total)


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03 or 2:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def run_command(command: Callable[[], int]) -> int:
    """Run a command; its exit status, 2 for wrong input and 130 when it was stopped by hand."""
    try:
        return command()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130


def whole_number_type(least: int, most: int | None = None) -> Callable[[str], int]:
    """How an option reads a whole number within bounds."""

    def number(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    number.__name__ = "whole number"
    return number


def require_free_disk(folder: Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: Where something is to be written; it need not exist yet.
        needed_bytes: How much.

    Raises:
        StorageError: If less is free.
    """
    free = machine.free_bytes(folder)
    if free < needed_bytes:
        raise StorageError(
            str(folder),
            f"the disk needs {format_bytes(needed_bytes)} free",
            value=f"{format_bytes(free)} free",
            remedy="make room, or choose a folder on another disk",
        )


def format_bytes(n_bytes: float) -> str:
    """Bytes as people say them, e.g. 4.3 GB."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
