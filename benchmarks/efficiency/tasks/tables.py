"""Tables of recorded learning curves as tasks, without a model between the rows.

A method proposes any configuration of the space, and the trial gets the nearest row that has not been started (distance:
`Problem.distance`). The method is told the parameters of the row before the first result and uses them in place of its
proposal, as if it had proposed the row. This is the same for all methods, needs no list of candidates, which most
implementations do not accept, and lets no method see a row that it has not chosen. A model thus learns from true pairs of
parameters and values only; what it loses is the same for all: the difference between its proposal and the nearest row, which
grows as the rows are used up. Every row is trained at most once.

The value of an epoch is that of one of the recorded seeds, drawn per replay and row; the true value is the mean over them.
The duration is the CPU time.
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.efficiency.curves import Curve, CurveEpoch, read_curves
from benchmarks.efficiency.problem import Point, Problem, from_identity
from benchmarks.efficiency.tasks.base import Scale, Session, Step, Task


@dataclass(frozen=True)
class Row:
    """Configuration of a table.

    Attributes:
        parameters: Its parameters.
        seeds: Its epochs on each recorded seed.
    """

    parameters: dict[str, Any]
    seeds: tuple[tuple[Step, ...], ...]


class TableTask(Task):
    """Table of learning curves; its value is the first objective of the space.

    Args:
        path: Parquet file.
    """

    def __init__(self, path: Path) -> None:
        description, curves = read_curves(path)
        self.name = path.stem
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        (self.unit, direction), *_ = description["space"]["objectives"]
        sign = 1.0 if direction == "maximize" else -1.0
        grouped: dict[int, list[Curve]] = {}
        for curve in curves:
            grouped.setdefault(curve.configuration, []).append(curve)
        rows = [(group[0].role, to_row(group, self.unit, sign)) for group in grouped.values()]
        self.rows = [row for role, row in rows if role == "random"]
        self.baseline = next((row for role, row in rows if role == "baseline"), None)
        stopping = description["space"]["stopping"]
        self.problem = Problem(
            from_identity(description["space"]["search"]),
            description["space"]["epochs"],
            reduction=stopping["reduction"],
            baseline=self.baseline.parameters if self.baseline else None,
        )

    def open_session(self, seed: int) -> Session:
        """Return the trainings of a replay."""
        return _TableSession(self, seed)

    @functools.cache  # noqa: B019  # tasks live as long as the process
    def scale(self) -> Scale:
        """Return the median of the random configurations after all epochs, and the best value of any epoch of them."""
        complete = [row.seeds[0] for row in self.rows if row.seeds[0][-1].value is not None]
        best = max(step.true for steps in complete for step in steps)
        return Scale(statistics.median(steps[-1].true for steps in complete), best)


def to_row(curves: Sequence[Curve], metric: str, sign: float) -> Row:
    """Return a row from the trainings of one configuration on several seeds.

    Args:
        curves: Trainings; those that failed on a seed on which another one finished are left out.
        metric: Name of the objective.
        sign: 1 if it is maximised, -1 if it is minimised.
    """
    finished = [curve for curve in curves if curve.outcome == "finished"] or curves[:1]
    values = [[_value(epoch, metric, sign) for epoch in curve.epochs] for curve in finished]
    means = [_mean(column) for column in zip(*values, strict=True)]
    seeds = (
        tuple(Step(value, mean, epoch.cpu_seconds) for value, mean, epoch in zip(own, means, curve.epochs, strict=True))
        for own, curve in zip(values, finished, strict=True)
    )
    return Row(dict(curves[0].parameters), tuple(seeds))


def _mean(values: Sequence[float | None]) -> float:
    """Return the mean; minus infinity if the epoch failed."""
    defined = [value for value in values if value is not None]
    return statistics.mean(defined) if len(defined) == len(values) else -math.inf


def _value(epoch: CurveEpoch, metric: str, sign: float) -> float | None:
    return sign * epoch.metrics[metric] if metric in epoch.metrics else None


class _TableSession(Session):
    def __init__(self, task: TableTask, seed: int) -> None:
        self.problem: Problem = task.problem
        self._baseline = task.baseline
        self._seed = seed
        self._left = dict(enumerate(task.rows))

    def has_points(self) -> bool:
        """Return whether rows are left."""
        return bool(self._left)

    def start(self, point: Point, trial: int) -> tuple[dict[str, Any], Iterator[Step]]:
        """Return the parameters and the epochs of the nearest row; the baseline is a row of its own."""
        del trial
        if self._baseline is not None and point == self._baseline.parameters:
            return dict(point), iter(self._baseline.seeds[0])
        number = min(self._left, key=lambda n: (self.problem.distance(point, self._left[n].parameters), n))
        row = self._left.pop(number)
        return dict(row.parameters), iter(random.Random(f"{self._seed} {number}").choice(row.seeds))
