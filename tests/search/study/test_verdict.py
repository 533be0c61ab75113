"""Verdicts on planted truth: the promised rate of false improvements, and the power at large differences."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.verdicts import simulate_confirmation
from search.study.verdict import Candidate, judge_candidates, resample_scenes

SIMULATIONS = 150


def rate_of(verdict: str, gain: float, seeds: int) -> float:
    rng, weights = np.random.default_rng([7, seeds]), resample_scenes(1000, 200, 0)
    return sum(simulate_confirmation(gain, seeds, 2, weights, rng) == verdict for _ in range(SIMULATIONS)) / SIMULATIONS


@pytest.mark.parametrize("seeds", [2, 3])
def test_equal_configurations_are_rarely_called_better(seeds: int) -> None:
    assert rate_of("better", 0.0, seeds) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)


def test_a_difference_of_six_standard_deviations_is_found() -> None:
    assert rate_of("better", 0.06, 3) >= 0.8


def candidate(number: int, mean: float, cost: float) -> Candidate:
    return Candidate(number, "trial" if number else "baseline", (mean - 0.01, mean + 0.01), None, cost)


def test_of_equals_the_cheapest_wins() -> None:
    verdict = judge_candidates([candidate(0, 0.500, 50.0), candidate(1, 0.505, 100.0)])
    assert (verdict.winner, verdict.equals, verdict.gain) == (0, (1, 0), None)


def test_costs_that_differ_by_less_than_a_tenth_are_equal() -> None:
    verdict = judge_candidates([candidate(0, 0.500, 95.0), candidate(1, 0.505, 100.0)])
    assert verdict.winner == 1
    assert verdict.gain is not None
    assert not verdict.gain.is_distinguishable
