"""Interface of the search methods; needs the standard library only.

A method is asked for work whenever a worker is free, and told every result. It names trials by the numbers that the simulator
gives them when they begin. Larger values are better.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.efficiency.problem import Point, Problem

Decision = Literal["continue", "pause", "stop"]
"""What happens to a trial after an epoch. A paused trial waits until it is resumed, and needs no worker meanwhile."""


@dataclass(frozen=True)
class Start:
    """Start of a new trial.

    Attributes:
        point: Proposed configuration.
    """

    point: Point


@dataclass(frozen=True)
class Resume:
    """Continuation of a paused trial.

    Attributes:
        trial: Number of the trial.
    """

    trial: int


class Method(ABC):
    """Search method.

    Args:
        problem: Dimensions, epochs and rungs.
        seed: Seed of its random choices.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.seed = seed

    def clock(self) -> float:
        """Return the CPU time that the process of the method has used so far, in seconds."""
        return time.process_time()

    @abstractmethod
    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the work of a free worker; None to be asked again after the next result.

        Args:
            may_start: Whether there are configurations left that have not been tried; False in a table whose rows have
                all been started.
        """

    @abstractmethod
    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Take note of the number and the parameters of the trial that was started last.

        Args:
            trial: Number of the trial.
            parameters: Its configuration, which replaces the proposal: in a table, the nearest row that is left.
        """

    @abstractmethod
    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Record the result of an epoch and return what happens to the trial.

        The decision after the last epoch, or after a failure, is ignored: the trial has ended.

        Args:
            trial: Number of the trial.
            epoch: Number of the epoch, from 1.
            value: Objective, larger is better; None if the training has failed.
            seconds: Duration of the epoch.
        """
