"""Trials as Optuna stores them: parameters, and the attributes for all that Optuna has no place for.

Stored parameters are numbers, text, booleans and None; other choices become JSON text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.study.trials import Epoch, Outcome, Trial
from spaces.constraints import Constraint
from spaces.schema import Dimension, Value

Stored = None | bool | int | float | str
"""Value that Optuna keeps as it is."""

OUTSIDE: Final = "outside"
"""Attribute of a trial with the values that are outside of their dimensions, which Optuna does not take."""
EPOCH: Final = "epoch:"
"""Prefix of the attributes of a trial with the results of its epochs."""
ROLE: Final = "role"
BASELINE: Final = "baseline"
RETRY_OF: Final = "retry_of"
"""Attribute of a trial with the number of the failed one that it takes up."""
CONFIRMS: Final = "confirms"
"""Attribute of a confirmation with the number of the trial that it confirms."""
SEED: Final = "seed"
DROPPED: Final = "dropped"
"""Attribute of an enqueued trial that never starts, since the space was edited."""
MEASURED: Final = "measured"
"""Attribute of a trial with the quantities of its model that ended it before its first epoch."""
PAUSED: Final = "paused"
"""Attribute of a trial that waits, with the number of its epochs and the reason; None once it continues."""


def is_encoded(dimension: Dimension) -> bool:
    """Return whether the choices of a dimension are stored as JSON text.

    Optuna takes no lists, and does not distinguish 1, 1.0 and true.
    """
    return _needs_encoding(dimension.choices)


def _needs_encoding(choices: Sequence[Any]) -> bool:
    return any(isinstance(choice, list) for choice in choices) or len(set(choices)) < len(choices)


@functools.lru_cache(maxsize=1024)
def has_encoded_form(stored: tuple[Stored, ...]) -> bool:
    """Return whether stored choices are JSON text of the choices of a dimension that may have been edited since."""
    texts = [text for text in stored if isinstance(text, str)]
    try:
        return len(texts) == len(stored) and _needs_encoding([json.loads(text) for text in texts])
    except (ValueError, TypeError):  # text of another kind
        return False


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """Convert a dimension to an Optuna distribution."""
    if dimension.kind == "choice":
        return CategoricalDistribution([encode_value(dimension, choice) for choice in dimension.choices])
    log = dimension.kind.startswith("log")
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.is_integer:
        return IntDistribution(int(low), int(high), log=log, step=1 if step is None else int(step))
    return FloatDistribution(low, high, log=log, step=step)


def encode_value(dimension: Dimension, value: Value) -> Stored:
    """Convert a value of a dimension to the form in which Optuna stores it."""
    if dimension.kind == "choice" and is_encoded(dimension):
        return json.dumps(value, ensure_ascii=False)
    assert not isinstance(value, list)  # an encoded choice
    return value


def decode_value(dimension: Dimension, stored: Stored) -> Value:
    """Convert a stored value back."""
    value: Value = stored
    if isinstance(stored, str) and dimension.kind == "choice" and is_encoded(dimension):
        with suppress(ValueError):  # enqueued before the choices were edited
            value = json.loads(stored)
    return dimension.normalize(value)


def decode_parameters(
    search: Sequence[Dimension],
    stored: Mapping[str, Stored],
    distributions: Mapping[str, BaseDistribution] | None = None,
) -> dict[str, Value]:
    """Return stored parameters as values: those of the dimensions in their order, then those of former dimensions.

    Args:
        search: Dimensions of the space.
        stored: Parameters of a trial of this space, or of an earlier version of it.
        distributions: Distributions with which they were stored; None for those of the dimensions.
    """
    recorded = distributions or {}
    values = {d.name: _decode_recorded(d, stored[d.name], recorded.get(d.name)) for d in search if d.name in stored}
    former = {name: value for name, value in stored.items() if name not in values}
    return values | {name: _decode_recorded(None, value, recorded.get(name)) for name, value in former.items()}


def decode_stored(search: Sequence[Dimension], frozen: FrozenTrial) -> dict[str, Value]:
    """Return the parameters of a trial as values (see `decode_parameters`)."""
    return decode_parameters(search, frozen.params, frozen.distributions)


def _decode_recorded(dimension: Dimension | None, stored: Stored, recorded: BaseDistribution | None) -> Value:
    """Convert a stored value back, whose dimension may have other choices now, or none."""
    if not isinstance(recorded, CategoricalDistribution):
        return stored if dimension is None else decode_value(dimension, stored)
    if dimension is not None and recorded.choices == dimension.choices:
        return dimension.normalize(stored)
    value: Value = json.loads(str(stored)) if has_encoded_form(recorded.choices) else stored
    return value if dimension is None else dimension.normalize(value)


class PointEncoder:
    """Conversion of points of a space to parameters and distributions of Optuna.

    Args:
        search: Dimensions of the space.
    """

    def __init__(self, search: Sequence[Dimension]) -> None:
        self._search = search
        self._encoded = {dimension.name for dimension in search if is_encoded(dimension)}
        self.distributions = {dimension.name: to_distribution(dimension) for dimension in search}

    def encode(self, point: Mapping[str, Value]) -> dict[str, Stored] | None:
        """Return the parameters of a point; None if it lacks an active dimension, or has a value outside of one.

        Such a point, the baseline of a paper for example, says nothing about the space. Neither does a point with a name
        that is no dimension: an earlier trial of an edited space, in which other trials have another value.
        """
        if any(name not in self.distributions for name in point):
            return None
        parameters: dict[str, Stored] = {}
        for dimension in self._search:
            name = dimension.name
            if name not in point:
                if dimension.is_active(point):
                    return None
                continue
            value = point[name]
            if not dimension.contains_value(value):
                return None
            parameters[name] = encode_value(dimension, value) if name in self._encoded else value  # type: ignore[assignment]
        return parameters

    def split_point(self, point: Mapping[str, Value]) -> tuple[dict[str, Stored], dict[str, Value]]:
        """Return the parameters of a point, and the values that are outside of their dimensions."""
        inside = [d for d in self._search if d.name in point and d.contains_value(point[d.name])]
        stored = {d.name: encode_value(d, point[d.name]) for d in inside}
        return stored, {name: value for name, value in point.items() if name not in stored}


def select_search_trials(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the started trials of the search, without failed ones that were taken up by another trial."""
    return [trial for trial in drop_retried(trials) if CONFIRMS not in trial.user_attrs]


