"""Output of commands: progress lines, durations and sizes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

_UPDATE_INTERVAL_S: Final = 20.0
"""Minimum time between two progress lines where the output is not a terminal, in seconds."""


class Console:
    """Output with one progress line.

    Text that cannot be written, to a full disk or a closed terminal, is lost: it is not worth the work that it is about.

    Args:
        out: Stream to write to.
        now: Monotonic clock, in seconds.
    """

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._is_terminal = out.isatty()
        self._last_update = -_UPDATE_INTERVAL_S

    def update_progress(self, text: str, *, final: bool = False) -> None:
        """Replace the progress line on a terminal; elsewhere write a line if the last one is old enough.

        Args:
            text: New text of the line.
            final: Whether the line is complete, so that it is written in any case and not replaced.
        """
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r\x1b[K" + text[:width] + ("\n" if final else ""))
        elif final or self._now() - self._last_update >= _UPDATE_INTERVAL_S:
            self._last_update = self._now()
            self._write(text + "\n")

    def print_line(self, text: str = "") -> None:
        """Print a line that is not replaced; it takes the place of the progress line."""
        self._write(("\r\x1b[K" if self._is_terminal else "") + text + "\n")

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()


class BuildProgress:
    """Progress of building a dataset, with an estimate of the remaining time.

    Args:
        console: Output of the progress line.
        now: Monotonic clock, in seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._started: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Update the line after an excerpt or a shard.

        Args:
            step: Name of the step.
            done: Number of completed units.
            total: Number of all units of the step.
        """
        started = self._started.setdefault(step, self._now())
        elapsed = self._now() - started
        left = f", {format_duration(elapsed * (total - done) / done)} left" if 0 < done < total and elapsed > 1 else ""
        spent = f" in {elapsed:.1f} s" if done == total else ""
        self._console.update_progress(f"data     {step} {done:,} of {total:,}{left}{spent}", final=done == total)


def format_duration(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds, such as 1:02:03 or 2:03."""
    rounded = max(0, round(seconds))
    hours, rest = divmod(rounded, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def format_bytes(n_bytes: float) -> str:
    """Return a size with a decimal unit, such as 4.3 GB."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
