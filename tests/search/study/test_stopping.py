"""Stopping rules: rungs, expected cost, pauses and promotions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from search.study.stopping.rule import StoppingRule, expected_epochs, rung_epochs
from search.study.trials import Epoch, Trial
from spaces.schema import Budget, Confirm, Stopping, StoppingName
from tests.search.support import space


@pytest.mark.parametrize(
    ("first", "reduction", "epochs", "expected"),
    [(1, 3, 9, (1, 3)), (5, 3, 200, (5, 15, 45, 135)), (2, 2, 9, (2, 4, 8)), (9, 3, 9, ()), (10, 3, 9, ())],
)
def test_rungs_are_powers_of_the_reduction_below_the_full_length(
    first: int, reduction: int, epochs: int, expected: tuple[int, ...]
) -> None:
    assert rung_epochs(Stopping(first_rung=first, reduction=reduction), epochs) == expected


def test_without_a_rule_there_are_no_rungs() -> None:
    assert rung_epochs(Stopping(rule="none"), 100) == ()


def test_expected_epochs_by_hand() -> None:
    assert expected_epochs(Stopping(first_rung=1, reduction=3), 9) == pytest.approx(1 + 2 / 3 + 6 / 9)
    assert expected_epochs(Stopping(rule="none"), 9) == 9


def trial(number: int, *curve: float, baseline: bool = False) -> Trial:
    epochs = tuple(Epoch(n + 1, {"f1_0.3m": value}, {}, 1.0) for n, value in enumerate(curve))
    return Trial(number, {}, "running", "", epochs, None, baseline, {})


def rule_of(name: StoppingName, trials: Sequence[Trial], epochs: int = 27, reduction: int = 3) -> StoppingRule:
    searched = space(stopping=Stopping(rule=name, reduction=reduction), budget=Budget(trials=99, epochs=epochs))
    return StoppingRule(searched, trials)


def test_the_first_arrivals_wait_until_their_share_is_one_trial() -> None:
    trials = [trial(0, 0.1, baseline=True), trial(1, 0.2), trial(2, 0.3)]
    rule = rule_of("asha", trials[:2])
    assert not rule.may_continue(trials[1], at_end=False)
    assert rule.choose_paused([1], at_end=False) is None
    rule.record(trials[2])
    assert rule.may_continue(trials[2], at_end=False)
    assert rule.choose_paused([1], at_end=False) is None


def test_at_the_end_quotas_are_rounded_up() -> None:
    rule = rule_of("asha", [trial(0, 0.1, baseline=True), trial(1, 0.2)])
    assert rule.choose_paused([1], at_end=True) == 1


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_of_many_trials_the_best_fraction_is_promoted(reduction: int) -> None:
    values = np.random.default_rng(0).permutation(60) / 60
    trials = [trial(number, value) for number, value in enumerate(values)]
    rule = rule_of("asha", trials, reduction=reduction)
    promoted = [t for t in trials if rule.may_continue(t, at_end=False)]
    assert sorted(t.epochs[0].metrics["f1_0.3m"] for t in promoted) == sorted(values)[-60 // reduction :]


def test_a_trial_that_is_overtaken_before_it_was_promoted_waits_and_the_later_rung_comes_first() -> None:
    trials = [
        trial(0, 0.9, 0.9, 0.9),
        trial(1, 0.5),
        trial(2, 0.4),
        trial(3, 0.6),
        trial(4, 0.7, 0.7, 0.2),
        trial(5, 0.1),
    ]
    rule = rule_of("asha", trials)
    assert rule.choose_paused([1, 2, 3, 4], at_end=False) is None  # two of six may continue, and have done so
    rule.record(trial(6, 0.2))
    rule.record(trial(7, 0.2))
    rule.record(trial(8, 0.2))
    assert rule.choose_paused([1, 2, 3, 4], at_end=False) == 3
    rule.record(trial(9, 0.8, 0.8, 0.1))
    assert rule.choose_paused([0, 1, 2, 3, 4], at_end=False) == 0


def test_the_baseline_never_waits() -> None:
    baseline = trial(0, 0.0, baseline=True)
    rule = rule_of("asha", [baseline, *(trial(n, 0.5) for n in range(1, 9))])
    assert rule.may_continue(baseline, at_end=False)


def test_two_objectives_are_ranked_by_domination_not_by_the_first_alone() -> None:
    searched = space(objectives=(("f1_0.3m", "maximize"), ("loss", "minimize")), stopping=Stopping(reduction=2))
    points = [(0.9, 9.0), (0.5, 1.0), (0.4, 1.1), (0.3, 1.2), (0.2, 1.3), (0.45, 0.5)]
    trials = [
        Trial(n, {}, "running", "", (Epoch(1, {"f1_0.3m": f1, "loss": loss}, {}, 1.0),), None, False, {})
        for n, (f1, loss) in enumerate(points)
    ]
    rule = StoppingRule(searched, trials)
    assert rule.may_continue(trials[5], at_end=False)  # on the front, though third by the first objective
    assert not rule.may_continue(trials[4], at_end=False)


def test_the_median_rule_compares_at_every_epoch_once_there_are_four() -> None:
    trials = [trial(n, 0.1 * n, 0.1 * n) for n in range(4)]
    rule = rule_of("median", trials[:3])
    assert rule.may_continue(trials[0], at_end=False)
    rule.record(trials[3])
    assert [rule.may_continue(t, at_end=False) for t in trials] == [False, False, True, True]


def test_hyperband_compares_a_trial_within_its_bracket_only() -> None:
    trials = [trial(n, 0.5) for n in range(60)]
    rule = rule_of("hyperband", trials)
    deciding = [rule.is_decision(t) for t in trials]
    assert 0.4 < np.mean(deciding) < 0.7  # the other brackets omit the first rung
    assert expected_epochs(Stopping(rule="hyperband"), 27) > expected_epochs(Stopping(), 27)


def test_pasha_opens_a_rung_only_if_the_order_changes() -> None:
    agreeing = [trial(n, 0.1 * n, 0.1 * n, 0.1 * n) for n in range(9)]
    rule = rule_of("pasha", agreeing)
    assert not any(rule.may_continue(t, at_end=False) for t in agreeing)
    assert rule.choose_paused(range(9), at_end=True) == 8
    changing = [trial(n, 0.1 * n, 0.1 * n, 2 - 0.1 * n) for n in range(9)]
    rule = rule_of("pasha", changing)
    assert [t.number for t in changing if rule.may_continue(t, at_end=False)] == [0, 1, 2]


def test_the_least_promising_trials_are_those_with_the_fewest_epochs() -> None:
    rule = rule_of("asha", [trial(0, 0.1, 0.1, 0.1), trial(1, 0.9), trial(2, 0.5), trial(3, 0.6, 0.6, 0.9)])
    assert rule.list_worst([0, 1, 2, 3]) == [2, 1, 0, 3]


def timed(number: int, value: float, seconds: float) -> Trial:
    return Trial(number, {}, "running", "", (Epoch(1, {"f1_0.3m": value}, {}, seconds),), None, number == 0, {})


def promoted(charge: Literal["epochs", "seconds"], seconds: Sequence[float], *, at_end: bool = False) -> int:
    """Return how many of some trials are promoted from the first rung; the first one is the worst."""
    trials = [timed(n, 0.1 * n, duration) for n, duration in enumerate(seconds)]
    stopping = Stopping(rule="asha", reduction=3, charge=charge)
    rule = StoppingRule(space(stopping=stopping, budget=Budget(trials=99, epochs=27)), trials)
    return sum(rule.may_continue(trial, at_end=at_end) for trial in trials[1:])


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("count", range(1, 30))
def test_equal_durations_charge_as_epochs_do(count: int, at_end: bool) -> None:
    assert promoted("seconds", [0.1] * count, at_end=at_end) == promoted("epochs", [0.1] * count, at_end=at_end)


def test_seconds_promote_fewer_slow_trials_and_more_fast_ones() -> None:
    slow_are_best = [1.0] * 8 + [2.0] * 4  # a third of 16 s: two of 2 s
    assert promoted("epochs", slow_are_best) == 4
    assert promoted("seconds", slow_are_best) == 2
    assert promoted("seconds", slow_are_best, at_end=True) == 3
    assert promoted("seconds", [2.0] * 4 + [1.0] * 8) == 5
    assert promoted("seconds", [1.0] * 11 + [30.0]) == 0  # the best alone exceeds the share
    assert promoted("seconds", [1.0] * 11 + [30.0], at_end=True) == 1


@pytest.mark.parametrize(
    ("role", "confirm", "waits"), [("start 0", Confirm(), False), ("start 0", None, True), ("trial", Confirm(), True)]
)
def test_a_start_that_is_confirmed_never_waits_since_it_may_win(
    role: str, confirm: Confirm | None, waits: bool
) -> None:
    searched = space(stopping=Stopping(), budget=Budget(trials=99, epochs=27), confirm=confirm)
    last = replace(trial(1, 0.1), role=role)
    rule = StoppingRule(searched, [trial(0, 0.9, baseline=True), last, trial(2, 0.8)])
    assert rule.may_continue(last, at_end=False) is not waits
