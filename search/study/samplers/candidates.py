"""Candidates of the samplers that need no model: random points, a grid, and a Sobol sequence."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, Protocol

from search.study.samplers.positions import to_point
from spaces import feasibility
from spaces.schema import Space, Value

_SEED_STRIDE: Final = 7919
"""Distance of the seeds of consecutive trials; a prime, so that searches with neighbouring seeds share none."""


class Candidates(Protocol):
    """Candidates for the parameters of a trial, one after the other.

    Attributes:
        most_draws: Number of candidates after which a random point is taken.
    """

    most_draws: int

    def draw(self) -> dict[str, Value] | None:
        """Return the next candidate; None if there is none."""

    def reject(self, *, is_new: bool) -> None:
        """Take note that the last candidate is no trial.

        Args:
            is_new: Whether it is impossible; otherwise a trial has had it.
        """


def trial_seed(space: Space, number: int) -> int:
    """Return the seed of the proposal of a trial."""
    return space.seed + _SEED_STRIDE * number


class ListedCandidates:
    """Candidates that do not depend on results.

    Args:
        points: Candidates in their order.
        most_draws: Number of them that are tried.
    """

    def __init__(self, points: Iterator[dict[str, Value]], most_draws: int) -> None:
        self._points = points
        self.most_draws = most_draws

    def draw(self) -> dict[str, Value] | None:
        """Return the next candidate."""
        return next(self._points, None)

    def reject(self, *, is_new: bool) -> None:
        """Ignore the rejection."""


def draw_random(space: Space, number: int) -> Iterator[dict[str, Value]]:
    """Yield random points, uniform in all dimensions that are active."""
    generator = random.Random(trial_seed(space, number))  # not for cryptography
    while True:
        yield feasibility.draw_point(space.search, generator)


def list_grid(space: Space) -> Iterator[dict[str, Value]]:
    """Yield all points of a small space, in an order that depends on the seed only."""
    points = feasibility.list_points(space.search) or []
    random.Random(space.seed).shuffle(points)  # an early end leaves an even part of the grid
    yield from points


def draw_sobol(space: Space, number: int) -> Iterator[dict[str, Value]]:
    """Yield the point of a trial in a scrambled Sobol sequence, and then points beyond those of all trials.

    A dimension that is inactive in a point leaves its coordinate unused: the others remain evenly distributed.
    """
    from scipy.stats import qmc  # takes half a second to import

    sequence = qmc.Sobol(len(space.search), scramble=True, rng=space.seed)
    stride = max(1, space.budget.trials)
    names = [dimension.name for dimension in space.search]
    skipped = number
    while True:
        if skipped:  # scipy does not skip zero points
            sequence.fast_forward(skipped)
        yield to_point(space.search, dict(zip(names, map(float, sequence.random(1)[0]), strict=True)))
        skipped = stride - 1
