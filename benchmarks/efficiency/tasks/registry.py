"""Tasks by name."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from benchmarks.efficiency.tasks.base import Task
from benchmarks.efficiency.tasks.digits import DigitsTask
from benchmarks.efficiency.tasks.hartmann import HartmannTask
from benchmarks.efficiency.tasks.tables import TableTask

TABLES: Final = Path(__file__).resolve().parents[1] / "tables"
_HARTMANN: Final = {
    "hartmann3": (3, 2.5, 2.0),
    "hartmann6": (6, 2.5, 2.0),
    "hartmann6-bad": (6, 3.5, 4.0),
    "hartmann6-quiet": (6, 2.5, 0.2),
}


def list_tasks() -> list[str]:
    """Return the names of all tasks: the recorded tables, the Hartmann functions and the digits."""
    return [*(path.stem for path in sorted(TABLES.glob("*.parquet"))), *_HARTMANN, "digits"]


@functools.cache
def load_task(name: str) -> Task:
    """Return a task by its name, one of `list_tasks`."""
    if name in _HARTMANN:
        return HartmannTask(name, *_HARTMANN[name])
    return DigitsTask() if name == "digits" else TableTask(TABLES / f"{name}.parquet")
