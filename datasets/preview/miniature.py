"""Miniatures of datasets: the same specification with few samples, rooms, source positions and clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from datasets.acoustics.shoebox import count_images
from datasets.recordings import rules
from datasets.recordings.clips import Clip
from datasets.recordings.plan import RecordingsPlan
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms import groups, reverberation
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.plan import SamplePlan
from datasets.rooms.spec import LocalizerSpec, MusicSpec, RoomSpec
from datasets.rooms.split_spec import SplitSpec, source_range

SPLIT_SAMPLES: Final = 120
"""Maximum number of samples per split."""
SPLIT_CLIPS: Final = 24
"""Number of clips that are decoded per split, unless more are needed for its superpositions."""

_ROOMS_AND_POSITIONS: Final = ((2, 16), (2, 12), (2, 8), (1, 8), (1, 6))
"""Candidate numbers of rooms and of source positions per room, in order of preference."""
_IMAGE_BUDGET: Final = 16_000_000
"""Maximum number of image sources, over all positions and microphones; takes about 10 s."""


def make_miniature(plan: SamplePlan) -> tuple[SamplePlan, tuple[str, ...]]:
    """Reduce a dataset plan to a miniature.

    Returns:
        The plan of the miniature, and its differences from the complete dataset, one sentence each.
    """
    spec = plan.spec
    splits = spec.resolve_splits()
    small: dict[str, Any] = {}
    if isinstance(spec, MusicSpec):
        # Each split receives at least one excerpt per genre, and training as many as all splits together.
        small["excerpts"] = min(spec.excerpts, max(8, 2 * len(splits)))
    shrunk, notes = _reduce_acoustics(spec) if isinstance(spec, RoomSpec) else ({}, [])
    if isinstance(plan, RecordingsPlan):
        plan = replace(plan, clips=_choose_clips(plan.spec, plan.clips))
    changed = {
        name: split.model_copy(update={"samples": min(split.samples, SPLIT_SAMPLES)} | shrunk.get(name, {}))
        for name, split in {"train": spec.train, "validate": spec.validate_, **spec.tests}.items()
    }
    small |= {"train": changed.pop("train"), "validate_": changed.pop("validate"), "tests": changed}
    return plan.with_spec(spec.model_copy(update=small)), tuple(notes)


def _reduce_acoustics(spec: RoomSpec) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Reduce the rooms and source positions of every reverberant split; return the changed fields and notes about them."""
    splits = spec.resolve_splits()
    sharing: dict[tuple[str, Acoustics], list[str]] = {}
    for name, split in splits.items():
        if split.acoustics is not None and split.acoustics.is_reverberant:
            sharing.setdefault((reverberation.rir_role(name), split.acoustics), []).append(name)
    result: dict[str, dict[str, Any]] = {}
    notes = []
    for (role, acoustics), names in sharing.items():
        least = max(reverberation.fewest_positions(spec, splits[name], acoustics, role) for name in names)
        chosen, note = _affordable_images(spec, acoustics, role, least, _IMAGE_BUDGET // len(sharing))
        result |= {name: {"acoustics": chosen} for name in names}
        notes.append(f"{', '.join(names)}: {note}.")
    return result, notes


def _affordable_images(
    spec: RoomSpec, acoustics: Acoustics, role: str, least: int, budget: int
) -> tuple[Acoustics, str]:
    """Choose rooms and positions that fit a budget of image sources; lower the reflection order if none fits."""
    microphones = int(np.prod(spec.microphones_m().shape[:2]))
    rooms = [reverberation.draw_room(spec, acoustics, role, number) for number in range(min(2, acoustics.rooms))]
    order = max(room.max_order for room in rooms)
    sizes = [
        (min(number, len(rooms)), min(max(many, least), acoustics.positions)) for number, many in _ROOMS_AND_POSITIONS
    ]
    chosen = next((s for s in sizes if s[0] * s[1] * microphones * count_images(order) <= budget), sizes[-1])
    changed = {"rooms": chosen[0], "positions": chosen[1]}
    note = f"{chosen[0]} of {acoustics.rooms} rooms, {chosen[1]} of {acoustics.positions} source positions per room"
    followed = order
    while (
        not rooms[0].is_hybrid
        and followed > 1
        and chosen[0] * chosen[1] * microphones * count_images(followed) > budget
    ):
        followed -= 1
    if followed < order:
        changed["max_order"] = followed
        note += f", reflections up to order {followed} instead of {order}, so the late reverberation is truncated"
    return acoustics.model_copy(update=changed), note


def _choose_clips(spec: RecordingsSpec, clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Choose clips of every split, evenly spaced in the clip list, that still allow all of its numbers of sources."""
    chosen: set[str] = set()
    for name, split in spec.resolve_splits().items():
        own = rules.clips_of_split(clips, name)
        many = SPLIT_CLIPS
        while many < len(own) and not _is_sufficient(spec, split, own, _spread_evenly(own, many)):
            many *= 2
        chosen |= {clip.name for clip in _spread_evenly(own, many)}
    return tuple(clip for clip in clips if clip.name in chosen)


def _spread_evenly(clips: Sequence[Clip], many: int) -> list[Clip]:
    rows = np.unique(np.linspace(0, len(clips) - 1, min(many, len(clips))).round().astype(int))
    return [clips[row] for row in rows.tolist()]


def _is_sufficient(spec: LocalizerSpec, split: SplitSpec, everything: Sequence[Clip], clips: Sequence[Clip]) -> bool:
    if not rules.uses_superposition(everything):
        # A selection with single-source clips only would be superposed, unlike the complete split.
        return not rules.uses_superposition(clips)
    positions = np.array([clip.positions_m[0] for clip in clips])
    return groups.has_combination(groups.are_separated(positions, spec.min_distance_m), source_range(split)[1])
