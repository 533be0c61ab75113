"""Division of the recordings of a folder into splits, by the conventions of the published data sets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from datasets.tau2020.spec import GROUPS
from runtime.errors import InputError

if TYPE_CHECKING:
    from datasets.tau2020.layout import RecordingName

_FOLDS_2021: Final[dict[str, tuple[int, ...]]] = {"train": (1, 2, 3, 4), "validate": (5,), "test": (6,)}
"""TAU-NIGENS 2021; its README."""
_STARSS_TRAIN: Final = 3
_STARSS_TEST: Final = 4
"""Folds of the real recordings of STARSS22 and STARSS23; synthetic recordings for training are in folds 1 and 2."""
_HELD_OUT: Final = 5
"""One room in five of a fold without validation split is used for validation."""


@dataclass(frozen=True)
class FoldPlan:
    """Folds of each split.

    Attributes:
        convention: Name of the data set whose convention applies, or of the key that lists the folds.
        folds: Folds by split. A fold of both training and validation is divided by rooms.
        held_out: Fold and room of the validation recordings of such a fold.
    """

    convention: str
    folds: Mapping[str, tuple[int, ...]]
    held_out: tuple[tuple[int, int], ...] = ()

    def describe(self) -> str:
        """Return the folds of the splits in words."""
        parts = []
        for split, folds in self.folds.items():
            rooms = sorted(room for fold, room in self.held_out if fold in folds)
            parts.append(f"{split} fold {', '.join(map(str, folds))}" + self._describe_rooms(split, rooms))
        return f"folds of {self.convention}: " + "; ".join(parts)

    def _describe_rooms(self, split: str, rooms: list[int]) -> str:
        if not rooms:
            return ""
        return {"train": " without", "validate": ""}[split] + f" room {', '.join(map(str, rooms))}"


def select_names(
    names: Iterable[RecordingName],
    split: str,
    folds: Mapping[str, Collection[int]],
    held_out: Collection[tuple[int, int]],
) -> tuple[RecordingName, ...]:
    """Return the names of the recordings of a split, in their order.

    Args:
        names: Names of all recordings.
        split: Name of the split.
        folds: Folds of each split.
        held_out: Fold and room of validation recordings whose fold is also one of training.
    """
    shared = set(folds.get("train", ())) & set(folds.get("validate", ())) if split in ("train", "validate") else set()
    return tuple(
        name
        for name in names
        if name.fold in folds[split]
        and (name.fold not in shared or ((name.fold, name.room) in held_out) == (split == "validate"))
    )


def plan_folds(names: Collection[RecordingName], asked: Mapping[str, tuple[int, ...]] | None, place: str) -> FoldPlan:
    """Return the folds of each split: those asked for, or those of the data set that the names belong to.

    Names with `_ov1` are those of TAU-NIGENS 2020. Without it, folds up to 6 are those of TAU-NIGENS 2021; folds 3 and 4
    alone, or with synthetic folds 1 and 2, those of STARSS22 and STARSS23, which have no validation split.

    Args:
        names: Names of all recordings.
        asked: Folds of each split, as the dataset lists them.
        place: Folder of the recordings, for errors.

    Raises:
        InputError: If no convention fits.
    """
    present = {name.fold for name in names}
    if asked is not None:
        return FoldPlan("the key folds", dict(asked))
    if any(name.overlap for name in names) or not present - {0}:
        return FoldPlan("TAU-NIGENS 2020", dict(GROUPS))
    if {5, 6} <= present <= set(range(1, 7)):
        folds = _FOLDS_2021 | {"train": tuple(sorted(present - {5, 6}))}
        return FoldPlan("TAU-NIGENS 2021", folds)
    if {_STARSS_TRAIN, _STARSS_TEST} <= present <= {1, 2, _STARSS_TRAIN, _STARSS_TEST}:
        return _plan_starss(names, present, place)
    raise _folds_error(place, f"fold {', '.join(map(str, sorted(present)))}")


def _plan_starss(names: Collection[RecordingName], present: set[int], place: str) -> FoldPlan:
    rooms = sorted({name.room for name in names if name.fold == _STARSS_TRAIN})
    if len(rooms) < 2:
        raise InputError(
            place,
            "validation is one room in five of the training fold, which therefore needs two rooms or more",
            value=f"one room in fold {_STARSS_TRAIN}",
            remedy=f"add recordings of other rooms to fold {_STARSS_TRAIN}, or list the folds of each split in dataset.folds",
        )
    folds = {"train": tuple(sorted(present - {_STARSS_TEST})), "validate": (_STARSS_TRAIN,), "test": (_STARSS_TEST,)}
    return FoldPlan("STARSS22 and STARSS23", folds, tuple((_STARSS_TRAIN, room) for room in rooms[1::_HELD_OUT]))


def _folds_error(place: str, value: str) -> InputError:
    return InputError(
        place,
        "the folds of the recordings must follow a known convention, or be listed",
        value=value,
        remedy="list the folds of each split, e.g. folds: {train: [1, 2, 3], validate: [4], test: [5]}",
    )