def select_confirmations(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the confirmations, without failed ones that were taken up by another one."""
    return [trial for trial in drop_retried(trials) if CONFIRMS in trial.user_attrs]


def drop_retried(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have started, without failed ones that were taken up by another trial."""
    retried: set[int] = set()
    started = []
    for trial in trials:
        attributes = trial.user_attrs
        if RETRY_OF in attributes:
            retried.add(attributes[RETRY_OF])
        if trial.state != TrialState.WAITING and DROPPED not in attributes:
            started.append(trial)
    return [trial for trial in started if trial.number not in retried] if retried else started


def is_paused(frozen: FrozenTrial) -> bool:
    """Return whether a trial that has not ended waits."""
    paused = frozen.user_attrs.get(PAUSED)
    return paused is not None and paused["epoch"] == sum(name.startswith(EPOCH) for name in frozen.user_attrs)


def decode_trial(
    frozen: FrozenTrial,
    study_attributes: Mapping[str, Any],
    decode: Callable[[FrozenTrial], Mapping[str, Value]],
    constraints: tuple[Constraint, ...] = (),
) -> Trial:
    """Return a trial of Optuna as a value.

    Args:
        frozen: Trial of Optuna.
        study_attributes: Attributes of its study, with the test scores and the MLflow runs of ended trials.
        decode: Function that returns its stored parameters as values.
        constraints: Constraints of the space.
    """
    outcomes: dict[TrialState, Outcome] = {
        TrialState.COMPLETE: "finished",
        TrialState.PRUNED: "stopped",
        TrialState.FAIL: "failed",
    }
    attributes: dict[str, Any] = frozen.user_attrs
    epochs = tuple(
        Epoch(
            int(name.removeprefix(EPOCH)),
            content["metrics"],
            content["setting"],
            content["seconds"],
            content.get("usage", {}),
        )
        for name, content in sorted(attributes.items())
        if name.startswith(EPOCH)
    )
    outcome = outcomes.get(frozen.state, "running")
    reason = attributes.get("reason", "")
    if outcome == "running" and is_paused(frozen):
        outcome, reason = "paused", attributes[PAUSED]["reason"]
    return Trial(
        number=frozen.number,
        parameters={**decode(frozen), **attributes.get(OUTSIDE, {})},
        outcome=outcome,
        reason=reason,
        epochs=epochs,
        run_id=study_attributes.get(f"run:{frozen.number:05d}", attributes.get("run_id")),
        is_baseline=attributes.get(ROLE) == BASELINE,
        test_scores=study_attributes.get(f"tests:{frozen.number:05d}", {}),
        retry_of=attributes.get(RETRY_OF),
        role=attributes.get(ROLE, "trial"),
        confirms=attributes.get(CONFIRMS),
        seed=attributes.get(SEED),
        constraints=constraints,
        measured=attributes.get(MEASURED, {}),
        started_s=None if frozen.datetime_start is None else frozen.datetime_start.timestamp(),
        ended_s=None if frozen.datetime_complete is None else frozen.datetime_complete.timestamp(),
    )


class TrialDecoder:
    """Conversion of the trials of a study, each one once: Optuna's storages replace a trial that changes by another object.

    Args:
        decode: Function that returns the stored parameters of a trial as values.
        constraints: Constraints of the space.
    """

    def __init__(
        self, decode: Callable[[FrozenTrial], Mapping[str, Value]], constraints: tuple[Constraint, ...] = ()
    ) -> None:
        self._decode = decode
        self._constraints = constraints
        self._decoded: dict[int, tuple[FrozenTrial, Trial, str, str]] = {}

    def decode_trials(self, stored: Sequence[FrozenTrial], study_attributes: Mapping[str, Any]) -> list[Trial]:
        """Return trials of Optuna as values (see `decode_trial`)."""
        trials = []
        for frozen in stored:
            known = self._decoded.get(frozen.number)
            if known is None or known[0] is not frozen:
                known = self._decode_anew(frozen)
            _, trial, run, tests = known
            if run in study_attributes or tests in study_attributes:
                run_id, scores = study_attributes.get(run, trial.run_id), study_attributes.get(tests, {})
                trial = replace(trial, run_id=run_id, test_scores=scores)
            trials.append(trial)
        return trials

    def _decode_anew(self, frozen: FrozenTrial) -> tuple[FrozenTrial, Trial, str, str]:
        number = frozen.number
        trial = decode_trial(frozen, {}, self._decode, self._constraints)
        self._decoded[number] = frozen, trial, f"run:{number:05d}", f"tests:{number:05d}"
        return self._decoded[number]
