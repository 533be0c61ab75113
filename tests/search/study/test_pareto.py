"""Pareto decisions compared with brute force."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np

from search.study import pareto

BOTH: list[tuple[str, Literal["maximize", "minimize"]]] = [("f1", "maximize"), ("rmse", "minimize")]


def test_objective_values_are_signed_so_that_larger_is_better() -> None:
    assert pareto.objective_values({"f1": 0.5, "rmse": 0.2}, BOTH) == (0.5, -0.2)


def test_an_undefined_or_missing_objective_is_the_worst_there_is() -> None:
    assert pareto.objective_values({"f1": math.nan}, BOTH) == (-math.inf, -math.inf)


def test_best_breaks_ties_by_the_next_objective_and_takes_the_first_of_equals() -> None:
    candidates = [
        {"f1": 0.5, "rmse": 0.3},
        {"f1": 0.5, "rmse": 0.1},
        {"f1": 0.5, "rmse": 0.1},
        {"f1": 0.4, "rmse": 0.0},
    ]
    assert pareto.best_index(candidates, BOTH) == 1


def test_no_point_dominates_a_member_of_the_first_front() -> None:
    points = np.random.default_rng(0).integers(0, 6, (40, 2)).tolist()
    ranks = pareto.nondominated_ranks(points)
    for index, point in enumerate(points):
        dominated = any(all(a >= b for a, b in zip(other, point, strict=True)) and other != point for other in points)
        assert (ranks[index] == 0) == (not dominated)


def test_each_later_front_is_dominated_by_the_one_before() -> None:
    points = np.random.default_rng(1).random((30, 3)).tolist()
    ranks = pareto.nondominated_ranks(points)
    for rank in range(1, max(ranks) + 1):
        before = [p for p, r in zip(points, ranks, strict=True) if r == rank - 1]
        here = [p for p, r in zip(points, ranks, strict=True) if r == rank]
        assert all(any(pareto.dominates(b, h) for b in before) for h in here)
        assert not any(pareto.dominates(a, b) for a, b in itertools.permutations(here, 2))


def test_order_with_one_objective_is_plain_sorting() -> None:
    values = np.random.default_rng(2).random(20)
    assert pareto.rank_order([[v] for v in values]) == np.argsort(-values).tolist()


def test_ranks_equal_those_of_peeling_off_front_after_front() -> None:
    for seed, shape in enumerate([(60, 1), (60, 2), (40, 3)]):
        points = np.random.default_rng(seed).integers(0, 8, shape).tolist()
        peeled, left = [-1] * len(points), set(range(len(points)))
        for rank in range(len(points)):
            front = {i for i in left if not any(pareto.dominates(points[j], points[i]) for j in left)}
            for index in front:
                peeled[index] = rank
            left -= front
        assert pareto.nondominated_ranks(points) == peeled
