"""A miniature of a dataset: the same spec with few samples, and only as many rooms, places or clips as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from datasets.acoustics import shoebox
from datasets.building.parts import DatasetPlan
from datasets.recordings import groups, rules
from datasets.recordings.clips import Clip
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import Acoustics, LocalizerSpec, MusicSpec, RoomSpec, SplitSpec, source_range

SAMPLES: Final = 120
CLIPS: Final = 24
"""Recordings of a split that are decoded."""

_SIZES: Final = ((2, 16), (2, 12), (2, 8), (1, 8), (1, 6))
"""Rooms and places in each, the most welcome first."""
_IMAGES: Final = 16_000_000
"""Images that may be followed, from every place to every microphone: some 10 s of work."""


def image_order(order: int) -> int:
    """How many image sources of a shoebox have at most so many reflections: the points of an octahedron."""
    return (2 * order + 1) * (2 * order * order + 2 * order + 3) // 3


def make_miniature(source: DatasetPlan) -> tuple[DatasetPlan, tuple[str, ...]]:
    """Shrink a dataset.

    Returns:
        What to build instead, and what is different about it, in words.
    """
    spec = source.spec
    splits = spec.resolve_splits()
    small: dict[str, Any] = {}
    if isinstance(spec, MusicSpec):
        # Every split gets an excerpt of each genre, and training as many again.
        small["excerpts"] = min(spec.excerpts, max(8, 2 * len(splits)))
    shrunk, notes = _reduce_acoustics(spec) if isinstance(spec, RoomSpec) else ({}, [])
    if isinstance(spec, RecordingsSpec):
        source = replace(source, clips=_choose_clips(spec, source.clips))
    changed = {
        name: split.model_copy(update={"samples": min(split.samples, SAMPLES)} | shrunk.get(name, {}))
        for name, split in {"train": spec.train, "validate": spec.validate_, **spec.tests}.items()
    }
    small |= {"train": changed.pop("train"), "validate_": changed.pop("validate"), "tests": changed}
    return source.with_spec(spec.model_copy(update=small)), tuple(notes)


def _reduce_acoustics(spec: RoomSpec) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The rooms of every split that echoes, fewer and with fewer places; and what that changes."""
    splits = spec.resolve_splits()
    sharing: dict[tuple[str, Acoustics], list[str]] = {}
    for name, split in splits.items():
        if split.acoustics is not None and split.acoustics.is_reverberant:
            sharing.setdefault((shoebox.rir_role(name), split.acoustics), []).append(name)
    result: dict[str, dict[str, Any]] = {}
    notes = []
    for (role, acoustics), names in sharing.items():
        least = max(_fewest_positions(spec, splits[name], acoustics, role) for name in names)
        chosen, note = _affordable_images(spec, acoustics, role, least, _IMAGES // len(sharing))
        result |= {name: {"acoustics": chosen} for name in names}
        notes.append(f"{', '.join(names)}: {note}.")
    return result, notes


def _fewest_positions(spec: RoomSpec, split: SplitSpec, acoustics: Acoustics, role: str) -> int:
    """How many places of its first rooms a split needs for its sources to be far enough apart."""
    for many in (6, 8, 12, 16, 24, 32, 48, 64, 96):
        places = min(many, acoustics.positions)
        shrunk = acoustics.model_copy(update={"positions": places})
        rooms = range(min(2, acoustics.rooms))
        drawn = [shoebox.draw_source_positions(spec, shrunk, role, number)[:, :2] for number in rooms]
        if all(
            groups.has_combination(groups.are_separated(room, spec.min_distance_m), source_range(split)[1])
            for room in drawn
        ):
            return places
    return acoustics.positions


def _affordable_images(
    spec: RoomSpec, acoustics: Acoustics, role: str, least: int, budget: int
) -> tuple[Acoustics, str]:
    """As many rooms and places as can be simulated in a few seconds, with fewer reflections if that does not do."""
    microphones = spec.microphones_m().size // 2
    rooms = [shoebox.draw_room(spec, acoustics, role, number) for number in range(min(2, acoustics.rooms))]
    order = max(room.max_order for room in rooms)
    sizes = [(min(number, len(rooms)), min(max(many, least), acoustics.positions)) for number, many in _SIZES]
    chosen = next((s for s in sizes if s[0] * s[1] * microphones * image_order(order) <= budget), sizes[-1])
    changed = {"rooms": chosen[0], "positions": chosen[1]}
    note = f"{chosen[0]} of {acoustics.rooms} rooms, {chosen[1]} of {acoustics.positions} places in each"
    followed = order
    while followed > 1 and chosen[0] * chosen[1] * microphones * image_order(followed) > budget:
        followed -= 1
    if followed < order:
        changed["max_order"] = followed
        note += f", sound with {followed} reflections instead of up to {order}, so the latest reverberation is missing"
    return acoustics.model_copy(update=changed), note


def _choose_clips(spec: RecordingsSpec, clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Some clips of every split, evenly from the manifest, that still can make all of its numbers of sources."""
    kept: set[str] = set()
    for name, split in spec.resolve_splits().items():
        own = rules.clips_of_split(clips, name)
        many = CLIPS
        while many < len(own) and not _is_sufficient(spec, split, own, _spread_evenly(own, many)):
            many *= 2
        kept |= {clip.name for clip in _spread_evenly(own, many)}
    return tuple(clip for clip in clips if clip.name in kept)


def _spread_evenly(clips: Sequence[Clip], many: int) -> list[Clip]:
    rows = np.unique(np.linspace(0, len(clips) - 1, min(many, len(clips))).round().astype(int))
    return [clips[row] for row in rows.tolist()]


def _is_sufficient(spec: LocalizerSpec, split: SplitSpec, everything: Sequence[Clip], clips: Sequence[Clip]) -> bool:
    if not rules.uses_superposition(everything):
        return not rules.uses_superposition(clips)  # or recordings of one source would be superposed after all
    places = np.array([clip.positions_m[0] for clip in clips])
    return groups.has_combination(groups.are_separated(places, spec.min_distance_m), source_range(split)[1])
