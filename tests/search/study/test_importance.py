"""Importance of hyperparameters."""

from __future__ import annotations

import math

import numpy as np

from search.study.importance import parameter_importances
from search.study.trials import Trial
from spaces.schema import Value
from tests.search.study.test_sampler import SPACE, trial


def test_the_decisive_parameter_has_the_highest_importance() -> None:
    generator = np.random.default_rng(0)
    trials = []
    for number in range(30):
        rate = float(10 ** generator.uniform(-4, -2))
        sample = trial(number, rate, [0.5 + 0.1 * math.log10(rate)])
        other: dict[str, Value] = {"optimizer.batch_size": int(generator.integers(16, 256)), "loss.regression": "mse"}
        trials.append(Trial(number, dict(sample.parameters) | other, "stopped", "", sample.epochs, None, False, {}))
    importances = parameter_importances(trials, SPACE)
    assert max(importances, key=lambda name: importances[name]) == "optimizer.lr"
    assert importances["optimizer.lr"] > 0.7


def test_too_few_trials_give_no_importances() -> None:
    assert parameter_importances([trial(0, 1e-3, [0.5])], SPACE) == {}
