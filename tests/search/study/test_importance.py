"""Importance of hyperparameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from search.study.importance import MIN_TRIALS, Importance, parameter_importances
from search.study.trials import Trial
from spaces.schema import Space, Value
from tests.search.study.test_sampler import SPACE, trial


def history(count: int, decisive: str) -> list[Trial]:
    """Return trials of which one parameter decides; half of them have the conditional dimension."""
    generator = np.random.default_rng(0)
    trials = []
    for number in range(count):
        rate, delta = float(10 ** generator.uniform(-4, -2)), float(generator.uniform(0.05, 0.5))
        smooth = number % 2 == 0
        value = {"optimizer.lr": 0.1 * math.log10(rate), "loss.huber_delta": delta if smooth else -1.0}[decisive]
        sample = trial(number, rate, [0.5 + value])
        other: dict[str, Value] = {"optimizer.batch_size": int(generator.integers(16, 256))}
        other |= {"loss.regression": "smooth_l1", "loss.huber_delta": delta} if smooth else {"loss.regression": "mse"}
        trials.append(Trial(number, dict(sample.parameters) | other, "stopped", "", sample.epochs, None, False, {}))
    return trials


def importances_of(trials: Sequence[Trial], searched: Space) -> dict[str, Importance]:
    return parameter_importances(trials, searched.search, searched.objectives)


def test_the_decisive_parameter_has_the_highest_importance() -> None:
    importances = importances_of(history(60, "optimizer.lr"), SPACE)
    assert next(iter(importances)) == "optimizer.lr"
    assert importances["optimizer.lr"].low > max(i.high for n, i in importances.items() if n != "optimizer.lr")


def test_a_conditional_dimension_can_be_the_most_important() -> None:
    assert next(iter(importances_of(history(60, "loss.huber_delta"), SPACE))) == "loss.huber_delta"


def test_fewer_trials_have_wider_intervals() -> None:
    few, many = (importances_of(history(count, "optimizer.lr"), SPACE)["optimizer.lr"] for count in (12, 120))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_several_objectives_count_together() -> None:
    several = dataclasses.replace(SPACE, objectives=(("f1_0.3m", "maximize"), ("loss", "minimize")))
    assert next(iter(importances_of(history(60, "optimizer.lr"), several))) == "optimizer.lr"


def test_too_few_trials_give_no_importances() -> None:
    assert importances_of(history(MIN_TRIALS - 1, "optimizer.lr"), SPACE) == {}
    assert importances_of(history(MIN_TRIALS, "optimizer.lr"), SPACE) != {}
