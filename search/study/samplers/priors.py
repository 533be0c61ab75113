"""Candidates of a prior: draws near the values that a space prefers, as long as they belong to the better ones.

A share of the trials takes its values from the prior and all others from the sampler. The share falls with the number of trials,
and with the likelihood that the best tenth of the results does not come from the prior (decision 40).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from search.study.samplers.candidates import Candidates
from search.study.samplers.positions import to_position, to_value
from search.study.samplers.results import Result, best_indices
from spaces import feasibility
from spaces.schema import Dimension, Prior, PriorWidth, Space, Value

FIRST_SHARE: Final = 0.6
"""Share of the first trials that takes its values from the prior."""
_HALVED_AFTER: Final = 30
"""Number of trials after which that share is half of the first one, if all of the best results agree with the prior."""
_FEWEST_RESULTS: Final = 5
"""Number of results from which on they decide whether the prior is trusted."""
_DEVIATIONS: Final[Mapping[PriorWidth, float]] = {"narrow": 0.07, "medium": 0.15, "wide": 0.3}
"""Standard deviations of priors, as shares of the length of a range, or of that of its logarithm."""
_PREFERENCES: Final[Mapping[PriorWidth, float]] = {"narrow": 0.8, "medium": 0.6, "wide": 0.4}
"""Probabilities with which a preferred choice is taken before all choices are drawn alike."""
_PRIOR_DRAWS: Final = 10
"""Number of draws from the prior until one is possible and new; candidates of the sampler follow."""


class PriorCandidates:
    """Draws from the priors of a space for some trials, and the candidates of its sampler for all others.

    Dimensions without a prior have the values of the sampler's candidate also in a draw from the prior.

    Args:
        space: Space in which at least one dimension has a prior.
        results: Comparable results of all trials.
        number: Number of the new trial; with the seed of the space it determines the random state.
        candidates: Candidates of the sampler.
    """

    def __init__(self, space: Space, results: Sequence[Result], number: int, candidates: Candidates) -> None:
        self._search = space.search
        self._candidates = candidates
        self._random = random.Random(f"prior {space.seed} {number}")  # not for cryptography
        self._draws_left = _PRIOR_DRAWS if self._random.random() < prior_share(space, results, number) else 0
        self._is_from_prior = False
        self.most_draws = candidates.most_draws + self._draws_left

    def draw(self) -> dict[str, Value] | None:
        """Return the next candidate: one of the prior, until its draws are used up."""
        self._is_from_prior = self._draws_left > 0
        if not self._is_from_prior:
            return self._candidates.draw()
        self._draws_left -= 1
        return self._draw_prior()

    def reject(self, *, is_new: bool) -> None:
        """Pass the rejection of a candidate of the sampler on to it."""
        if not self._is_from_prior:
            self._candidates.reject(is_new=is_new)

    def _draw_prior(self) -> dict[str, Value]:
        others = self._draw_others()
        point: dict[str, Value] = {}
        for dimension in self._search:
            if not dimension.is_active(point):
                continue
            if dimension.prior is not None:
                point[dimension.name] = draw_value(dimension, dimension.prior, self._random)
            elif dimension.name in others:
                point[dimension.name] = others[dimension.name]
            else:  # active by a choice of the prior only
                point[dimension.name] = feasibility.draw_value(dimension, self._random)
        return point

    def _draw_others(self) -> dict[str, Value]:
        """Return a candidate of the sampler for the dimensions without a prior."""
        if all(dimension.prior is not None for dimension in self._search):
            return {}
        candidate = self._candidates.draw()
        self._candidates.reject(is_new=False)  # it is no trial; the next one is drawn as if it had not been
        return candidate or {}


def prior_share(space: Space, results: Sequence[Result], number: int) -> float:
    """Return the probability with which a trial takes its values from the prior.

    Args:
        space: Space with priors.
        results: Comparable results of all trials.
        number: Number of the trial.
    """
    share = FIRST_SHARE / (1 + number / _HALVED_AFTER)
    finished = [result for result in results if result.values is not None]
    if len(finished) < _FEWEST_RESULTS:
        return share
    values = np.array([result.values for result in finished])
    best = best_indices(values, max(3, math.ceil(len(finished) / 10)))
    return share * sum(prior_probability(space.search, finished[index].point) for index in best) / len(best)


def prior_probability(search: Sequence[Dimension], point: Mapping[str, Value]) -> float:
    """Return the probability that a point comes from the prior, if that and a uniform distribution are equally likely."""
    log_ratio = sum(
        math.log(max(1e-300, _density(dimension, dimension.prior, point[dimension.name])))
        for dimension in search
        if dimension.prior is not None and dimension.name in point
    )
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, log_ratio))))


def draw_value(dimension: Dimension, prior: Prior, generator: random.Random) -> Value:
    """Draw a value of a dimension from its prior.

    The prior of a range is a normal distribution, cut off at the bounds; it is even in the logarithm for logarithmic ranges.
    A preferred choice is taken with a probability, and else all choices are drawn alike.
    """
    if dimension.kind == "choice":
        is_preferred = generator.random() < _PREFERENCES[prior.width]
        return prior.value if is_preferred else generator.choice(dimension.choices)
    normal = NormalDist(to_position(dimension, prior.value), _DEVIATIONS[prior.width])
    lowest, highest = normal.cdf(0.0), normal.cdf(1.0)
    quantile = lowest + (highest - lowest) * generator.random()
    return to_value(dimension, min(1.0, max(0.0, normal.inv_cdf(min(1 - 1e-12, max(1e-12, quantile))))))


def _density(dimension: Dimension, prior: Prior, value: Value) -> float:
    """Return the density of the prior at a value, relative to that of the uniform distribution."""
    if dimension.kind == "choice":
        preference = _PREFERENCES[prior.width]
        is_preferred = dimension.find_choice(value) == dimension.find_choice(prior.value)
        return (1 - preference) + preference * len(dimension.choices) * is_preferred
    normal = NormalDist(to_position(dimension, prior.value), _DEVIATIONS[prior.width])
    return normal.pdf(to_position(dimension, value)) / (normal.cdf(1.0) - normal.cdf(0.0))
