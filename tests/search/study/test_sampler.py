"""What is tried next follows from what can be compared."""

from __future__ import annotations

import math

import numpy as np

from search.study.sampler import comparable_epoch, parameter_importances, suggest_parameters
from search.study.trials import Trial
from spaces.schema import Budget, Space, Stopping
from tests.search.support import epoch, space

SPACE = space(budget=Budget(trials=40, epochs=9), stopping=Stopping(first_rung=2, reduction=3))


def trial(number: int, rate: float, f1s: list[float], outcome: str = "stopped") -> Trial:
    parameters = {"optimizer.lr": rate, "optimizer.batch_size": 64, "loss.regression": "mse"}
    epochs = tuple(epoch(n, f1) for n, f1 in enumerate(f1s, start=1))
    return Trial(number, parameters, outcome, "", epochs, None, number == 0, {})  # type: ignore[arg-type]


def history() -> list[Trial]:
    """The nearer the rate to 3e-3, the better after two epochs; the baseline is bad, and the only one that ran to its end."""
    rates = np.geomspace(1e-4, 1e-2, 14)
    worth = [0.5 - abs(math.log10(rate / 3e-3)) * 0.2 for rate in rates]
    stopped = [trial(n, float(r), [0.0, w]) for n, (r, w) in enumerate(zip(rates, worth, strict=True), start=1)]
    return [trial(0, 1e-4, [0.0, 0.05, *[0.06] * 7], "finished"), *stopped]


def distances(searched: Space, trials: list[Trial]) -> float:
    """Median distance of proposed rates from the best, in decades."""
    rates = [float(suggest_parameters(searched, trials, 100 + n)["optimizer.lr"]) for n in range(25)]
    return float(np.median([abs(math.log10(rate / 3e-3)) for rate in rates]))


def test_proposals_gather_where_trials_did_well_at_the_same_epoch() -> None:
    assert distances(SPACE, history()) < 0.6 * distances(SPACE, [])


def test_a_bad_trial_that_ran_to_its_end_does_not_draw_proposals() -> None:
    rates = [float(suggest_parameters(SPACE, history(), 100 + n)["optimizer.lr"]) for n in range(25)]
    assert sum(rate < 2e-4 for rate in rates) <= 3


def test_the_same_history_and_number_give_the_same_proposal() -> None:
    assert suggest_parameters(SPACE, history(), 20) == suggest_parameters(SPACE, history(), 20)
    assert suggest_parameters(SPACE, history(), 20) != suggest_parameters(SPACE, history(), 21)


def test_the_epoch_compared_is_the_latest_rung_that_enough_reached() -> None:
    assert comparable_epoch(SPACE, []) == 2
    assert comparable_epoch(SPACE, history()) == 2
    longer = [trial(n, 1e-3, [0.1] * 6) for n in range(8)]
    assert comparable_epoch(SPACE, [*history(), *longer]) == 6


def test_importance_finds_the_parameter_that_decides() -> None:
    generator = np.random.default_rng(0)
    trials = []
    for number in range(30):
        rate = float(10 ** generator.uniform(-4, -2))
        made = trial(number, rate, [0.5 + 0.1 * math.log10(rate)])
        other = {"optimizer.batch_size": int(generator.integers(16, 256)), "loss.regression": "mse"}
        trials.append(Trial(number, dict(made.parameters) | other, "stopped", "", made.epochs, None, False, {}))
    found = parameter_importances(trials, SPACE)
    assert max(found, key=lambda name: found[name]) == "optimizer.lr"
    assert found["optimizer.lr"] > 0.7


def test_too_few_trials_have_no_importance() -> None:
    assert parameter_importances([trial(0, 1e-3, [0.5])], SPACE) == {}
