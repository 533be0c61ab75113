"""This project's engine as of commit b016912: TPE on comparable results, and ASHA that stops trials.

The adapter is frozen. It is run with the packages of that commit in a process of its own (`methods.environments`), and
imports them by name, so that it does not depend on what they are today.
"""

from __future__ import annotations

import dataclasses
import importlib
from types import SimpleNamespace
from typing import Any, Final

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.problem import Problem

TRAINABLE: Final = "benchmarks.efficiency.methods.replay_trainable:train_replay"
_METRIC: Final = "value"
_TRIALS: Final = 10_000
"""Budget of trials of the space, of which the sampler derives its number of random trials; as in a long search."""


def build_space(problem: Problem, seed: int) -> Any:
    """Return the Space of a problem."""
    schema = importlib.import_module("spaces.schema")
    dimensions = tuple(
        schema.Dimension(v.name, v.kind, v.low, v.high, v.choices, v.when, v.step) for v in problem.variables
    )
    return schema.Space(
        name="replay",
        trainable=TRAINABLE,
        dataset=importlib.import_module("datasets.none").NoneSpec(),
        fixed={},
        search=dimensions,
        inner={},
        objectives=((_METRIC, "maximize"),),
        baseline=problem.baseline or {},
        start=(),
        stopping=schema.Stopping(first_rung=problem.first_rung, reduction=problem.reduction),
        budget=schema.Budget(trials=_TRIALS, epochs=problem.epochs),
        resources=schema.Resources(),
        seed=seed,
        profile=None,
    )


class OursB016912(Method):
    """`sampler.suggest_parameters` and `TrialStopper` on a study that is kept in memory.

    The baseline is trial 0, is never stopped and counts against the budget, as in a search.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        optuna = importlib.import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # as `Study` does
        self._sampler = importlib.import_module("search.study.sampler")
        self._values = importlib.import_module("search.study.trials")
        stopper = importlib.import_module("search.execution.trial_stopper")
        self._space = build_space(problem, seed)
        self._trials: dict[int, Any] = {}
        self._started = 0
        study = SimpleNamespace(get_trial=self._trials.__getitem__, get_trials=lambda: list(self._trials.values()))
        self._stopper = stopper.TrialStopper(study, self._space, stopper.TimeBudget(None))

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the baseline, and then the suggestions of the sampler."""
        if not may_start:
            return None
        self._started += 1
        if self._started == 1 and self.problem.baseline is not None:
            return Start(dict(self.problem.baseline))
        number = self._started - 1
        return Start(self._sampler.suggest_parameters(self._space, list(self._trials.values()), number))

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Add a running trial."""
        is_baseline = trial == 0 and self.problem.baseline is not None
        self._trials[trial] = self._values.Trial(trial, parameters, "running", "", (), None, is_baseline, {})

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Record an epoch and apply the stopping policy."""
        own = self._trials[trial]
        if value is None:
            self._trials[trial] = dataclasses.replace(own, outcome="failed")
            return "stop"
        result = self._values.Epoch(epoch, {_METRIC: value}, {}, seconds)
        self._trials[trial] = own = dataclasses.replace(own, epochs=(*own.epochs, result))
        decision = self._stopper(trial, result)
        if decision is None:
            return "continue"
        self._trials[trial] = dataclasses.replace(own, outcome=decision[0])
        return "stop"
