"""This project's engine of today, and the same without one of its parts."""

from __future__ import annotations

import dataclasses
import random
from typing import Any, ClassVar, Final

import optuna

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.methods.ours_b016912 import build_space
from benchmarks.efficiency.problem import Problem
from search.study.sampler import suggest_parameters
from search.study.samplers.model import MOST_TPE
from search.study.samplers.results import Result, TrialHistory, select_results
from search.study.stopping.rule import StoppingRule
from search.study.trials import Epoch, Trial

_METRIC: Final = "value"


class Ours(Method):
    """Sampler and stopping rule of the working tree, on trials that are kept in memory.

    Attributes:
        pauses: Whether trials that may not continue wait; otherwise they end.
        history: What the sampler learns from.
    """

    pauses: ClassVar[bool] = True
    history: ClassVar[type[TrialHistory]] = TrialHistory

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # as `Study` does
        self._space = build_space(problem, seed)
        self._rule = StoppingRule(self._space)
        self._trials: dict[int, Trial] = {}
        self._paused: set[int] = set()
        self._history = self.history(self._space)

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return a paused trial that belongs to the better ones after all, the baseline, or a suggestion of the sampler."""
        number = self._rule.choose_paused(self._paused, at_end=not may_start)
        if number is not None:
            self._paused.discard(number)
            self._trials[number] = dataclasses.replace(self._trials[number], outcome="running")
            return Resume(number)
        if not may_start:
            return None
        started = len(self._trials)
        if not started and self.problem.baseline is not None:
            return Start(dict(self.problem.baseline))
        return Start(suggest_parameters(self._space, list(self._trials.values()), started, self._history))

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Add a running trial."""
        is_baseline = trial == 0 and self.problem.baseline is not None
        self._trials[trial] = Trial(trial, parameters, "running", "", (), None, is_baseline, {})

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Record an epoch and apply the stopping rule."""
        own = self._trials[trial]
        if value is None:
            self._trials[trial] = dataclasses.replace(own, outcome="failed")
            return "stop"
        own = dataclasses.replace(own, epochs=(*own.epochs, Epoch(epoch, {_METRIC: value}, {}, seconds)))
        self._trials[trial] = own
        self._rule.record(own)
        if epoch >= self.problem.epochs:
            self._trials[trial] = dataclasses.replace(own, outcome="finished")
            return "stop"
        if self._rule.may_continue(own, at_end=False):
            return "continue"
        self._trials[trial] = dataclasses.replace(own, outcome="paused" if self.pauses else "stopped")
        if self.pauses:
            self._paused.add(trial)
        return "pause" if self.pauses else "stop"


class OursStopping(Ours):
    """The same without pauses."""

    pauses = False


class _ComparableHistory(TrialHistory):
    """Results at the latest epoch that enough trials have reached only."""

    def list_ranked(self, most: int, generator: random.Random) -> list[Result]:
        return select_results(self.list_comparable(), most, generator)


class _RankedHistory(TrialHistory):
    """Ranks of all trials only."""

    def list_comparable(self) -> list[Result]:
        return self.list_ranked(MOST_TPE, random.Random(len(self._trials)))


class OursComparable(Ours):
    """The same with proposals from results at the latest epoch that enough trials have reached."""

    history = _ComparableHistory


class OursRanked(Ours):
    """The same with proposals from the ranks of all trials."""

    history = _RankedHistory
