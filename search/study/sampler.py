"""Multivariate TPE on comparable results: the parameters of the next trial.

Optuna's own bookkeeping ranks every completed trial above every pruned one. The baseline always completes, so it would count
as good regardless of its score. Suggestions therefore come from a scratch study, created for each suggestion, in which all
trials enter with their best objective values up to the same epoch.
"""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Sequence
from typing import Final, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.study.asha import rung_epochs
from search.study.trials import Trial
from spaces.schema import Dimension, Space, Value

_FIXED_TIME: Final = datetime.datetime(2000, 1, 1)
"""Time stamp of all trials in a scratch study: the sampler does not read it, and suggestions depend on no clock."""


def suggest_parameters(space: Space, trials: Sequence[Trial], number: int) -> dict[str, Value]:
    """Suggest the parameters of a trial.

    Args:
        space: Search space, with objectives and budget.
        trials: Trials started so far. Running trials without a result count as bad, so that no suggestion repeats one.
        number: Number of the new trial; with the seed of the space it determines the random state.
    """
    epoch = comparable_epoch(space, trials)
    scratch = optuna.create_study(
        directions=["maximize"] * len(space.objectives), sampler=_make_sampler(space, space.seed + 7919 * number)
    )
    for trial in trials:
        comparable = _to_scratch_trial(space, trial, epoch)
        if comparable is not None:
            scratch.add_trial(comparable)
    suggested = scratch.ask()
    parameters: dict[str, Value] = {}
    for dimension in space.search:
        if dimension.is_active(parameters):
            parameters[dimension.name] = suggest_value(suggested, dimension)
    return parameters


def comparable_epoch(space: Space, trials: Sequence[Trial]) -> int:
    """Return the latest rung that enough trials have reached to fit a model (Falkner et al. 2018), or else the first rung."""
    required = max(8, len(space.search) + 2)
    rungs = [*rung_epochs(space.stopping, space.budget.epochs), space.budget.epochs]
    reached = [rung for rung in rungs if sum(len(trial.epochs) >= rung for trial in trials) >= required]
    return max(reached, default=rungs[0])


def _to_scratch_trial(space: Space, trial: Trial, epoch: int) -> optuna.trial.FrozenTrial | None:
    """Convert a trial to one of the scratch study; return None if it ended without a result at `epoch`."""
    distributions = {d.name: to_distribution(d) for d in space.search if d.name in trial.parameters}
    parameters = dict(trial.parameters)
    values = trial.best_objectives_until(epoch, space.objectives)
    if values is not None and all(math.isfinite(value) for value in values):
        return _ScratchTrial.create(parameters, distributions, list(values))
    if trial.outcome == "running":
        return _ScratchTrial.create(parameters, distributions, None)
    return None


class _ScratchTrial(optuna.trial.FrozenTrial):
    """Trial of a scratch study that Optuna does not copy.

    Optuna deep-copies every trial, at a millisecond each. Scratch trials are used only once, so the copy is not needed.
    """

    @classmethod
    def create(
        cls, parameters: dict[str, Value], distributions: dict[str, BaseDistribution], values: list[float] | None
    ) -> _ScratchTrial:
        """Create a completed trial with these values, or a running one if `values` is None."""
        return cls(
            number=0,
            trial_id=0,
            state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
            value=None,
            values=values,
            datetime_start=_FIXED_TIME,
            datetime_complete=None if values is None else _FIXED_TIME,
            params=parameters,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, _: object) -> _ScratchTrial:
        return self


def _make_sampler(space: Space, seed: int) -> optuna.samplers.BaseSampler:
    startup_trials = max(4, min(10, space.budget.trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=startup_trials
        )


def suggest_value(trial: optuna.trial.Trial, dimension: Dimension) -> Value:
    """Let Optuna suggest a value of one dimension."""
    if dimension.kind == "choice":
        return cast(Value, trial.suggest_categorical(dimension.name, dimension.choices))
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return trial.suggest_int(dimension.name, int(dimension.low), int(dimension.high), log=log)
    return trial.suggest_float(dimension.name, dimension.low, dimension.high, log=log)


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """Convert a dimension to an Optuna distribution."""
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return IntDistribution(int(dimension.low), int(dimension.high), log=log)
    return FloatDistribution(dimension.low, dimension.high, log=log)
