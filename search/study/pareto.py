"""Pure decisions: best epoch, best trial, Pareto fronts and ranking by non-domination."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence

from spaces.schema import Direction

Objectives = Sequence[tuple[str, Direction]]


def objective_values(metrics: Mapping[str, float], objectives: Objectives) -> tuple[float, ...]:
    """Return objective values with signs such that larger is better; a missing or undefined value becomes -inf."""
    return tuple(_objective_value(metrics.get(name, math.nan), direction) for name, direction in objectives)


def _objective_value(value: float, direction: Direction) -> float:
    if math.isnan(value):
        return -math.inf
    return value if direction == "maximize" else -value


def best_index(candidates: Sequence[Mapping[str, float]], objectives: Objectives) -> int:
    """Return the index of the best by the first objective; the next ones break ties, and the first of equals wins."""
    return max(range(len(candidates)), key=lambda index: objective_values(candidates[index], objectives))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether `one` is nowhere worse than `other` and somewhere better; larger is better."""
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


def nondominated_ranks(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the non-domination rank of every point: 0 on the Pareto front, 1 if dominated by that front only, and so on.

    Zhang et al. (2015): in descending order, no point precedes one that dominates it. A point dominated by a member of one
    front is dominated by a member of every earlier front, so bisection finds the front of a point.
    """
    ranks = [0] * len(points)
    fronts: list[list[Sequence[float]]] = []

    def is_open_to(point: Sequence[float], rank: int) -> bool:
        return not any(dominates(member, point) for member in reversed(fronts[rank]))

    for index in sorted(range(len(points)), key=lambda index: tuple(points[index]), reverse=True):
        point = points[index]
        ranks[index] = bisect.bisect_left(range(len(fronts)), True, key=functools.partial(is_open_to, point))
        if ranks[index] == len(fronts):
            fronts.append([])
        fronts[ranks[index]].append(point)
    return ranks


def rank_order(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of the points from best to worst: by front, then by the objectives in turn."""
    ranks = nondominated_ranks(points)
    return sorted(range(len(points)), key=lambda index: (ranks[index], *(-value for value in points[index]), index))
