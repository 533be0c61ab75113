"""Syne Tune's ASHA, PASHA, Hyper-Tune and CQR with ASHA; imported in its own environment only.

The schedulers are Syne Tune's, with the rungs of the task and otherwise their defaults, except that ASHA and Hyper-Tune promote
paused trials and Hyper-Tune has up to four brackets, as its authors use it. The order of calls is that of its `Tuner`. Its spaces
have no conditions: a dimension that is not active is proposed and ignored.
"""

from __future__ import annotations

import datetime
import importlib
import logging
import sys
import types
import warnings
from typing import Any, ClassVar, Final

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.problem import Problem, Variable

_METRIC: Final = "value"
_EPOCH: Final = "epoch"
_EPOCHS: Final = "epochs"
_HUB: Final = "syne_tune.blackbox_repository.repository"
"""Module that downloads Syne Tune's own benchmarks; its imports are not installed."""
_BRACKETS: Final = 4


def _import_baselines() -> Any:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    hub = types.ModuleType(_HUB)
    for name in ("load_blackbox", "blackbox_list", "add_surrogate", "check_blackbox_local_files"):
        setattr(hub, name, None)
    sys.modules.setdefault(_HUB, hub)
    return importlib.import_module("syne_tune.optimizer.legacy_baselines")


def _to_domain(variable: Variable) -> Any:
    space = importlib.import_module("syne_tune.config_space")
    if variable.kind == "choice":
        return space.choice(list(variable.choices))
    if variable.step is not None:
        count = round((variable.high - variable.low) / variable.step)
        return space.finrange(variable.low, variable.high, count + 1, cast_int=variable.is_integer)
    if variable.is_integer:
        make = space.lograndint if variable.is_log else space.randint
        return make(int(variable.low), int(variable.high))
    return (space.loguniform if variable.is_log else space.uniform)(variable.low, variable.high)


class _SyneTuneMethod(Method):
    """Scheduler of Syne Tune."""

    baseline: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        baselines = _import_baselines()
        domains = {variable.name: _to_domain(variable) for variable in problem.variables}
        self._scheduler = getattr(baselines, self.baseline)(
            {**domains, _EPOCHS: problem.epochs},
            metric=_METRIC,
            mode="max",
            resource_attr=_EPOCH,
            max_resource_attr=_EPOCHS,
            grace_period=problem.first_rung,
            reduction_factor=problem.reduction,
            random_seed=seed,
            **self._options(problem),
        )
        self._suggested: dict[str, Any] = {}
        self._trials: dict[int, Any] = {}
        self._ids: dict[int, int] = {}

    def _options(self, problem: Problem) -> dict[str, Any]:
        del problem
        return self.options

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the next suggestion of the scheduler."""
        if not may_start:
            return None
        suggestion = self._scheduler.suggest(len(self._trials))
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            trial = int(suggestion.checkpoint_trial_id)
            if suggestion.config is not None:  # it states the epoch of the next rung
                self._trials[trial].config[_EPOCHS] = suggestion.config[_EPOCHS]
            return Resume(trial)
        self._suggested = suggestion.config
        return Start(self.problem.complete(suggestion.config))

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Add the trial to the scheduler, with the parameters that were assigned to it."""
        status = importlib.import_module("syne_tune.backend.trial_status")
        config = {**self._suggested, **parameters}
        self._trials[trial] = status.Trial(trial, config, datetime.datetime.now())
        self._scheduler.on_trial_add(self._trials[trial])

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Pass a result on."""
        del seconds
        own = self._trials[trial]
        if value is None:
            self._scheduler.on_trial_error(own)
            return "stop"
        result = {_METRIC: value, _EPOCH: epoch}
        decision = self._scheduler.on_trial_result(own, result)
        if epoch >= self.problem.epochs:
            self._scheduler.on_trial_complete(own, result)
            return "stop"
        if decision == "CONTINUE":
            return "continue"
        self._scheduler.on_trial_remove(own)
        return "pause" if decision == "PAUSE" else "stop"


class SyneTuneAsha(_SyneTuneMethod):
    """Random search with ASHA that pauses trials and promotes them later."""

    baseline = "ASHA"
    options: ClassVar = {"type": "promotion"}


class SyneTunePasha(_SyneTuneMethod):
    """Random search with PASHA, which raises the maximum number of epochs while the ranking changes."""

    baseline = "PASHA"


class SyneTuneHyperTune(_SyneTuneMethod):
    """Hyper-Tune: Gaussian processes per rung, several brackets, promotion."""

    baseline = "HyperTune"

    def _options(self, problem: Problem) -> dict[str, Any]:
        return {
            "type": "promotion",
            "brackets": min(_BRACKETS, len(problem.rungs()) + 1),
            "search_options": {"debug_log": False},
        }


class SyneTuneCqr(_SyneTuneMethod):
    """Conformal quantile regression on the last values of all trials, with ASHA that stops trials."""

    baseline = "ASHACQR"
