"""Verdicts on planted truth: the promised rate of false improvements, and the power at large differences."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.verdicts import CASES, EQUAL, Case, simulate_confirmation
from search.study.verdict import Candidate, judge_candidates, resample_scenes

SIMULATIONS = 150


def rate_of(verdict: str, gain: float, seeds: int, case: Case = EQUAL) -> float:
    rng, weights = np.random.default_rng([7, seeds]), resample_scenes(1000, 200, 0)
    simulated = [simulate_confirmation(gain, seeds, 2, weights, rng, case) for _ in range(SIMULATIONS)]
    return simulated.count(verdict) / SIMULATIONS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("seeds", [2, 3])
def test_equal_configurations_are_rarely_called_better(seeds: int, case: Case) -> None:
    assert rate_of("better", 0.0, seeds, case) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)


def test_a_difference_of_six_standard_deviations_is_found() -> None:
    assert rate_of("better", 0.06, 3) >= 0.8


def test_the_noise_of_a_hardly_trained_baseline_does_not_hide_a_difference() -> None:
    poor = Candidate(0, "baseline", (0.28, 0.23), None, 100.0)
    start = Candidate(1, "start", (0.850, 0.852), None, 100.0)
    trial = Candidate(2, "trial", (0.902, 0.908), None, 100.0)
    gain = judge_candidates([poor, start, trial]).gain
    assert gain is not None
    assert gain.low > 0


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


def test_without_a_second_seed_the_best_value_wins_and_not_the_cheapest() -> None:
    cheap = Candidate(0, "baseline", (0.515,), None, 50.0)
    best = Candidate(1, "trial", (0.868,), None, 100.0)
    verdict = judge_candidates([cheap, best])
    assert (verdict.winner, verdict.is_open, verdict.equals) == (1, True, (1, 0))
    assert not judge_candidates([candidate(0, 0.5, 50.0), best]).is_open
