"""Hyperparameter importance by fANOVA (Hutter et al. 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna

from search.study.encoding import PointEncoder
from search.study.trials import Trial
from spaces.schema import Space


def parameter_importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Return the share of the variance of the first objective that each hyperparameter explains (fANOVA).

    All trials enter with their best value up to the last epoch that all of them reached, so stopped trials are comparable. The
    result is empty if fewer than eight trials have an epoch, or if all values are equal. Conditional dimensions are left out,
    and so is a baseline outside of the search.
    """
    usable = [trial for trial in trials if trial.epochs]
    if len(usable) < 8:
        return {}
    shared_epoch = min(len(trial.epochs) for trial in usable)
    values = [(trial.best_objectives_until(shared_epoch, space.objectives) or (-math.inf,))[0] for trial in usable]
    defined = [(trial, value) for trial, value in zip(usable, values, strict=True) if math.isfinite(value)]
    if len({value for _, value in defined}) < 2:
        return {}
    scratch = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    encoder = PointEncoder([dimension for dimension in space.search if not dimension.when])
    for trial, value in defined:
        parameters = encoder.encode(trial.parameters)
        if parameters is not None:
            scratch.add_trial(
                optuna.trial.create_trial(params=parameters, distributions=encoder.distributions, value=value)
            )
    if not encoder.distributions or len({trial.value for trial in scratch.get_trials(deepcopy=False)}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(scratch, evaluator=evaluator))
