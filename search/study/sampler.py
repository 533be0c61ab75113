"""Parameters of the next trial: candidates of the sampler of a space, until one is possible and new."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from search.study.samplers.candidates import (
    Candidates,
    ListedCandidates,
    draw_random,
    draw_sobol,
    list_grid,
    trial_seed,
)
from search.study.samplers.model import MOST_TPE, GaussianProcessCandidates, ModelCandidates
from search.study.samplers.priors import PriorCandidates
from search.study.samplers.results import TrialHistory
from search.study.trials import Trial
from spaces import feasibility
from spaces.schema import Space, Value

_RANDOM_DRAWS: Final = 1000
"""Number of random points of a large space until one is possible and new."""
_SOBOL_DRAWS: Final = 100
"""Number of points of a Sobol sequence until one is possible and new; random points follow."""


class ExhaustedError(Exception):
    """No point of the space is left to try; the message gives the reason."""


def suggest_parameters(
    space: Space, trials: Sequence[Trial], number: int, history: TrialHistory | None = None
) -> dict[str, Value]:
    """Suggest the parameters of a trial: a point that the Config accepts and no trial has had.

    A suggestion that is refused is drawn again, and is no trial of the study. The sampler takes impossible ones for bad.

    Args:
        space: Search space, with sampler, objectives and budget.
        trials: Trials started so far. Running trials without a result count as bad, so that no suggestion repeats one.
        number: Number of the new trial; with the seed of the space it determines the random state.
        history: What earlier suggestions of the search have read from its trials, for speed; it changes no suggestion.

    Raises:
        ExhaustedError: If no such point is found.
    """
    history = TrialHistory(space) if history is None else history
    history.update(trials)
    checker = feasibility.PointChecker(space, draws_rooms=True, builds_models=True)

    def is_usable(point: Mapping[str, Value]) -> bool:
        return not history.has_point(point) and checker.explain_impossible(point) is None

    candidates = create_candidates(space, history, number)
    if any(dimension.prior is not None for dimension in space.search):
        candidates = PriorCandidates(space, history.list_comparable(), number, candidates)
    for _ in range(candidates.most_draws):
        point = candidates.draw()
        if point is None:
            break
        if is_usable(point):
            return point
        candidates.reject(is_new=not history.has_point(point))
    return _draw_remaining(space, number, is_usable)


def create_candidates(space: Space, history: TrialHistory, number: int) -> Candidates:
    """Return the candidates of the sampler of a space."""
    if space.sampler == "random":
        return ListedCandidates(draw_random(space, number), ModelCandidates.most_draws)
    if space.sampler == "grid":
        return ListedCandidates(list_grid(space), feasibility.MOST_LISTED)
    if space.sampler == "qmc":
        return ListedCandidates(draw_sobol(space, number), _SOBOL_DRAWS)
    if space.sampler == "cma":
        from search.study.samplers.cma import CmaCandidates  # loaded only where it is used

        return CmaCandidates(space, history.list_comparable(), number)
    if space.sampler == "gp":
        return GaussianProcessCandidates(space, history.list_comparable(), number, history.encoder)
    generator = random.Random(f"ranks {space.seed} {number}")
    uses_ranks = generator.random() < history.measure_agreement()
    results = history.list_ranked(MOST_TPE, generator) if uses_ranks else history.list_comparable()
    return ModelCandidates(space, results, number, history.encoder)


def _draw_remaining(space: Space, number: int, is_usable: Callable[[Mapping[str, Value]], bool]) -> dict[str, Value]:
    """Draw a random point among those that are left."""
    generator = random.Random(trial_seed(space, number))
    points = feasibility.list_points(space.search)
    if points is None:
        drawn = (feasibility.draw_point(space.search, generator) for _ in range(_RANDOM_DRAWS))
        reason = f"{_RANDOM_DRAWS} random points of the space were all impossible, or have run before"
    else:
        generator.shuffle(points)
        drawn = (point for point in points)
        reason = "all possible points of the space have run"
    for point in drawn:
        if is_usable(point):
            return point
    raise ExhaustedError(reason)
