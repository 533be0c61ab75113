"""Edits of a space at `--resume`: which ones are sound, why others are refused, and what they mean for the trials so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from runtime.errors import InputError
from search.experiment import Experiment
from search.launching.origin import changed_keys
from search.reporting.edits import FIXED, SEARCH, START, describe_changes
from search.results import SearchFolder
from search.study.edits import EDITS, EditedTrials, Editing, SpaceEdit, is_inside
from search.study.trials import Trial
from spaces import feasibility
from spaces.points import complete_point, is_settled
from spaces.recorded import read_dimension, read_dimensions
from spaces.schema import Space, Stopping, Value, flatten_names
from spaces.values import is_same_value, to_text

_REASONS: Final = {
    "trainable": "results of another trainable are not comparable",
    "dataset": "results on other data are not comparable",
    "objectives": "trials are stopped, compared and proposed by the objectives",
    "epochs": "learning-rate schedules depend on the length of a full training",
    "inner": "results are the best of all combinations of inference parameters",
    "seed": "the seed determines the simulated data and the initial weights",
    "vary_seeds": "trials with one seed and trials with seeds of their own are not comparable",
}
"""Reasons for which keys of an identity may not be edited."""
_NAMES: Final = {"epochs": "budget.epochs"}
"""Keys of a space file by those of an identity, where they differ."""
_SOUND: Final = ("search", "fixed", "baseline", "stopping")
"""Keys of an identity that may be edited, as far as the checks of this module permit."""


def plan_edit(folder: SearchFolder, space: Space, path: str | None = None) -> SpaceEdit | None:
    """Return the edit of the space with which a search is resumed; None if nothing but resources and budgets changed.

    Args:
        folder: Files of the search.
        space: Space of this launch.
        path: Space file, for errors; None for that with the identity of the search.

    Raises:
        InputError: If a change is not sound.
    """
    if not folder.is_started():
        return None
    before, now = folder.read_identity(), space.identity()
    place = path or folder.display_path(folder.identity_path)
    changed = changed_keys(before, now)
    changed += ["vary_seeds"] if before.get("vary_seeds") and not space.vary_seeds else []
    for key in changed:
        if key not in _SOUND or space.table is not None:
            raise _unsound_key_error(place, key, before.get(key), now.get(key), space)
    changes: dict[str, tuple[Any, Any]] = {}
    if "search" in changed or "fixed" in changed:
        changes |= _compare_dimensions(before, now) | _compare_fixed(before, now, space, place)
    changes |= _compare_stopping(before, now)
    starts = _list_new_starts(before, space)
    changes |= {START: (None, [dict(start) for start in starts])} if starts else {}
    earlier = _earlier_values(space, before, changes, place)
    if "baseline" in changed:
        _check_baseline(space, before, earlier, place)
    return SpaceEdit(changes, earlier, starts) if changes else None


def _unsound_key_error(place: str, key: str, before: Any, now: Any, space: Space) -> InputError:
    name = _NAMES.get(key, key)
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        one, other = flatten_names(before), flatten_names(now)
        last = next((n for n in [*other, *one] if one.get(n) != other.get(n)), None)
        if last is not None:
            name, before, now = f"{name}.{last}", one.get(last), other.get(last)
    reason = "its rows are compared with each other" if space.table is not None else _REASONS.get(key)
    reason = reason or "trials before and after the change are not comparable"
    return _unsound_error(place, name, before, now, reason)


def _unsound_error(place: str, name: str, before: Any, now: Any, reason: str, hint: str = "") -> InputError:
    return InputError(
        f"{place}: {name}",
        f"a resumed search keeps this value: {reason}",
        value=f"{to_text(before)} → {to_text(now)}",
        remedy=f"undo the change{hint}, or start over with --fresh or --name",
    )


def _compare_dimensions(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the descriptions of the dimensions that differ; None where a field is not searched."""
    former, new = before["search"], now["search"]
    names = [*new, *(name for name in former if name not in new)]
    return {f"{SEARCH}{n}": (former.get(n), new.get(n)) for n in names if former.get(n) != new.get(n)}


def _compare_fixed(
    before: Mapping[str, Any], now: Mapping[str, Any], space: Space, place: str
) -> dict[str, tuple[Any, Any]]:
    """Return the fixed values that are searched now, or were before.

    A field that is fixed at its default is the same as one that is not written.

    Raises:
        InputError: If another one differs, which no trial records.
    """
    former, new = before["fixed"], now["fixed"]
    changes = {}
    for name in dict.fromkeys([*new, *former]):
        if is_same_value(former.get(name), new.get(name)) and (name in former) == (name in new):
            continue
        if name not in before["search"] and name not in now["search"]:
            if (name in former) != (name in new) and _is_default(space, name, former.get(name, new.get(name))):
                continue
            reason = "all trials so far share it, and they would not be comparable with those of another value"
            hint = f", or search {name} over both values"
            raise _unsound_error(place, f"{FIXED}{name}", former.get(name), new.get(name), reason, hint)
        changes[f"{FIXED}{name}"] = (former.get(name), new.get(name))
    return changes


def _is_default(space: Space, name: str, value: Any) -> bool:
    """Return whether a field that is not searched has this value in all trials where it is not fixed."""
    fixed = {other: there for other, there in space.fixed.items() if other != name}
    unfixed = dataclasses.replace(space, fixed=fixed)
    return all(is_settled(unfixed, point, {name: value}) for point in unfixed.boundary_points())


