"""Results that samplers learn from: trials with their best objective values up to the same epoch, or with their ranks.

A history encodes each trial once, so that the cost of a suggestion does not grow with the number of trials.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from search.study import pareto
from search.study.constraints import below_all, total_violation
from search.study.encoding import PointEncoder, Stored
from search.study.stopping.ranking import RungRanking
from search.study.stopping.rule import rung_epochs
from search.study.trials import Trial
from spaces import feasibility
from spaces.schema import Space, Value

_FEWEST_PAIRS: Final = 5
"""Number of trials from which a rank correlation is computed."""
_BEST_SHARE: Final = 8
"""One in this many of the selected results is one of the best; the others are drawn from all the rest."""


class Result(NamedTuple):
    """Comparable result of a trial.

    Attributes:
        number: Number of the trial.
        point: Values of its active dimensions.
        stored: The same as Optuna stores them.
        values: Objective values for comparisons, larger is better: those of a trial that violates constraints are below all
            others (see `constraints.comparable_values`). None for a running trial without any.
        measured: Objective values that a model of the objectives is fitted to, of a trial that violates constraints.
        violation: Total violation of the constraints.
    """

    number: int
    point: Mapping[str, Value]
    stored: dict[str, Stored]
    values: tuple[float, ...] | None
    measured: tuple[float, ...] | None = None
    violation: float = 0.0

    @property
    def modelled(self) -> tuple[float, ...] | None:
        """Objective values that a model of the objectives is fitted to; None for a running trial without any."""
        return self.values if self.measured is None else self.measured


class TrialHistory:
    """Trials of a search in the form in which samplers need them; only what has changed since the last update is read anew.

    Args:
        space: Space of the search.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.encoder = PointEncoder(space.search)
        self._entries: list[_Entry] = []
        self._trials: list[Trial] = []
        self._points: set[Hashable] = set()
        self._ranking = RungRanking(space)
        self._at_epoch: dict[int, list[Result | None]] = {}

    def update(self, trials: Sequence[Trial]) -> None:
        """Take over all trials that have started so far."""
        known = self._trials
        changed = [n for n, trial in enumerate(trials) if n >= len(known) or trial is not known[n]]
        is_moved = len(trials) < len(known)
        del self._entries[len(trials) :]
        for number in changed:
            is_moved |= self._update_entry(number, trials[number])
        if is_moved:
            self._points = {entry.key for entry in self._entries}
        self._trials = list(trials)
        for epoch, results in self._at_epoch.items():
            del results[len(trials) :]
            for number in changed:
                results[number : number + 1] = [self._compare(self._entries[number], trials[number], epoch)]
        self._ranking.update(trials[number] for number in changed)

    def _update_entry(self, number: int, trial: Trial) -> bool:
        """Encode a new or changed trial; return whether it replaces another point."""
        if number < len(self._entries) and self._entries[number].belongs_to(trial):
            return False
        entry = _Entry(trial, self._space, self.encoder)
        is_new = number == len(self._entries)
        self._entries[number : number + 1] = [entry]
        self._points.add(entry.key)
        return not is_new

    def has_point(self, point: Mapping[str, Value]) -> bool:
        """Return whether a trial has had a point."""
        return feasibility.point_key(self._space.search, point) in self._points

    def list_comparable(self) -> list[Result]:
        """Return the results of all trials at the same epoch, and the running trials without one.

        Trials that have ended before that epoch, or have values outside of the search, are left out.
        """
        return self._list_at(comparable_epoch(self._space, self._trials))

    def list_ranked(self, most: int, generator: random.Random) -> list[Result]:
        """Return scores of the trials that have reached the first rung, and the running trials without one.

        The score is the place of a trial among all others, whatever their lengths (see `RungRanking`): one value, also with
        several objectives. Trials that have values outside of the search are left out.

        Args:
            most: Number of results up to which a model is fitted fast enough; they are selected as by `select_results`.
            generator: Source of the random sample.
        """
        scores = self._ranking.compute_scores()
        lowest = min(scores.values(), default=0.0) - 1
        results = self._list_at(self._ranking.first_rung)
        values = [None if result.values is None else (scores.get(result.number, lowest),) for result in results]
        return [
            Result(results[n].number, results[n].point, results[n].stored, values[n], violation=results[n].violation)
            for n in select_indices(values, most, generator)
        ]

    def measure_agreement(self) -> float:
        """Return how far the first rung predicts the latest comparable one: their rank correlation (Spearman), at least 0.

        It is that of the trials that have reached both, the better ones at the first rung; 0 if the two rungs are the same.
        """
        first, last = self._ranking.first_rung, comparable_epoch(self._space, self._trials)
        if first == last:
            return 0.0
        known = [
            (early.values[0], late.values[0])
            for early, late in zip(self._compare_at(first), self._compare_at(last), strict=True)
            if late is not None and late.values is not None and early is not None and early.values is not None
        ]
        if len(known) < _FEWEST_PAIRS:
            return 0.0
        places = np.argsort(np.argsort(np.array(known), axis=0), axis=0)
        return max(0.0, float(np.asarray(np.corrcoef(places.T))[0, 1]))

    def _list_at(self, epoch: int) -> list[Result]:
        known = [result for result in self._compare_at(epoch) if result is not None]
        return _give_unmeasured_the_worst(known) if self._space.constraints else known

    def _compare_at(self, epoch: int) -> list[Result | None]:
        """Return the result of every trial up to an epoch; None for those that are left out."""
        if epoch not in self._at_epoch:
            pairs = zip(self._entries, self._trials, strict=True)
            self._at_epoch[epoch] = [self._compare(entry, trial, epoch) for entry, trial in pairs]
        return self._at_epoch[epoch]

    def _compare(self, entry: _Entry, trial: Trial, epoch: int) -> Result | None:
        if entry.stored is None:
            return None
        scored = entry.score(epoch, trial, self._space)
        if scored is None and self._space.constraints and trial.outcome == "stopped" and trial.violated:
            scored = _Scored(None, trial.total_violation)
        if scored is None:
            is_running = trial.outcome == "running"
            return Result(trial.number, entry.parameters, entry.stored, None) if is_running else None
        values = scored.measured
        if scored.violation or values is None:
            values = below_all(scored.violation, len(self._space.objectives))
        return Result(trial.number, entry.parameters, entry.stored, values, scored.measured, scored.violation)


