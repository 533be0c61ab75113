"""Conversion between points of a problem and trials of Optuna."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.efficiency.problem import Problem, Variable


def to_distribution(variable: Variable) -> BaseDistribution:
    """Return the distribution of a dimension."""
    if variable.kind == "choice":
        return CategoricalDistribution(variable.choices)
    if variable.is_integer:
        step = 1 if variable.step is None else int(variable.step)
        return IntDistribution(int(variable.low), int(variable.high), log=variable.is_log, step=step)
    return FloatDistribution(variable.low, variable.high, log=variable.is_log, step=variable.step)


def suggest_point(problem: Problem, trial: Any) -> dict[str, Any]:
    """Let a trial suggest all active dimensions, one after the other, as an objective function would.

    Args:
        problem: Problem with its dimensions.
        trial: Trial of Optuna, or an object with the same `suggest_…` methods.
    """
    point: dict[str, Any] = {}
    for variable in problem.variables:
        if not variable.is_active(point):
            continue
        name, low, high = variable.name, variable.low, variable.high
        if variable.kind == "choice":
            point[name] = trial.suggest_categorical(name, variable.choices)
        elif variable.is_integer:
            step = 1 if variable.step is None else int(variable.step)
            point[name] = trial.suggest_int(name, int(low), int(high), step=step, log=variable.is_log)
        else:
            point[name] = trial.suggest_float(name, low, high, step=variable.step, log=variable.is_log)
    return point


def replace_parameters(
    problem: Problem, study: optuna.study.Study, trial: optuna.trial.Trial, parameters: dict[str, Any]
) -> None:
    """Give a trial that has been asked for other parameters than it suggested, in the memory of its study.

    Optuna offers this for enqueued trials only, whose parameters are known before they are asked for.
    """
    frozen = study._storage._get_trial(trial._trial_id)  # type: ignore[attr-defined]
    if dict(frozen.params) == parameters:
        return
    distributions = {v.name: to_distribution(v) for v in problem.variables if v.name in parameters}
    frozen.params = dict(parameters)
    frozen.distributions = distributions
