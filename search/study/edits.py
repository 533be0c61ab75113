"""Edits of the space of a search between launches, and what they mean for earlier trials; pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from search.study.trials import Trial
from spaces.points import is_settled
from spaces.schema import Dimension, Space, Value

EDITS: Final = "edits"
"""Attribute of a study, and key of the identity file, with the edits of the space as plain values."""
START: Final = "start"
"""Key of the identity file with the starting points of the last launch; searches of earlier versions lack it."""


@dataclass(frozen=True)
class SpaceEdit:
    """Edit of the space of a search that is resumed.

    Attributes:
        changes: Former and new value by key, as the identity of a space has them; None where a dimension is not searched.
        earlier: Values that all earlier trials have in the dimensions that are new, or active under other conditions.
        starts: Starting points that are new.
        time: Time of the launch, in ISO format.
        trial: Number of the first trial that the edited space proposes.
        outside: Numbers of the earlier trials that are outside of the edited space.
    """

    changes: Mapping[str, tuple[Any, Any]]
    earlier: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    starts: tuple[Mapping[str, Value], ...] = ()
    time: str = ""
    trial: int = 0
    outside: tuple[int, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return the edit as plain values."""
        plain = dataclasses.asdict(self)
        plain["changes"] = {key: list(values) for key, values in self.changes.items()}
        return plain | {"starts": [dict(start) for start in self.starts], "outside": list(self.outside)}


@dataclass(frozen=True)
class Editing:
    """Edits with which a launch opens a study.

    Attributes:
        recorded: Edits of earlier launches as plain values; later ones in the study are of a launch that was interrupted
            before it began.
        edit: Edit of this launch; None if there is none.
    """

    recorded: Sequence[Mapping[str, Any]]
    edit: SpaceEdit | None


class EditedTrials:
    """View of the trials of a study with the values and the marks that follow from the edits of its space.

    Args:
        edits: Edits as plain values, the oldest first.
        search: Dimensions of the space now; trials inside of it then have no other parameters. None keeps all parameters.
    """

    def __init__(self, edits: Sequence[Mapping[str, Any]], search: Sequence[Dimension] | None = None) -> None:
        self._edits = edits
        self._search = search
        self._outside = frozenset(edits[-1]["outside"]) if edits else frozenset()

    def earlier_values(self, number: int) -> dict[str, Value]:
        """Return the values that a trial with this number has in dimensions that were added after it."""
        values: dict[str, Value] = {}
        for edit in reversed(self._edits):
            if number < edit["trial"]:
                values |= edit["earlier"]
        return values

    def view_trial(self, trial: Trial) -> Trial:
        """Return a trial as the edited space has it; the trial itself if the space was never edited."""
        if not self._edits:
            return trial
        is_outside = trial.number in self._outside or trial.retry_of in self._outside or trial.confirms in self._outside
        parameters = {**self.earlier_values(trial.number), **trial.parameters}
        if self._search is not None and not is_outside:
            active = [d for d in self._search if d.name in parameters and d.is_active(parameters)]
            parameters = {d.name: d.normalize(parameters[d.name]) for d in active}
        return dataclasses.replace(trial, parameters=parameters, is_outside=is_outside)


def is_inside(space: Space, point: Mapping[str, Value]) -> bool:
    """Return whether a space can propose the training that a point describes.

    Args:
        space: Edited space.
        point: Parameters of an earlier trial, also those that are not searched any more.
    """
    active = [dimension for dimension in space.search if dimension.is_active(point)]
    if not all(d.name in point and d.contains_value(point[d.name]) for d in active):
        return False
    searched = {d.name: point[d.name] for d in active}
    others = {name: value for name, value in point.items() if name not in searched}
    return not others or is_settled(space, searched, others)


def outside_numbers(space: Space, trials: Sequence[Trial]) -> tuple[int, ...]:
    """Return the numbers of the trials that are outside of a space."""
    return tuple(trial.number for trial in trials if not is_inside(space, trial.parameters))
