"""Suggestions follow from comparable results."""

from __future__ import annotations

import math

import numpy as np

from search.study.sampler import suggest_parameters
from search.study.samplers.results import comparable_epoch
from search.study.trials import Trial
from spaces.schema import Budget, Space, Stopping
from tests.search.support import epoch, space

SPACE = space(budget=Budget(trials=40, epochs=9), stopping=Stopping(first_rung=2, reduction=3))


def trial(number: int, rate: float, f1s: list[float], outcome: str = "stopped") -> Trial:
    parameters = {"optimizer.lr": rate, "optimizer.batch_size": 64, "loss.regression": "mse"}
    epochs = tuple(epoch(n, f1) for n, f1 in enumerate(f1s, start=1))
    return Trial(number, parameters, outcome, "", epochs, None, number == 0, {})  # type: ignore[arg-type]


def history() -> list[Trial]:
    """Return trials that are better after two epochs the nearer their rate is to 3e-3.

    The baseline is bad, and the only trial that completed.
    """
    rates = np.geomspace(1e-4, 1e-2, 14)
    scores = [0.5 - abs(math.log10(rate / 3e-3)) * 0.2 for rate in rates]
    stopped = [trial(n, float(r), [0.0, s]) for n, (r, s) in enumerate(zip(rates, scores, strict=True), start=1)]
    return [trial(0, 1e-4, [0.0, 0.05, *[0.06] * 7], "finished"), *stopped]


def suggest_rate(searched: Space, trials: list[Trial], number: int) -> float:
    """Return the learning rate that is suggested."""
    rate = suggest_parameters(searched, trials, number)["optimizer.lr"]
    assert isinstance(rate, float)
    return rate


def median_distance(searched: Space, trials: list[Trial]) -> float:
    """Return the median distance of suggested rates from the best rate, in decades."""
    rates = [suggest_rate(searched, trials, 100 + n) for n in range(25)]
    return float(np.median([abs(math.log10(rate / 3e-3)) for rate in rates]))


def test_suggestions_concentrate_where_trials_were_good_at_the_same_epoch() -> None:
    assert median_distance(SPACE, history()) < 0.6 * median_distance(SPACE, [])


def test_a_bad_trial_that_completed_does_not_attract_suggestions() -> None:
    rates = [suggest_rate(SPACE, history(), 100 + n) for n in range(25)]
    assert sum(rate < 2e-4 for rate in rates) <= 3


def test_the_same_history_and_number_give_the_same_suggestion() -> None:
    assert suggest_parameters(SPACE, history(), 20) == suggest_parameters(SPACE, history(), 20)
    assert suggest_parameters(SPACE, history(), 20) != suggest_parameters(SPACE, history(), 21)


def test_the_comparable_epoch_is_the_latest_rung_that_enough_trials_reached() -> None:
    assert comparable_epoch(SPACE, []) == 2
    assert comparable_epoch(SPACE, history()) == 2
    longer = [trial(n, 1e-3, [0.1] * 6) for n in range(8)]
    assert comparable_epoch(SPACE, [*history(), *longer]) == 6
