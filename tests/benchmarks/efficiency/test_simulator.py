"""The simulator: workers, time, pauses, failures and the incumbent, with curves and decisions written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.problem import Point, Problem, Variable
from benchmarks.efficiency.simulator import Simulation, Trace, value_at
from benchmarks.efficiency.tasks.base import Session, Step

PROBLEM = Problem((Variable("x", "uniform", 0.0, 1.0),), epochs=3)


class Curves(Session):
    """Curves by number of the trial; each is a list of values, with their seconds."""

    problem = PROBLEM

    def __init__(self, curves: Sequence[Sequence[float | None]], seconds: Sequence[float] = ()) -> None:
        self._curves = curves
        self._seconds = seconds or [1.0] * len(curves)
        self.started = 0

    def has_points(self) -> bool:
        return self.started < len(self._curves)

    def start(self, point: Point, trial: int) -> tuple[dict[str, Any], Iterator[Step]]:
        self.started += 1
        second = self._seconds[trial]
        steps = (Step(v, -math.inf if v is None else v + 100, second) for v in self._curves[trial])
        return {"x": trial}, steps


class Scripted(Method):
    """Method whose decisions are a function of trial and epoch."""

    def __init__(self, decide: Callable[[int, int], Decision] = lambda *_: "continue") -> None:
        super().__init__(PROBLEM, 0)
        self._decide = decide
        self.calls: list[tuple[Any, ...]] = []
        self.resumable: list[int] = []

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        if may_start:
            return Start({"x": 0.5})
        return Resume(self.resumable.pop(0)) if self.resumable else None

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        self.calls.append(("begin", trial, parameters["x"]))

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        self.calls.append((trial, epoch, value))
        decision = self._decide(trial, epoch)
        if decision == "pause":
            self.resumable.append(trial)
        return decision


def simulate(session: Session, method: Method, workers: int = 1, budget: int = 100) -> Trace:
    return Simulation(session, method, workers, budget).run()


def test_one_worker_trains_one_trial_after_the_other() -> None:
    method = Scripted()
    trace = simulate(Curves([[1, 2, 3], [4, 5, 6]], [2.0, 3.0]), method)
    results = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 1, 4), (1, 2, 5), (1, 3, 6)]
    assert method.calls == [("begin", 0, 0), *results[:3], ("begin", 1, 1), *results[3:]]
    assert trace.seconds == [2, 4, 6, 9, 12, 15]
    assert (trace.trials, trace.total_epochs, trace.total_seconds) == (2, 6, 15.0)


def test_workers_train_at_the_same_time_and_results_come_in_the_order_of_time() -> None:
    method = Scripted()
    trace = simulate(Curves([[1, 2, 3], [1, 2, 3], [9, 9, 9]], [2.0, 3.0, 1.0]), method, workers=2)
    told = [call[:2] for call in method.calls if call[0] != "begin"]
    assert told == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (2, 1), (2, 2), (1, 3), (2, 3)]
    assert trace.total_seconds == 9.0


def test_more_workers_take_less_time_for_the_same_epochs() -> None:
    traces = [simulate(Curves([[1, 2, 3]] * 8), Scripted(), workers) for workers in (1, 2, 8)]
    assert [trace.total_epochs for trace in traces] == [24, 24, 24]
    assert [trace.total_seconds for trace in traces] == [24, 12, 3]


def test_a_stopped_trial_frees_its_worker() -> None:
    trace = simulate(Curves([[5, 6, 7], [1, 2, 3]]), Scripted(lambda trial, _: "stop" if trial == 0 else "continue"))
    assert trace.total_epochs == 4
    assert trace.observed == [5]


def test_a_paused_trial_continues_after_its_last_epoch() -> None:
    method = Scripted(lambda _, epoch: "pause" if epoch == 1 else "continue")
    trace = simulate(Curves([[1, 2, 3], [4, 5, 6]]), method)
    told = [call[:2] for call in method.calls if call[0] != "begin"]
    assert told == [(0, 1), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    assert (trace.trials, trace.resumed) == (2, 2)


def test_a_failed_training_ends_whatever_the_method_decides() -> None:
    method = Scripted()
    trace = simulate(Curves([[1, None, 3], [0, 0, 0]]), method)
    assert (0, 2, None) in method.calls
    assert (0, 3, 3) not in method.calls
    assert trace.total_epochs == 5
    assert trace.observed == [1]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_budget_counts_the_epochs_of_all_workers(workers: int) -> None:
    trace = simulate(Curves([[1, 2, 3]] * 9), Scripted(), workers, budget=10)
    assert trace.total_epochs == 10


def test_a_worker_without_work_is_asked_again_after_the_next_result() -> None:
    method = Scripted(lambda trial, epoch: "pause" if (trial, epoch) == (0, 1) else "continue")
    trace = simulate(Curves([[1, 2, 3]]), method, workers=3)
    assert trace.total_epochs == 3
    assert trace.resumed == 1


def test_the_incumbent_is_the_best_observed_result_and_is_reported_by_its_true_value() -> None:
    trace = simulate(Curves([[3, 2, 5], [4, 5, 6]]), Scripted())
    assert trace.epochs == [1, 3, 6]
    assert trace.observed == [3, 5, 6]
    assert trace.true == [103, 105, 106]
    assert [value_at(trace.epochs, trace.true, epochs) for epochs in (1, 2, 3, 5, 6, 99)] == [
        103,
        103,
        105,
        105,
        106,
        106,
    ]
    assert math.isnan(value_at(trace.epochs, trace.true, 0))
