"""Random search: alone, with asynchronous successive halving, and with one epoch for all and the best in full."""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from typing import Any

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.problem import Problem


class RandomSearch(Method):
    """Uniform random configurations, each trained in full."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._generator = random.Random(seed)

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return a random point."""
        return Start(self.problem.draw(self._generator)) if may_start else None

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Do nothing: no choice depends on earlier ones."""

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Return "continue"."""
        del trial, epoch, value, seconds
        return "continue"


class RandomAsha(RandomSearch):
    """Random configurations with asynchronous successive halving (Li et al. 2020) that stops trials.

    A trial continues from a rung if its best value is among the best 1/reduction, rounded up, of all trials that have reached it.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._rungs: dict[int, list[float]] = {rung: [] for rung in problem.rungs()}
        self._best: defaultdict[int, float] = defaultdict(lambda: -math.inf)

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Record the value and compare the trial at a rung."""
        del seconds
        if value is None:
            return "stop"
        self._best[trial] = max(self._best[trial], value)
        if epoch not in self._rungs:
            return "continue"
        earlier, own = self._rungs[epoch], self._best[trial]
        earlier.append(own)
        better = sum(other > own for other in earlier)
        return "continue" if better < math.ceil(len(earlier) / self.problem.reduction) else "stop"


class OneEpochThenBest(RandomSearch):
    """One epoch for every random configuration, and the best ones in full (Egele et al. 2023, arXiv 2307.15422).

    The paper trains a fixed number of configurations for one epoch and then the best k in full. To have a result at any
    budget, half of the epochs are spent on each: whenever the one-epoch trainings have cost as much as one more full
    training, the best waiting trial is trained to its end.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._waiting: list[tuple[float, int]] = []
        self._short = 0
        self._full = 0

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the best waiting trial if it is due, or else a random point."""
        rest = self.problem.epochs - 1
        is_due = self._short >= self._full + rest or not may_start
        if self._waiting and is_due:
            self._full += rest
            return Resume(heapq.heappop(self._waiting)[1])
        return super().ask(may_start=may_start)

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Let a trial wait after its first epoch."""
        del seconds
        if epoch > 1:
            return "continue"
        self._short += 1
        if value is not None:
            heapq.heappush(self._waiting, (-value, trial))
        return "pause"