def _compare_stopping(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the changes of the stopping rule; a key that an earlier version lacks has its default."""
    defaults = Stopping().model_dump()
    former = defaults | before["stopping"]
    new: dict[str, Any] = now["stopping"]
    return {f"stopping.{key}": (former.get(key), value) for key, value in new.items() if former.get(key) != value}


def _list_new_starts(before: Mapping[str, Any], space: Space) -> tuple[Mapping[str, Value], ...]:
    """Return the starting points that the last launch did not have; empty if an earlier version did not record them."""
    if START not in before or space.table is not None:
        return ()
    known = [complete_point(space, point) for point in before[START]]
    return tuple(
        start
        for start in space.start
        if not feasibility.contains_point(space.search, known, complete_point(space, start))
    )


def _earlier_values(
    space: Space, before: Mapping[str, Any], changes: Mapping[str, tuple[Any, Any]], place: str
) -> dict[str, Value]:
    """Return the values that all trials so far have in dimensions that were not searched, or were under other conditions.

    Raises:
        InputError: If the value is a default that depends on other values.
    """
    names = [key.removeprefix(SEARCH) for key, (former, new) in changes.items() if key.startswith(SEARCH) and new]
    unsearched = [n for n in names if _has_new_condition(n, *changes[f"{SEARCH}{n}"])]
    fixed = {name: before["fixed"][name] for name in unsearched if name in before["fixed"]}
    unconditional = dataclasses.replace(
        space, search=tuple(dataclasses.replace(d, when=()) for d in space.search if d.name in unsearched)
    )
    values = fixed | {n: v for n, v in complete_point(unconditional, fixed).items() if n not in fixed}
    for name in values.keys() - fixed.keys():
        for point in space.boundary_points():
            others = {n: value for n, value in point.items() if n not in unsearched}
            other = complete_point(unconditional, others | fixed).get(name)
            if not is_same_value(values[name], other):
                reason = "trials so far have its default, which depends on their other values"
                raise _unsound_error(place, f"{SEARCH}{name}", None, f"searched ({values[name]}, {other})", reason)
    return values


def _has_new_condition(name: str, before: Any, now: Any) -> bool:
    """Return whether a dimension is new, or trials may have been without it where it is active now."""
    return before is None or read_dimension(name, before).when != read_dimension(name, now).when


def _check_baseline(space: Space, before: Mapping[str, Any], earlier: Mapping[str, Value], place: str) -> None:
    """Check that the baseline keeps its values in the dimensions that were and are searched.

    Raises:
        InputError: If one differs: trial 0 has run with the former one.
    """
    former = complete_point(space, {**earlier, **before["baseline"]})
    for name in space.baseline:
        if name in before["search"] and name in former and not is_same_value(former[name], space.baseline[name]):
            reason = "trial 0 is the baseline as it was when the search was started"
            raise _unsound_error(
                place, f"baseline.{name}", former[name], space.baseline[name], reason, ", add the point to start"
            )


def begin_editing(experiment: Experiment) -> Editing | None:
    """Return the edits with which the study of a search is opened; None for a new search."""
    folder = experiment.results
    if not folder.is_started():
        return None
    edit = plan_edit(folder, experiment.space)
    if edit is not None:
        edit = dataclasses.replace(edit, time=datetime.now(UTC).isoformat(timespec="seconds"))
    return Editing(folder.read_identity().get(EDITS, []), edit)


def edit_lines(experiment: Experiment, edit: SpaceEdit | None) -> list[str]:
    """Return the lines of the plan about an edit: each change, with the number of trials that it leaves outside.

    Args:
        experiment: Search that is resumed.
        edit: Edit of its space; None if there is none.
    """
    if edit is None:
        return []
    trials = _read_trials(experiment, edit)
    texts = [f"{key}: {text}" for key, text in _describe_each(experiment.space, edit, trials)]
    dimensions = [key for key in edit.changes if key.startswith(SEARCH)]
    if trials is None and dimensions:
        texts.append("the study is not within reach: the trials outside are counted at the start")
    elif trials and len(dimensions) > 1:
        outside = sum(not is_inside(experiment.space, trial.parameters) for trial in trials)
        texts.append(f"in all, {outside} of {len(trials)} trials are outside" if outside else "no trial is outside")
    return [f"{'resume' * (number == 0):<9}{text}" for number, text in enumerate(texts)]


def _describe_each(space: Space, edit: SpaceEdit, trials: Sequence[Trial] | None) -> Iterator[tuple[str, str]]:
    for key, text in describe_changes(edit.to_plain()).items():
        count = "" if trials is None or f"{SEARCH}{key}" not in edit.changes else _count_outside(space, key, trials)
        yield key, text + count


def _count_outside(space: Space, name: str, trials: Sequence[Trial]) -> str:
    outside = sum(_is_value_outside(space, name, trial.parameters) for trial in trials)
    return f"; {outside or 'none'} of {len(trials)} trials {'is' if outside < 2 else 'are'} outside"


def _is_value_outside(space: Space, name: str, point: Mapping[str, Value]) -> bool:
    active = {d.name: d for d in space.search if d.is_active(point)}
    if name in active:
        return name not in point or not active[name].contains_value(point[name])
    others = {n: value for n, value in point.items() if n in active}
    return name in point and not is_settled(space, others, {name: point[name]})


def _read_trials(experiment: Experiment, edit: SpaceEdit) -> list[Trial] | None:
    """Return the trials so far with the values that the edit gives them; None if the database does not answer."""
    from search.study.reading import read_study  # loads Optuna, which an unedited search does not need here

    folder = experiment.results
    identity = folder.read_identity()
    try:
        content = read_study(experiment.study_location, folder.study_name(), read_dimensions(identity))
    except InputError:
        return None
    edits = [*identity.get(EDITS, []), dataclasses.replace(edit, trial=10**9).to_plain()]
    return [EditedTrials(edits).view_trial(trial) for trial in content.trials]
