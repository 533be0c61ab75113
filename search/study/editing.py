"""Application of an edit of the space to a study: which trials are outside, what becomes of enqueued ones, and new starts."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.study.edits import EDITS, EditedTrials, Editing, is_inside, outside_numbers
from search.study.encoding import (
    BASELINE,
    DROPPED,
    OUTSIDE,
    ROLE,
    PointEncoder,
    decode_parameters,
    decode_stored,
    decode_trial,
    select_search_trials,
)
from search.study.trials import Trial
from search.study.warm_start import list_warm_points
from spaces import feasibility
from spaces.points import complete_point
from spaces.schema import Space, Value

FIXED_PARAMS: Final = "fixed_params"
"""Optuna's system attribute of an enqueued trial, with its parameters."""


def apply_edits(study: optuna.Study, space: Space, editing: Editing) -> None:
    """Record an edit of the space in its study, with the number of its first trial and the trials outside.

    Enqueued points outside of the edited space never start, except for the baseline, which becomes that of the edited space.
    An edit of a launch that was interrupted before it began is replaced.

    Args:
        study: Study of the search that is resumed.
        space: Edited space.
        editing: Edits of earlier launches, and the one of this launch.
    """
    edits = list(editing.recorded)
    if editing.edit is not None:
        trials = study.get_trials(deepcopy=False)
        edit = dataclasses.replace(editing.edit, trial=len(trials), outside=())
        earlier = _decode_trials(study, space, [*edits, edit.to_plain()], select_search_trials(trials))
        edit = dataclasses.replace(edit, outside=outside_numbers(space, earlier))
        for trial in trials:
            if trial.state == TrialState.WAITING:
                _update_enqueued(study, space, trial)
        edits.append(edit.to_plain())
    if edits != list(study.user_attrs.get(EDITS, [])):
        study.set_user_attr(EDITS, edits)


def _decode_trials(
    study: optuna.Study, space: Space, edits: Sequence[Mapping[str, Any]], trials: Sequence[FrozenTrial]
) -> list[Trial]:
    """Return trials with all their parameters, also those that the space does not search any more."""
    edited, attributes = EditedTrials(edits), study.user_attrs
    decode = functools.partial(decode_stored, space.search)
    return [edited.view_trial(decode_trial(trial, attributes, decode)) for trial in trials]


def _enqueued_point(space: Space, trial: FrozenTrial) -> dict[str, Value]:
    stored = decode_parameters(space.search, trial.system_attrs.get(FIXED_PARAMS, {}))
    return stored | dict(trial.user_attrs.get(OUTSIDE, {}))


def _update_enqueued(study: optuna.Study, space: Space, trial: FrozenTrial) -> None:
    """Replace an enqueued baseline by that of the edited space, and drop another point that is outside of it."""
    storage, trial_id = study._storage, trial._trial_id
    if trial.user_attrs.get(ROLE) == BASELINE:
        point = complete_point(space, space.baseline)
        inside, outside = PointEncoder(space.search).split_point(point)
        storage.set_trial_user_attr(trial_id, OUTSIDE, outside)
        storage.set_trial_system_attr(trial_id, FIXED_PARAMS, inside)
    elif DROPPED in trial.user_attrs or not is_inside(space, _with_defaults(space, _enqueued_point(space, trial))):
        storage.set_trial_user_attr(trial_id, DROPPED, True)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)


def _with_defaults(space: Space, point: Mapping[str, Value]) -> dict[str, Value]:
    """Return a point with the values of dimensions that it lacks, and its values of fields that are not searched."""
    return {**point, **complete_point(space, point)}


def list_named_points(
    study: optuna.Study, space: Space, edits: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield the role and the values of the baseline and all starting points that are not in the study, each only once.

    Points of earlier searches follow those of the space, unless they are outside of a space that was edited since.

    Args:
        study: Study of the search.
        space: Its space.
        edits: Edits of the space as plain values; a starting point that one of them adds gets a role that is not taken.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if DROPPED not in trial.user_attrs]
    roles = {trial.user_attrs.get(ROLE) for trial in trials}
    known = _reference_points(study, space, edits, trials) if edits else []
    added = [complete_point(space, start) for edit in edits for start in edit["starts"]]
    starts = ((f"start {n}", point) for n, point in enumerate(space.start))
    warm = ((role, point) for role, point in list_warm_points(space) if is_inside(space, complete_point(space, point)))
    named: list[tuple[str, Mapping[str, Value]]] = [(BASELINE, space.baseline), *starts, *warm]
    for role, point in named:
        completed = complete_point(space, point)
        is_added = role != BASELINE and feasibility.contains_point(space.search, added, completed)
        chosen = _free_role(roles) if role in roles and is_added else role
        if chosen not in roles and not feasibility.contains_point(space.search, known, completed):
            roles.add(chosen)
            yield chosen, completed
        known.append(completed)


def _free_role(roles: set[Any]) -> str:
    return next(role for n in itertools.count() if (role := f"start {n}") not in roles)


def _reference_points(
    study: optuna.Study, space: Space, edits: Sequence[Mapping[str, Any]], trials: Sequence[FrozenTrial]
) -> list[Mapping[str, Value]]:
    """Return the points of the baseline and of the starting points in the study, started or not."""
    references = [trial for trial in trials if trial.user_attrs.get(ROLE, "").startswith((BASELINE, "start"))]
    waiting = [trial for trial in references if trial.state == TrialState.WAITING]
    edited = EditedTrials(edits, space.search)
    started = _decode_trials(study, space, [], [trial for trial in references if trial.state != TrialState.WAITING])
    points = [edited.view_trial(trial).parameters for trial in started]
    return [*points, *(complete_point(space, _enqueued_point(space, trial)) for trial in waiting)]
