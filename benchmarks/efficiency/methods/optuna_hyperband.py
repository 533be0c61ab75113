"""Optuna's TPE with its Hyperband pruner, through its public ask-and-tell interface with default values."""

from __future__ import annotations

import math
from typing import Any

import optuna

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.methods.optuna_points import replace_parameters, suggest_point
from benchmarks.efficiency.problem import Problem


class OptunaHyperband(Method):
    """`TPESampler` and `HyperbandPruner` with the rungs of the task."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.HyperbandPruner(problem.first_rung, problem.epochs, problem.reduction)
        sampler = optuna.samplers.TPESampler(seed=seed)
        # The pruner draws a bracket from the name of the study and the number of the trial.
        self._study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner, study_name=f"replay {seed}"
        )
        self._asked: optuna.trial.Trial | None = None
        self._trials: dict[int, optuna.trial.Trial] = {}
        self._best: dict[int, float] = {}

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the next suggestion of the study."""
        if not may_start:
            return None
        self._asked = self._study.ask()
        return Start(suggest_point(self.problem, self._asked))

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Keep the trial of Optuna, with the parameters that were assigned to it."""
        assert self._asked is not None
        replace_parameters(self.problem, self._study, self._asked, parameters)
        self._trials[trial] = self._asked

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Report the value, and prune or complete the trial."""
        del seconds
        own = self._trials[trial]
        if value is None:
            self._study.tell(own, state=optuna.trial.TrialState.FAIL)
            return "stop"
        self._best[trial] = max(self._best.get(trial, -math.inf), value)
        own.report(value, epoch)
        if epoch >= self.problem.epochs:
            self._study.tell(own, self._best[trial])
        elif own.should_prune():
            self._study.tell(own, state=optuna.trial.TrialState.PRUNED)
            return "stop"
        return "continue"