def _give_unmeasured_the_worst(results: list[Result]) -> list[Result]:
    """Give trials that their constraints ended without a result the worst objective values of all others, for models."""
    measured = [result.measured for result in results if result.measured is not None]
    if len(measured) == sum(result.values is not None for result in results):
        return results
    worst = tuple(min(column) for column in zip(*measured, strict=True)) if measured else None
    return [
        result._replace(measured=worst or (0.0,) * len(result.values))
        if result.values is not None and result.measured is None
        else result
        for result in results
    ]


@dataclass(frozen=True)
class _Scored:
    """Best result of a trial up to an epoch: its objective values, None if they are unknown, and its total violation."""

    measured: tuple[float, ...] | None
    violation: float


class _Entry:
    """Trial with its encoded point, and its best results up to the epochs that were asked for."""

    def __init__(self, trial: Trial, space: Space, encoder: PointEncoder) -> None:
        self.number = trial.number
        self.parameters = trial.parameters
        self.key = feasibility.point_key(space.search, trial.parameters)
        self.stored = encoder.encode(trial.parameters)
        self._scored: dict[int, _Scored | None] = {}

    def belongs_to(self, trial: Trial) -> bool:
        """Return whether this is the entry of a trial, and its parameters have not changed."""
        return self.number == trial.number and self.parameters == trial.parameters

    def score(self, epoch: int, trial: Trial, space: Space) -> _Scored | None:
        """Return the best result up to an epoch; None if it is undefined, or the trial has not reached it."""
        if len(trial.epochs) < epoch:
            return None
        if epoch not in self._scored:
            best = trial.best_epoch_until(epoch, space.objectives)
            metrics = {} if best is None else best.metrics
            values = pareto.objective_values(metrics, space.objectives)
            violation = total_violation(metrics, space.constraints)
            self._scored[epoch] = _Scored(values, violation) if all(map(math.isfinite, values)) else None
        return self._scored[epoch]


def comparable_epoch(space: Space, trials: Sequence[Trial]) -> int:
    """Return the latest rung that enough trials have reached to fit a model (Falkner et al. 2018), or else the first rung."""
    required = max(8, len(space.search) + 2)
    rungs = [*rung_epochs(space.stopping, space.budget.epochs), space.budget.epochs]
    lengths = sorted((len(trial.epochs) for trial in trials), reverse=True)
    longest = lengths[required - 1] if len(lengths) >= required else 0
    return max((rung for rung in rungs if rung <= longest), default=rungs[0])


def select_results(results: Sequence[Result], most: int, generator: random.Random) -> list[Result]:
    """Return at most `most` results in their order: the best, and a random sample of all others; running trials all remain.

    Args:
        results: Results of all trials.
        most: Number of results up to which the model is fitted fast enough.
        generator: Source of the random sample.
    """
    return [results[index] for index in select_indices([result.values for result in results], most, generator)]


def select_indices(values: Sequence[tuple[float, ...] | None], most: int, generator: random.Random) -> list[int]:
    """Return the indices of the results that `select_results` selects.

    Args:
        values: Objective values of each trial; None for a running trial without any.
        most: Number of results up to which the model is fitted fast enough.
        generator: Source of the random sample.
    """
    finished = [index for index, value in enumerate(values) if value is not None]
    if len(finished) <= most:
        return list(range(len(values)))
    best = {
        finished[index] for index in best_indices(np.array([values[index] for index in finished]), most // _BEST_SHARE)
    }
    others = [index for index in finished if index not in best]
    kept = best.union(generator.sample(others, most - len(best)))
    return [index for index, value in enumerate(values) if value is None or index in kept]


def best_indices(values: np.ndarray, count: int) -> list[int]:
    """Return the indices of the best points: front by front, and within a front by the first objective.

    Args:
        values: Objective values [points, objectives]; larger is better.
        count: Number of points, at most all of them.
    """
    order = np.lexsort(tuple(-values[:, index] for index in reversed(range(values.shape[1]))))
    if values.shape[1] == 1:
        return [int(index) for index in order[:count]]
    best: list[int] = []
    while len(best) < count:
        front = _first_front(values, order)
        best += front
        order = order[~np.isin(order, front)]
    return best[:count]


def _first_front(values: np.ndarray, order: np.ndarray) -> list[int]:
    """Return the points that no other one dominates, in the given order, which is descending in the first objective."""
    front: list[int] = []
    while len(order):
        first = order[0]
        front.append(int(first))
        order = order[1:]
        order = order[(values[order] > values[first]).any(axis=1) | (values[order] == values[first]).all(axis=1)]
    return front
