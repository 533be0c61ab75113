"""Priors: right ones are followed, wrong ones are given up, and all draws are in the space."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import numpy as np
import pytest

from search.study.sampler import suggest_parameters
from search.study.samplers.priors import FIRST_SHARE, draw_value, prior_probability, prior_share
from search.study.samplers.results import TrialHistory
from search.study.trials import Trial
from spaces.schema import Dimension, Prior, Space, Value
from tests.search.study.test_samplers import BATCH, DELTA, LEAK, LOSS, MERGE, RATE, WIDTH, searching, trial

RIGHT = Prior(3e-3)
WRONG = Prior(8e-2, "narrow")


def with_prior(dimension: Dimension, prior: Prior) -> Dimension:
    return dataclasses.replace(dimension, prior=prior)


def share_of(space: Space, trials: list[Trial], number: int) -> float:
    history = TrialHistory(space)
    history.update(trials)
    return prior_share(space, history.list_comparable(), number)


def trials_of(score: Any, count: int = 40) -> list[Trial]:
    """Return trials at random points, with a score for each."""
    generator = random.Random(1)
    points: list[dict[str, Value]] = [
        {"optimizer.lr": 10 ** generator.uniform(-4, -1), "network.leak": generator.uniform(0, 0.5)}
        for _ in range(count)
    ]
    return [trial(number, point, score(point)) for number, point in enumerate(points)]


def near(rate: float) -> Any:
    return lambda point: -abs(math.log10(float(str(point["optimizer.lr"])) / rate))


@pytest.mark.parametrize(
    ("dimension", "value"),
    [(RATE, 1e-3), (RATE, 1e-4), (BATCH, 128), (WIDTH, 8), (LEAK, 0.5), (MERGE, "sum"), (LOSS, "mse")],
    ids=lambda item: str(getattr(item, "name", item)),
)
def test_draws_are_in_the_space_and_nearer_to_the_prior_the_narrower_it_is(dimension: Dimension, value: Value) -> None:
    def distances(width: Any) -> list[float]:
        generator = random.Random(0)
        drawn = [draw_value(dimension, Prior(value, width), generator) for _ in range(400)]
        assert all(dimension.contains_value(one) for one in drawn)
        if dimension.kind == "choice":
            return [float(one != value) for one in drawn]
        scale: Any = math.log if dimension.kind.startswith("log") else float
        return [abs(scale(one) - scale(value)) for one in drawn]

    narrow, medium, wide = (float(np.mean(distances(width))) for width in ("narrow", "medium", "wide"))
    assert narrow < 0.8 * medium < 0.9 * wide


def test_the_density_of_a_prior_is_that_of_its_draws() -> None:
    """Draws weighted by the inverse of their density relative to the uniform distribution are uniform."""
    searched = (with_prior(RATE, Prior(1e-2, "wide")), with_prior(MERGE, Prior("sum")))
    generator = random.Random(0)
    weights = []
    for _ in range(4000):
        point = {d.name: draw_value(d, d.prior, generator) for d in searched if d.prior is not None}
        probability = prior_probability(searched, point)
        weights.append((1 - probability) / probability)
    assert np.mean(weights) == pytest.approx(1, abs=0.1)


def test_the_first_trials_take_most_values_from_the_prior() -> None:
    searched = searching(with_prior(RATE, Prior(3e-3, "narrow")), LEAK)
    rates = [suggest_parameters(searched, [], number)["optimizer.lr"] for number in range(60)]
    near_prior = sum(abs(math.log10(float(str(rate)) / 3e-3)) < 0.42 for rate in rates)  # two deviations
    assert 0.35 * 60 < near_prior < 0.75 * 60


def test_a_right_prior_is_trusted_and_a_wrong_one_is_not() -> None:
    right, wrong = searching(with_prior(RATE, RIGHT), LEAK), searching(with_prior(RATE, WRONG), LEAK)
    trials = trials_of(near(3e-3))
    assert share_of(right, [], 0) == FIRST_SHARE
    assert share_of(right, trials, 30) > 0.35 * FIRST_SHARE
    assert share_of(wrong, trials, 30) < 0.01 * FIRST_SHARE
    rates = [float(str(suggest_parameters(wrong, trials, number)["optimizer.lr"])) for number in range(100, 130)]
    assert sum(rate > 3e-2 for rate in rates) <= 3


def test_a_prior_fades_although_it_is_right() -> None:
    searched = searching(with_prior(RATE, RIGHT), LEAK)
    shares = [share_of(searched, trials_of(near(3e-3)), number) for number in (30, 100, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.05


def test_a_draw_from_a_prior_completes_the_dimensions_without_one() -> None:
    searched = searching(with_prior(LOSS, Prior("smooth_l1", "narrow")), DELTA, RATE, MERGE)
    points = [suggest_parameters(searched, [], number) for number in range(40)]
    for point in points:
        assert {d.name for d in searched.search if d.is_active(point)} == set(point)
    assert sum(point["loss.regression"] == "smooth_l1" for point in points) > 25
    assert len({point["optimizer.lr"] for point in points}) == 40


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cma", "qmc", "random"])
def test_every_sampler_but_a_grid_has_priors(sampler: Any) -> None:
    plain = searching(RATE, LEAK, sampler=sampler)
    preferring = searching(with_prior(RATE, Prior(5e-2, "narrow")), LEAK, sampler=sampler)

    def count_near(searched: Space) -> int:
        rates = [float(str(suggest_parameters(searched, [], number)["optimizer.lr"])) for number in range(40)]
        return sum(rate > 2.5e-2 for rate in rates)

    assert count_near(preferring) > count_near(plain) + 8


def test_a_space_without_priors_has_the_same_suggestions_as_one_whose_prior_is_given_up() -> None:
    trials = trials_of(near(1e-4))
    wrong = searching(with_prior(RATE, WRONG), LEAK)
    numbers = range(200, 210)
    assert [suggest_parameters(wrong, trials, n) for n in numbers] == [
        suggest_parameters(searching(RATE, LEAK), trials, n) for n in numbers
    ]


def test_a_resumed_search_may_have_another_prior() -> None:
    assert searching(with_prior(RATE, RIGHT)).identity() == searching(RATE).identity()
