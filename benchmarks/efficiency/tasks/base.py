"""Interface of the tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.efficiency.problem import Point, Problem


@dataclass(frozen=True)
class Step:
    """One epoch of a training.

    Attributes:
        value: Objective that the method is told, larger is better; None if the training failed.
        true: Value without the noise of this training and its validation, known to the benchmark only.
        seconds: Duration.
    """

    value: float | None
    true: float
    seconds: float


class Session(ABC):
    """Trainings of one replay.

    Attributes:
        problem: What the method is told about the task.
    """

    problem: Problem

    @abstractmethod
    def start(self, point: Point, trial: int) -> tuple[dict[str, Any], Iterator[Step]]:
        """Return the parameters of a new trial and its epochs, which are computed as they are needed.

        Args:
            point: Proposed configuration.
            trial: Number of the trial, on which its noise depends.
        """

    def has_points(self) -> bool:
        """Return whether there are configurations left to start."""
        return True


@dataclass(frozen=True)
class Scale:
    """Values that the results of a task are compared with.

    Attributes:
        typical: Median true value of random configurations after a full training: where random search starts.
        best: True value of the best configuration.
    """

    typical: float
    best: float

    def threshold(self, share: float) -> float:
        """Return the value that is within a share of the range from `typical` to `best` of the best."""
        return self.best - share * (self.best - self.typical)


class Task(ABC):
    """Task of the benchmark.

    Attributes:
        name: Name on the command line.
        digest: Text that changes when the curves do; cached replays of another one are not used.
        unit: Meaning of the values, for figures.
    """

    name: str
    digest: str
    unit: str

    @abstractmethod
    def open_session(self, seed: int) -> Session:
        """Return the trainings of a replay; the same seed gives the same noise to all methods."""

    @abstractmethod
    def scale(self) -> Scale:
        """Return the values that results are compared with."""
