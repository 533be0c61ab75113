"""Successive halving: rungs, expected cost and promotion."""

from __future__ import annotations

import numpy as np
import pytest

from search.study.asha import expected_epochs, is_promoted, rung_epochs
from spaces.schema import Stopping


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


def test_the_first_arrival_is_promoted_and_a_worse_second_is_not() -> None:
    assert is_promoted([0.1], [], 3)
    assert not is_promoted([0.05], [[0.1]], 3)
    assert is_promoted([0.2], [[0.1]], 3)


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_of_many_trials_the_best_fraction_is_promoted(reduction: int) -> None:
    values = np.random.default_rng(0).permutation(60) / 60
    promoted = [
        v for i, v in enumerate(values) if is_promoted([v], [[o] for j, o in enumerate(values) if j != i], reduction)
    ]
    assert sorted(promoted) == sorted(values)[-60 // reduction :]


def test_two_objectives_are_ranked_by_domination_not_by_the_first_alone() -> None:
    others = [[0.9, -9.0], [0.5, -1.0], [0.4, -1.1], [0.3, -1.2], [0.2, -1.3]]
    assert is_promoted([0.45, -0.5], others, 2)  # on the front, though third by the first objective
    assert not is_promoted([0.1, -2.0], others, 2)


def test_expected_epochs_by_hand() -> None:
    assert expected_epochs(Stopping(first_rung=1, reduction=3), 9) == pytest.approx(1 + 2 / 3 + 6 / 9)
    assert expected_epochs(Stopping(rule="none"), 9) == 9
