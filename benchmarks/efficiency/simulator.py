"""Replay of a search in simulated time: workers train trials of a task epoch by epoch, and a method decides."""

from __future__ import annotations

import bisect
import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.efficiency.methods.base import Method, Resume, Start
from benchmarks.efficiency.tasks.base import Session, Step


@dataclass
class Trace:
    """Course of a replay.

    The incumbent is the trial and epoch with the best observed value so far: the model that a search would return. Its true
    value is known to the task only.

    Attributes:
        epochs: Epochs of all workers that had ended when the incumbent changed.
        seconds: Simulated time of the changes.
        observed: Observed values of the incumbents.
        true: True values of the incumbents.
        trials: Number of started trials.
        resumed: Number of continuations of paused trials.
        total_epochs: Epochs that have ended.
        total_seconds: Simulated time of the last epoch.
        ask_seconds: CPU time of every start of a trial.
        tell_seconds: CPU time of all other calls of the method.
    """

    epochs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    trials: int = 0
    resumed: int = 0
    total_epochs: int = 0
    total_seconds: float = 0.0
    ask_seconds: list[float] = field(default_factory=list)
    tell_seconds: float = 0.0

    def record(self, seconds: float, step: Step) -> None:
        """Record the end of an epoch."""
        self.total_epochs += 1
        self.total_seconds = seconds
        if step.value is not None and (not self.observed or step.value > self.observed[-1]):
            self.epochs.append(self.total_epochs)
            self.seconds.append(seconds)
            self.observed.append(step.value)
            self.true.append(step.true)


class Simulation:
    """Discrete-event simulation of one search.

    Args:
        session: Task with its noise.
        method: Search method.
        workers: Number of trials that train at a time.
        budget: Number of epochs after which the simulation ends.
    """

    def __init__(self, session: Session, method: Method, workers: int, budget: int) -> None:
        self._session = session
        self._method = method
        self._free = deque(range(workers))
        self._budget = budget
        self._curves: dict[int, Iterator[Step]] = {}
        self._epochs: dict[int, int] = {}
        self._events: list[tuple[float, int, int, int, Step]] = []
        self._clock = 0.0
        self._order = 0
        self.trace = Trace()

    def run(self) -> Trace:
        """Simulate until the budget is used up or the method has no more work."""
        self._assign_work()
        while self._events and self.trace.total_epochs < self._budget:
            self._clock, _, worker, trial, step = heapq.heappop(self._events)
            self._end_epoch(worker, trial, step)
            self._assign_work()
        return self.trace

    def _end_epoch(self, worker: int, trial: int, step: Step) -> None:
        self._epochs[trial] += 1
        epoch = self._epochs[trial]
        self.trace.record(self._clock, step)
        started = self._method.clock()
        decision = self._method.tell(trial, epoch, step.value, step.seconds)
        self.trace.tell_seconds += self._method.clock() - started
        has_ended = step.value is None or epoch >= self._session.problem.epochs
        if has_ended or decision == "stop":
            del self._curves[trial]
        if decision == "continue" and not has_ended:
            self._train_epoch(worker, trial)
        else:
            self._free.append(worker)

    def _assign_work(self) -> None:
        """Give work to the free workers, as far as the method has any."""
        while self._free:
            started = self._method.clock()
            work = self._method.ask(may_start=self._session.has_points())
            if work is None:
                return
            if isinstance(work, Start):
                trial = self._start(work)
                self.trace.ask_seconds.append(self._method.clock() - started)
            else:
                trial = self._resume(work)
            self._train_epoch(self._free.popleft(), trial)

    def _start(self, work: Start) -> int:
        trial = self.trace.trials
        self.trace.trials += 1
        parameters, self._curves[trial] = self._session.start(work.point, trial)
        self._epochs[trial] = 0
        self._method.begin(trial, parameters)
        return trial

    def _resume(self, work: Resume) -> int:
        self.trace.resumed += 1
        return work.trial

    def _train_epoch(self, worker: int, trial: int) -> None:
        step = next(self._curves[trial])
        self._order += 1
        heapq.heappush(self._events, (self._clock + step.seconds, self._order, worker, trial, step))


def value_at(positions: Sequence[float], values: Sequence[float], position: float) -> float:
    """Return the value that was reached at a position; NaN before the first one."""
    index = bisect.bisect_right(positions, position)
    return values[index - 1] if index else math.nan
