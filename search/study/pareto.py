"""Decisions as pure functions: which setting, which epoch, which trial, who is on the Pareto front."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence

from spaces.schema import Direction

Objectives = Sequence[tuple[str, Direction]]


def objective_values(metrics: Mapping[str, float], objectives: Objectives) -> tuple[float, ...]:
    """Objective values turned so that larger is better; a missing or undefined one is the worst there is."""
    return tuple(_objective_value(metrics.get(name, math.nan), direction) for name, direction in objectives)


def _objective_value(value: float, direction: Direction) -> float:
    if math.isnan(value):
        return -math.inf
    return value if direction == "maximize" else -value


def best_index(candidates: Sequence[Mapping[str, float]], objectives: Objectives) -> int:
    """Index of the best by the first objective, ties broken by the next; of equals the first."""
    return max(range(len(candidates)), key=lambda index: objective_values(candidates[index], objectives))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is nowhere worse and somewhere better; larger is better."""
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


def nondominated_ranks(points: Sequence[Sequence[float]]) -> list[int]:
    """Non-domination rank of every point: 0 for the Pareto front, 1 for what is only dominated by it, and so on.

    Zhang et al. (2015): in descending order nothing comes before what dominates it, and whoever is dominated by one of a front
    is dominated by one of every front before, so a point's front is found by bisection.
    """
    ranks = [0] * len(points)
    members: list[list[Sequence[float]]] = []

    def is_open_to(point: Sequence[float], rank: int) -> bool:
        return not any(dominates(other, point) for other in reversed(members[rank]))

    for index in sorted(range(len(points)), key=lambda index: tuple(points[index]), reverse=True):
        point = points[index]
        ranks[index] = bisect.bisect_left(range(len(members)), True, key=functools.partial(is_open_to, point))
        if ranks[index] == len(members):
            members.append([])
        members[ranks[index]].append(point)
    return ranks


def rank_order(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices from best to worst: by front, then by the objectives in turn."""
    ranks = nondominated_ranks(points)
    return sorted(range(len(points)), key=lambda index: (ranks[index], *(-value for value in points[index]), index))
