"""Multivariate TPE on comparable results: the parameters of the next trial.

Optuna's own bookkeeping ranks every completed trial above every pruned one. The baseline always completes, so it would count
as good regardless of its score. Suggestions therefore come from a scratch study, created for each suggestion, in which all
trials enter with their best objective values up to the same epoch.
"""

from __future__ import annotations

import datetime
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from search.study.asha import rung_epochs
from search.study.encoding import PointEncoder, Stored, decode_value
from search.study.trials import Trial
from spaces import feasibility
from spaces.schema import Space, Value

_FIXED_TIME: Final = datetime.datetime(2000, 1, 1)
"""Time stamp of all trials in a scratch study: the sampler does not read it, and suggestions depend on no clock."""


_MODEL_DRAWS: Final = 20
"""Number of suggestions of the sampler until one is possible and new; random points follow."""
_RANDOM_DRAWS: Final = 1000
"""Number of random points of a large space until one is possible and new."""


class ExhaustedError(Exception):
    """No point of the space is left to try; the message gives the reason."""


def suggest_parameters(space: Space, trials: Sequence[Trial], number: int) -> dict[str, Value]:
    """Suggest the parameters of a trial: a point that the Config accepts and no trial has had.

    A suggestion that is refused is drawn again, and is no trial of the study. The sampler takes impossible ones for bad.

    Args:
        space: Search space, with objectives and budget.
        trials: Trials started so far. Running trials without a result count as bad, so that no suggestion repeats one.
        number: Number of the new trial; with the seed of the space it determines the random state.

    Raises:
        ExhaustedError: If no such point is found.
    """
    encoder = PointEncoder(space.search)
    scratch = _create_scratch_study(space, trials, number, encoder)
    checker = feasibility.PointChecker(space, draws_rooms=True)

    def is_new(point: Mapping[str, Value]) -> bool:
        return not any(feasibility.is_same_point(space.search, point, trial.parameters) for trial in trials)

    def is_possible(point: Mapping[str, Value]) -> bool:
        return checker.explain_impossible(point) is None

    for _ in range(_MODEL_DRAWS):
        suggested = scratch.ask()
        parameters = _suggest_point(suggested, space, encoder)
        new = is_new(parameters)
        if new and is_possible(parameters):
            return parameters
        if not new or not trials:  # good points are suggested again; a running trial would count as bad
            scratch.tell(suggested, state=TrialState.FAIL)
    return _draw_remaining(space, number, lambda point: is_new(point) and is_possible(point))


def _create_scratch_study(
    space: Space, trials: Sequence[Trial], number: int, encoder: PointEncoder
) -> optuna.study.Study:
    """Create a study with the comparable results of all trials."""
    epoch = comparable_epoch(space, trials)
    scratch = optuna.create_study(
        directions=["maximize"] * len(space.objectives), sampler=_make_sampler(space, space.seed + 7919 * number)
    )
    for trial in trials:
        comparable = _to_scratch_trial(space, trial, epoch, encoder)
        if comparable is not None:
            scratch.add_trial(comparable)
    return scratch


def _suggest_point(suggested: optuna.trial.Trial, space: Space, encoder: PointEncoder) -> dict[str, Value]:
    """Let Optuna suggest values of all dimensions that are active."""
    parameters: dict[str, Value] = {}
    for dimension in space.search:
        if dimension.is_active(parameters):
            stored = suggested._suggest(dimension.name, encoder.distributions[dimension.name])
            parameters[dimension.name] = decode_value(dimension, stored)
    return parameters


def _draw_remaining(space: Space, number: int, is_usable: Callable[[Mapping[str, Value]], bool]) -> dict[str, Value]:
    """Draw a random point among those that are left."""
    generator = random.Random(space.seed + 7919 * number)
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


def comparable_epoch(space: Space, trials: Sequence[Trial]) -> int:
    """Return the latest rung that enough trials have reached to fit a model (Falkner et al. 2018), or else the first rung."""
    required = max(8, len(space.search) + 2)
    rungs = [*rung_epochs(space.stopping, space.budget.epochs), space.budget.epochs]
    reached = [rung for rung in rungs if sum(len(trial.epochs) >= rung for trial in trials) >= required]
    return max(reached, default=rungs[0])


def _to_scratch_trial(space: Space, trial: Trial, epoch: int, encoder: PointEncoder) -> optuna.trial.FrozenTrial | None:
    """Convert a trial to one of the scratch study; return None without a result at `epoch`, or outside of the search."""
    parameters = encoder.encode(trial.parameters)
    if parameters is None:
        return None
    distributions = {name: encoder.distributions[name] for name in parameters}
    values = trial.best_objectives_until(epoch, space.objectives)
    if values is not None and all(math.isfinite(value) for value in values):
        return _ScratchTrial.create(parameters, distributions, list(values))
    if trial.outcome == "running":
        return _ScratchTrial.create(parameters, distributions, None)
    return None


class _ScratchTrial(optuna.trial.FrozenTrial):
    """Trial of a scratch study that Optuna does not copy.

    Optuna deep-copies every trial, at a millisecond each. Scratch trials are used only once, so the copy is not needed.
    """

    @classmethod
    def create(
        cls, parameters: dict[str, Stored], distributions: dict[str, BaseDistribution], values: list[float] | None
    ) -> _ScratchTrial:
        """Create a completed trial with these values, or a running one if `values` is None."""
        return cls(
            number=0,
            trial_id=0,
            state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
            value=None,
            values=values,
            datetime_start=_FIXED_TIME,
            datetime_complete=None if values is None else _FIXED_TIME,
            params=parameters,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, _: object) -> _ScratchTrial:
        return self


def _make_sampler(space: Space, seed: int) -> optuna.samplers.BaseSampler:
    startup_trials = max(4, min(10, space.budget.trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=startup_trials
        )
