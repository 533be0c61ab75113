"""Candidates of Optuna's samplers: multivariate TPE, and a Gaussian process.

Optuna's own bookkeeping ranks every completed trial above every pruned one. The baseline always completes, so it would count
as good regardless of its score. Candidates therefore come from a scratch study, created for each suggestion, in which all
trials enter with their best objective values up to the same epoch.
"""

from __future__ import annotations

import datetime
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from search.study.encoding import PointEncoder, Stored, decode_value, encode_value
from search.study.samplers.candidates import trial_seed
from search.study.samplers.positions import to_value
from search.study.samplers.results import Result, select_results
from spaces.schema import Space, Value

_FIXED_TIME: Final = datetime.datetime(2000, 1, 1)
"""Time stamp of all trials in a scratch study: the sampler does not read it, and suggestions depend on no clock."""
_MOST_VIOLATION: Final = 1e9
"""Violation in place of an infinite one."""
MOST_TPE: Final = 400
"""Number of results that TPE is fitted to; it takes the best 25 of them for good."""
_MOST_GP: Final = 150
"""Number of results that a Gaussian process is fitted to; the time grows with its third power."""
_MOST_PENDING: Final = 16
"""Number of running trials that a Gaussian process considers."""


class ModelCandidates:
    """Suggestions of one of Optuna's samplers.

    Args:
        space: Search space, with objectives and budget.
        results: Comparable results of all trials.
        number: Number of the new trial; with the seed of the space it determines the random state.
        encoder: Conversion of points to parameters of Optuna.
    """

    most_draws = 20

    def __init__(self, space: Space, results: Sequence[Result], number: int, encoder: PointEncoder) -> None:
        self._space = space
        self._encoder = encoder
        self._has_results = bool(results)
        self._scratch = optuna.create_study(
            directions=["maximize"] * self._count_objectives(results),
            sampler=self._make_sampler(trial_seed(space, number)),
        )
        for result in self._choose_results(results, random.Random(trial_seed(space, number))):
            self._scratch.add_trial(self._to_scratch_trial(result))
        self._suggested: optuna.trial.Trial | None = None

    def _count_objectives(self, results: Sequence[Result]) -> int:
        """Return the number of values per result: one for ranks, also if the space has several objectives."""
        return next((len(result.values) for result in results if result.values is not None), 1)

    def _make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=count_startup(self._space),
            )

    def _choose_results(self, results: Sequence[Result], generator: random.Random) -> list[Result]:
        return select_results(results, MOST_TPE, generator)

    def _to_scratch_trial(self, result: Result) -> optuna.trial.FrozenTrial:
        distributions = {name: self._encoder.distributions[name] for name in result.stored}
        return _ScratchTrial.create(result.stored, distributions, result.modelled, self._violation(result))

    def _violation(self, result: Result) -> float | None:
        """Return the violation of a result; None if the space has no constraints."""
        return min(result.violation, _MOST_VIOLATION) if self._space.constraints else None

    def draw(self) -> dict[str, Value]:
        """Return the next suggestion: values of all dimensions that are active in it."""
        self._suggested = self._scratch.ask()
        parameters: dict[str, Value] = {}
        for dimension in self._space.search:
            if dimension.is_active(parameters):
                stored = self._suggested._suggest(dimension.name, self._encoder.distributions[dimension.name])
                parameters[dimension.name] = decode_value(dimension, stored)
        return parameters

    def reject(self, *, is_new: bool) -> None:
        """Keep an impossible suggestion as a running trial, which counts as bad, and forget one that a trial has had.

        Good points are suggested again; a running trial at them would count as bad.
        """
        if self._suggested is not None and not (is_new and self._has_results):
            self._scratch.tell(self._suggested, state=TrialState.FAIL)


class GaussianProcessCandidates(ModelCandidates):
    """Suggestions by the expected improvement of a Gaussian process.

    The process is defined on all dimensions. A dimension that is inactive in a result has a random value there, from which the
    fit learns that it has no effect.
    """

    most_draws = 5

    def _make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=count_startup(self._space), warn_independent_sampling=False
        )

    def _choose_results(self, results: Sequence[Result], generator: random.Random) -> list[Result]:
        selected = select_results(results, _MOST_GP, generator)
        pending = [result.number for result in selected if result.values is None][-_MOST_PENDING:]
        return [result for result in selected if result.values is not None or result.number in pending]

    def _to_scratch_trial(self, result: Result) -> optuna.trial.FrozenTrial:
        generator = random.Random(trial_seed(self._space, result.number))
        filled: dict[str, Stored] = {}
        for dimension in self._space.search:
            value = to_value(dimension, generator.random())
            filled[dimension.name] = result.stored.get(dimension.name, encode_value(dimension, value))
        return _ScratchTrial.create(filled, self._encoder.distributions, result.modelled, self._violation(result))

    def draw(self) -> dict[str, Value]:
        """Return the next suggestion, without dimensions that are inactive in it."""
        self._suggested = self._scratch.ask()
        stored = {name: self._suggested._suggest(name, d) for name, d in self._encoder.distributions.items()}
        parameters: dict[str, Value] = {}
        for dimension in self._space.search:
            if dimension.is_active(parameters):
                parameters[dimension.name] = decode_value(dimension, stored[dimension.name])
        return parameters


def count_startup(space: Space) -> int:
    """Return the number of results before which points are random."""
    return max(4, min(10, space.budget.trials // 4))


class _ScratchTrial(optuna.trial.FrozenTrial):
    """Trial of a scratch study that Optuna does not copy.

    Optuna deep-copies every trial, at a millisecond each. Scratch trials are used only once, so the copy is not needed.
    """

    @classmethod
    def create(
        cls,
        parameters: dict[str, Stored],
        distributions: Mapping[str, BaseDistribution],
        values: Sequence[float] | None,
        violation: float | None = None,
    ) -> _ScratchTrial:
        """Create a completed trial with these values, or a running one if `values` is None.

        Args:
            parameters: Stored parameters.
            distributions: Distributions of these parameters.
            values: Objective values, larger is better.
            violation: Total violation of the constraints; None without constraints.
        """
        created = cls(
            number=0,
            trial_id=0,
            state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
            value=None,
            values=None if values is None else list(values),
            datetime_start=_FIXED_TIME,
            datetime_complete=None if values is None else _FIXED_TIME,
            params=parameters,
            distributions=dict(distributions),
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        if values is not None and violation is not None:
            created.set_constraint("total", violation)
        return created

    def __deepcopy__(self, _: object) -> _ScratchTrial:
        return self
