"""Warm start: the best trials of earlier searches as starting points of a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import InputError
from runtime.uris import expand_home
from search.launching.existing import describe_searches
from search.results import SearchFolder
from search.study.trials import Trial, choose_winner, rank_trials
from search.study.warm_start import WARM_START, describe_earlier, from_plain
from spaces import feasibility
from spaces.points import complete_point
from spaces.recorded import read_dimensions
from spaces.schema import Dimension, EarlierSearch, Space, Value

TRIALS_EACH: Final = 2
"""Number of trials of each earlier search that become starting points."""


@dataclasses.dataclass(frozen=True)
class WarmStarter:
    """Reader of the earlier searches of a space.

    Attributes:
        results: Files of the search that starts or continues.
        place: Option or key that names the earlier searches, for errors.
        study_uri: Database with the studies of the storage; None for journals.
        connects: Whether to read studies from the database; a dry run need not reach it.
    """

    results: SearchFolder
    place: str
    study_uri: str | None = None
    connects: bool = True

    def read_searches(self, space: Space, *, resume: bool) -> Space:
        """Return a space with the starting points of its earlier searches.

        A search that is resumed keeps the points that it was started with, and gets those of further searches.

        Args:
            space: Space of this launch.
            resume: Whether an existing search is continued.

        Raises:
            InputError: If a search does not exist, or is not compatible with the space.
        """
        recorded = self._read_recorded() if resume else {}
        new = [earlier.search for earlier in space.warm_start if earlier.search not in recorded]
        searches = [*recorded.values(), *(self._read_search(space, name) for name in new)]
        return dataclasses.replace(space, warm_start=tuple(searches))

    def _read_recorded(self) -> dict[str, EarlierSearch]:
        searches = map(from_plain, self.results.read_identity().get(WARM_START, []))
        return {search.search: search for search in searches}

    def _read_search(self, space: Space, name: str) -> EarlierSearch:
        folder = self._locate_folder(name)
        identity = folder.read_identity()
        self._check_compatible(space, identity, name)
        location = folder.display_path(folder.root_path)
        is_journal = folder.journal_path.is_file()
        if not is_journal and self.study_uri is not None and not self.connects:
            return EarlierSearch(name, location)
        trials = self._read_trials(folder, identity, name)
        chosen = choose_points(space, identity, trials, folder.read_winner())
        if not chosen:
            raise self._incompatible_error(
                name, f"it has {len(trials)} trials, of which none has a result and is possible here"
            )
        numbers = tuple(number for number, _, _ in chosen)
        points, replaced = (tuple(each[index] for each in chosen) for index in (1, 2))
        return EarlierSearch(name, location, len(trials), numbers, points, replaced)  # type: ignore[arg-type]

    def _locate_folder(self, name: str) -> SearchFolder:
        path = expand_home(name)
        folder = dataclasses.replace(self.results, name=name)
        is_named = len(path.parts) == 1 and not name.startswith(".")
        if not is_named:
            path = path.absolute()
            folder = SearchFolder(path.parent.parent, path.name)
        if folder.root_path == self.results.root_path:
            raise InputError(
                self.place, "a search cannot start from itself", value=name, remedy="use --resume, or another --name"
            )
        if not (is_named or folder.root_path == path) or not folder.is_started():
            raise InputError(
                self.place,
                "the earlier search must exist",
                value=name,
                remedy="give the name of a search in this storage, or the path of its folder, STORAGE/searches/NAME; "
                + describe_searches(dataclasses.replace(self.results, name=path.name)),
            )
        return folder

    def _check_compatible(self, space: Space, identity: Mapping[str, Any], name: str) -> None:
        """Check that trials of an earlier search can be ranked by what the new one optimises, and share a dimension with it.

        Raises:
            InputError: If not.
        """
        objectives = [list(objective) for objective in space.objectives]
        for key, now in (("trainable", space.trainable), ("objectives", objectives)):
            if identity.get(key) != now:
                raise self._incompatible_error(name, f"its {key}: {identity.get(key)}; here: {now}")
        known = {*identity["search"], *identity["fixed"]}
        if not any(dimension.name in known for dimension in space.search):
            raise self._incompatible_error(name, "it has none of the dimensions of this space")

    def _incompatible_error(self, name: str, reason: str) -> InputError:
        return InputError(
            self.place,
            "an earlier search must have the same trainable and objectives, a dimension of this space, and results",
            value=f"{name}: {reason}",
            remedy=f"remove {name}, or name another search",
        )

    def _read_trials(self, folder: SearchFolder, identity: Mapping[str, Any], name: str) -> tuple[Trial, ...]:
        from search.study.reading import read_study  # loads Optuna

        is_journal = folder.journal_path.is_file()
        if not is_journal and self.study_uri is None:
            raise self._incompatible_error(name, "its study is in a database: add --study, or it has not begun")
        location = folder.journal_path if is_journal else str(self.study_uri)
        return read_study(location, folder.study_name(), read_dimensions(identity)).trials


def choose_points(
    space: Space, identity: Mapping[str, Any], trials: tuple[Trial, ...], winner: int | None
) -> list[tuple[int, dict[str, Value], tuple[str, ...]]]:
    """Return the best trials as points of a space, with their numbers and the names of values that were replaced.

    Args:
        space: The new space.
        identity: Identity of the earlier search.
        trials: Its trials.
        winner: Number of the winner of its verdict; None without one.
    """
    ranked = rank_trials(trials, space.objectives)
    if not ranked:
        return []
    best = choose_winner(ranked, winner)
    checker = feasibility.PointChecker(space)
    named = [complete_point(space, point) for point in (space.baseline, *space.start)]
    chosen: list[tuple[int, dict[str, Value], tuple[str, ...]]] = []
    for trial in [best, *(trial for trial in ranked if trial is not best)]:
        if len(chosen) == TRIALS_EACH:
            break
        point, replaced = convert_point(space, {**identity["fixed"], **trial.parameters})
        known = [*named, *(other for _, other, _ in chosen)]
        is_new = not feasibility.contains_point(space.search, known, point)
        if is_new and checker.explain_impossible(point) is None:
            chosen.append((trial.number, point, replaced))
    return chosen


def convert_point(space: Space, values: Mapping[str, Value]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Return the point of a space with the values of an earlier trial, and the names of those that are not in the space.

    A missing value, or one outside of its dimension, is replaced by that of the baseline, or by the bound or choice next to it.
    """
    given = {d.name: values[d.name] for d in space.search if d.name in values and d.contains_value(values[d.name])}
    baseline = {d.name: _inside_value(d, space.baseline[d.name]) for d in space.search if d.name in space.baseline}
    point = complete_point(space, {**baseline, **given})
    return point, tuple(name for name in point if name in values and name not in given)


def _inside_value(dimension: Dimension, value: Value) -> Value:
    if dimension.contains_value(value):
        return value
    numbers = [v for v in dimension.boundary_values() if isinstance(v, int | float) and not isinstance(v, bool)]
    if isinstance(value, int | float) and not isinstance(value, bool) and numbers:
        return min(numbers, key=lambda other: abs(other - value))
    return dimension.boundary_values()[0]


def warm_start_lines(space: Space) -> list[str]:
    """Return the lines of the plan about earlier searches."""
    lines = [_describe_start(search) for search in space.warm_start]
    return [f"{'warm' * (number == 0):<9}{line}" for number, line in enumerate(lines)]


def _describe_start(search: EarlierSearch) -> str:
    if not search.numbers:
        return f"{search.search}: its best trials, which are read at the start"
    notes = [
        f"; {', '.join(names)} of trial {number} {'is' if len(names) == 1 else 'are'} outside of this space and replaced"
        for number, names in zip(search.numbers, search.replaced, strict=True)
        if names
    ]
    return f"{describe_earlier(search)}, run after the starting points{''.join(notes)}"
