"""Checks across clips: no position in two splits, and enough clips for every split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from datasets.recordings.clips import Clip
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms import groups
from datasets.rooms.split_spec import source_range
from runtime.errors import InputError


def uses_superposition(clips: Iterable[Clip]) -> bool:
    """Return whether the samples of a split are superpositions of its clips: no clip has several sources."""
    return all(len(clip.positions_m) == 1 for clip in clips)


def clips_of_split(clips: Iterable[Clip], split: str) -> tuple[Clip, ...]:
    """Return the clips of a split."""
    return tuple(clip for clip in clips if split in clip.splits)


def require_separate(spec: RecordingsSpec, clips: Iterable[Clip]) -> None:
    """Check that splits share neither positions nor held-out genres.

    Raises:
        InputError: If a position is in two of train, validate and the tests; if two tests that both superpose seen
            genres have different clips at one position; or if train or validate plays a genre of a held-out test.
    """
    at: dict[tuple[float, float], list[Clip]] = {}
    for clip in clips:
        for x, y in clip.positions_m:
            at.setdefault((round(x, 3), round(y, 3)), []).append(clip)
    for position, here in at.items():
        for one, other in combinations(here, 2):
            if _shared_sounds(spec, one, other):
                raise InputError(
                    other.row.location("split"),
                    f"a position must not be in two splits; row {one.row.line} has it in {' '.join(one.splits)}",
                    value=f"({position[0]:g}, {position[1]:g}) m in {' '.join(other.splits)}",
                    remedy="put both recordings into one split, or leave one out",
                )
    _require_held_out(spec, tuple(clips))


def _shared_sounds(spec: RecordingsSpec, one: Clip, other: Clip) -> bool:
    """Return whether two clips at one position belong to splits that must not share it."""
    if set(one.splits) & set(other.splits):
        return False
    both = {*one.splits, *other.splits}
    if both & {"train", "validate"}:
        return True
    held_out = any(spec.tests[name].genres == "held_out" for name in both)
    return not held_out and uses_superposition((one, other))


def _require_held_out(spec: RecordingsSpec, clips: Sequence[Clip]) -> None:
    heard = {
        clip.genre: clip.row.line for clip in reversed(clips) if clip.genre and {"train", "validate"} & set(clip.splits)
    }
    for clip in clips:
        for name in clip.splits:
            if name in spec.tests and spec.tests[name].genres == "held_out" and clip.genre in heard:
                raise clip.row.value_error(
                    "genre",
                    f"test set {name} must not play what training hears; row {heard[clip.genre]} plays it",
                    "move the clip to another test set, or correct its genre",
                )


def require_splits(spec: RecordingsSpec, clips: Sequence[Clip], names: Sequence[str]) -> None:
    """Check that splits have clips with the numbers of sources of their samples.

    Raises:
        InputError: If a split has none, if train or validate has a clip with several sources, if a clip has another
            number of sources than its split, or if there are no positions far enough apart to superpose.
    """
    for name in names:
        own = clips_of_split(clips, name)
        if not own:
            raise InputError(
                f"{spec.manifest}, column split",
                f"split {name!r} needs recordings",
                value=sorted({split for clip in clips for split in clip.splits}),
                remedy=f"add rows with the split {name}, or take it out of dataset.tests",
            )
        if uses_superposition(own):
            require_room(spec, name, own)
        else:
            _require_counts(spec, name, own)


def require_room(spec: RecordingsSpec, split: str, clips: Sequence[Clip]) -> None:
    """Check that a split has positions far enough apart for its superpositions.

    Raises:
        InputError: If too few positions are far enough apart.
    """
    allowed = groups.are_separated(np.array([clip.positions_m[0] for clip in clips]), spec.min_distance_m)
    for count in range(1, source_range(spec.resolve_splits()[split])[1] + 1):
        if not groups.has_combination(allowed, count):
            raise InputError(
                f"{spec.manifest}, columns x and y, split {split!r}",
                f"samples with {count} sources need {count} positions at least {spec.min_distance_m:g} m apart",
                value=f"{len(clips)} audible clips",
                remedy="record more positions, or lower dataset.min_distance_m or the split's number of sources",
            )


def _require_counts(spec: RecordingsSpec, split: str, clips: Sequence[Clip]) -> None:
    low, high = source_range(spec.resolve_splits()[split])
    for clip in clips:
        several = len(clip.positions_m)
        if several > 1 and split in ("train", "validate"):
            raise clip.row.value_error(
                "x",
                f"a recording of {several} sources must be in a test set, not in {split}",
                "record the sources one at a time, or name a test set",
            )
        if not low <= several <= high:
            raise clip.row.value_error(
                "x",
                f"test set {split} has {low} to {high} sources in a sample, and so must its recordings",
                f"correct dataset.tests.{split}.sources, or move the clip",
                value=f"{several} sources",
            )
