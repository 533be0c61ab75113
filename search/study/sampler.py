"""What to try next: multivariate TPE on results that can be compared.

Optuna's own bookkeeping would take every trial that ran to its end for better than every trial that was stopped, the
baseline included, which always runs to its end. So proposals come from a study of their own, made anew each time, in which
all trials stand with their best up to the same epoch.
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

from search.study.stopping import rung_epochs
from search.study.trials import Trial
from spaces.schema import Dimension, Space, Value

_ONCE: Final = datetime.datetime(2000, 1, 1)
"""When all trials of a scratch study were: nothing asks, and proposals depend on no clock."""


def suggest_parameters(space: Space, trials: Sequence[Trial], number: int) -> dict[str, Value]:
    """Propose the parameters of a trial.

    Args:
        space: The search.
        trials: What is known; those that have no result yet count as not good, so that no two run the same.
        number: Of the new trial; with the space's seed it decides the randomness.
    """
    epoch = comparable_epoch(space, trials)
    scratch = optuna.create_study(
        directions=["maximize"] * len(space.objectives), sampler=_make_sampler(space, space.seed + 7919 * number)
    )
    for trial in trials:
        known = _as_finished(space, trial, epoch)
        if known is not None:
            scratch.add_trial(known)
    asked = scratch.ask()
    parameters: dict[str, Value] = {}
    for dimension in space.search:
        if dimension.is_active(parameters):
            parameters[dimension.name] = suggest_value(asked, dimension)
    return parameters


def comparable_epoch(space: Space, trials: Sequence[Trial]) -> int:
    """The latest rung that enough trials have reached to learn from; before there is one, the first (Falkner et al. 2018)."""
    enough = max(8, len(space.search) + 2)
    steps = [*rung_epochs(space.stopping, space.budget.epochs), space.budget.epochs]
    reached = [step for step in steps if sum(len(trial.epochs) >= step for trial in trials) >= enough]
    return max(reached, default=steps[0])


def _as_finished(space: Space, trial: Trial, epoch: int) -> optuna.trial.FrozenTrial | None:
    """A trial as the sampler is to see it."""
    distributions = {d.name: to_distribution(d) for d in space.search if d.name in trial.parameters}
    parameters = dict(trial.parameters)
    gains = trial.best_objectives_until(epoch, space.objectives)
    if gains is not None and all(math.isfinite(gain) for gain in gains):
        return _FinishedTrial.from_trial(parameters, distributions, list(gains))
    if trial.outcome == "running":
        return _FinishedTrial.from_trial(parameters, distributions, None)
    return None


class _FinishedTrial(optuna.trial.FrozenTrial):
    """A trial of a scratch study. Optuna copies what it is given, a millisecond a trial; these are made for it alone."""

    @classmethod
    def from_trial(
        cls, parameters: dict[str, Value], distributions: dict[str, BaseDistribution], values: list[float] | None
    ) -> _FinishedTrial:
        """Make one that has ended with these values, or that runs if there are none."""
        return cls(
            number=0,
            trial_id=0,
            state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
            value=None,
            values=values,
            datetime_start=_ONCE,
            datetime_complete=None if values is None else _ONCE,
            params=parameters,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, _: object) -> _FinishedTrial:
        return self


def _make_sampler(space: Space, seed: int) -> optuna.samplers.BaseSampler:
    random_first = max(4, min(10, space.budget.trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=random_first
        )


def suggest_value(trial: optuna.trial.Trial, dimension: Dimension) -> Value:
    """Ask Optuna for one dimension."""
    if dimension.kind == "choice":
        return cast(Value, trial.suggest_categorical(dimension.name, dimension.choices))
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return trial.suggest_int(dimension.name, int(dimension.low), int(dimension.high), log=log)
    return trial.suggest_float(dimension.name, dimension.low, dimension.high, log=log)


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """Optuna's form of a dimension."""
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return IntDistribution(int(dimension.low), int(dimension.high), log=log)
    return FloatDistribution(dimension.low, dimension.high, log=log)


def parameter_importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """How much each hyperparameter decides of the first objective (fANOVA), judged where all trials can be compared.

    Trials that were stopped count with their best up to the first epoch that all of them reached. Empty if fewer than eight
    trials have a value, or if the values do not differ.
    """
    usable = [trial for trial in trials if trial.epochs]
    if len(usable) < 8:
        return {}
    shared = min(len(trial.epochs) for trial in usable)
    values = [(trial.best_objectives_until(shared, space.objectives) or (-math.inf,))[0] for trial in usable]
    known = [(trial, value) for trial, value in zip(usable, values, strict=True) if math.isfinite(value)]
    if len({value for _, value in known}) < 2:
        return {}
    scratch = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    dimensions = {dimension.name: dimension for dimension in space.search if not dimension.when}
    distributions = {name: to_distribution(dimension) for name, dimension in dimensions.items()}
    for trial, value in known:
        parameters = {name: trial.parameters[name] for name in dimensions}
        scratch.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(scratch, evaluator=evaluator))
