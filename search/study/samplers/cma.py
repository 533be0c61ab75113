"""Candidates of CMA-ES, the covariance matrix adaptation evolution strategy, restored from the results of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cmaes
import numpy as np

from search.study.samplers.candidates import trial_seed
from search.study.samplers.positions import to_point, to_position
from search.study.samplers.results import Result
from spaces.schema import Space, Value

_FIRST_SIGMA: Final = 1 / 6
"""Standard deviation of the first generation, as a share of each range (that of Optuna)."""
_LONGEST_RUN: Final = 2000
"""Number of results after which the strategy starts anew, even if it has not converged; it bounds the cost of restoring it."""


class CmaCandidates:
    """Draws from the normal distribution that CMA-ES has adapted to all results so far.

    The strategy is restored for each trial: results in the order of their numbers form generations. Trials that run side by side
    were drawn from earlier distributions, and starting points from none. A result far outside of the present distribution is
    therefore moved towards its mean before it enters (Hansen 2011, Injecting external solutions into CMA-ES). A strategy that has
    converged starts anew at a random point.

    Args:
        space: Space of ranges without conditions, with one objective.
        results: Comparable results of all trials.
        number: Number of the new trial; with the seed of the space it determines the random state.
    """

    most_draws = 20

    def __init__(self, space: Space, results: Sequence[Result], number: int) -> None:
        self._space = space
        self._search = space.search
        finished = sorted((r for r in results if r.values is not None), key=lambda result: result.number)
        begin = len(finished) // _LONGEST_RUN * _LONGEST_RUN
        self._strategy = self._start_strategy(begin)
        size = self._strategy.population_size
        for first in range(begin, len(finished) - size + 1, size):
            self._add_generation(finished[first : first + size])
            if self._strategy.should_stop():
                self._strategy = self._start_strategy(first + size)
        self._strategy.reseed_rng(trial_seed(space, number) % 2**32)

    def _start_strategy(self, begin: int) -> cmaes.CMA:
        """Return a strategy that no result has entered: in the middle of the space, and later at random points."""
        dimensions = len(self._search)
        random = np.random.default_rng([self._space.seed, begin])
        mean = random.uniform(size=dimensions) if begin else np.full(dimensions, 0.5)
        return cmaes.CMA(mean, _FIRST_SIGMA, np.array([[0.0, 1.0]] * dimensions), seed=0)

    def _add_generation(self, results: Sequence[Result]) -> None:
        positions = np.array([[to_position(d, result.point[d.name]) for d in self._search] for result in results])
        losses = [-result.values[0] for result in results if result.values is not None]
        self._strategy.tell(list(zip(self._move_inside(positions), losses, strict=True)))

    def _move_inside(self, positions: np.ndarray) -> np.ndarray:
        """Return points that are at most as far from the mean as points of the present distribution.

        Args:
            positions: Points [results, dimensions].
        """
        dimensions = positions.shape[1]
        offsets = positions - self._strategy.mean
        weighted = np.linalg.solve(self._strategy._C, offsets.T).T
        distances = np.sqrt(np.maximum((offsets * weighted).sum(axis=1), 0)) / self._strategy._sigma
        farthest = np.sqrt(dimensions) + 2 * dimensions / (dimensions + 2)
        moved: np.ndarray = self._strategy.mean + offsets * (farthest / np.maximum(distances, farthest))[:, np.newaxis]
        return moved

    def draw(self) -> dict[str, Value]:
        """Return the next draw."""
        positions = map(float, self._strategy.ask())
        return to_point(self._search, dict(zip((d.name for d in self._search), positions, strict=True)))

    def reject(self, *, is_new: bool) -> None:
        """Ignore the rejection: the next draw is another one."""
