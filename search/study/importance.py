"""Hyperparameter importance by PED-ANOVA (Watanabe et al. 2023; conditional form of Optuna), with bootstrap intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from search.study import pareto
from search.study.encoding import PointEncoder
from search.study.trials import Trial
from spaces.schema import Dimension

MIN_TRIALS: Final = 10
"""Number of trials below which importances are not estimated."""
_TOP_TRIALS: Final = 5
"""Number of trials that PED-ANOVA needs at least in the better group."""
_TOP_SHARE: Final = 0.25
"""Share of the trials in the better group, if there are enough of them."""
_RESAMPLES: Final = 60
_RESAMPLED_TRIALS: Final = 200
"""Number of trials in a bootstrap resample at most, which bounds its time."""
_QUANTILES: Final = (0.5, 0.05, 0.95)
"""Quantiles of the bootstrap: median and bounds of the interval."""


@dataclass(frozen=True)
class Importance:
    """Share of a hyperparameter in the importance of all.

    Attributes:
        share: Median over bootstrap resamples of the trials, between 0 and 1.
        low: Quantile 0.05.
        high: Quantile 0.95.
    """

    share: float
    low: float
    high: float


def parameter_importances(
    trials: Sequence[Trial], search: Sequence[Dimension], objectives: pareto.Objectives
) -> dict[str, Importance]:
    """Return how much each hyperparameter decides whether a trial is among the better ones, the most important first.

    PED-ANOVA compares the distribution of a hyperparameter among the better quarter of the trials, at least five, with that
    among all. Conditional dimensions count by their share of the trials, and several objectives by non-domination. All
    trials enter with their best values up to the last epoch that all of them reached, so stopped trials are comparable. A
    baseline outside of the search is left out.

    Args:
        trials: Trials of the search.
        search: Its dimensions.
        objectives: Its objectives.

    Returns:
        Importances by dimension; empty for a single dimension, with fewer than `MIN_TRIALS` trials, and if all values are
        equal.
    """
    usable = _comparable_trials(trials, search, objectives)
    if len(search) < 2 or len(usable) < MIN_TRIALS or len({tuple(trial.values) for trial in usable}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it announces every study
    generator = np.random.default_rng(0)
    size = min(len(usable), _RESAMPLED_TRIALS)
    shares = []
    for _ in range(_RESAMPLES):
        drawn = [usable[index] for index in generator.integers(len(usable), size=size)]
        shares.append(_estimate_shares(drawn, len(objectives)))
    names = [dimension.name for dimension in search]
    table = np.array([[one.get(name, 0.0) for name in names] for one in shares if one])
    if not len(table):
        return {}
    median, low, high = np.quantile(table, _QUANTILES, axis=0)
    order = np.argsort(-median, kind="stable")
    return {names[i]: Importance(float(median[i]), float(low[i]), float(high[i])) for i in order}


def _comparable_trials(
    trials: Sequence[Trial], search: Sequence[Dimension], objectives: pareto.Objectives
) -> list[FrozenTrial]:
    """Return the trials inside of the space as Optuna's, with objectives such that larger is better."""
    usable = [trial for trial in trials if trial.epochs]
    shared_epoch = min((len(trial.epochs) for trial in usable), default=0)
    encoder = PointEncoder(search)
    comparable = []
    for trial in usable:
        values = trial.best_objectives_until(shared_epoch, objectives)
        parameters = encoder.encode(trial.parameters)
        if values is not None and parameters is not None and all(map(math.isfinite, values)):
            distributions = {name: encoder.distributions[name] for name in parameters}
            comparable.append(
                optuna.trial.create_trial(params=parameters, distributions=distributions, values=list(values))
            )
    return comparable


def _estimate_shares(trials: Sequence[FrozenTrial], objectives: int) -> Mapping[str, float]:
    """Return PED-ANOVA's importances with a sum of 1; empty if they are all zero."""
    study = optuna.create_study(directions=["maximize"] * objectives, sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(trials)
    share = max(_TOP_SHARE, _TOP_TRIALS / len(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # groups that few trials belong to: the interval shows it
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
        importances = evaluator.evaluate(study)
    total = sum(importances.values())
    return {name: value / total for name, value in importances.items()} if total > 0 else {}
