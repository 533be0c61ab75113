"""Reverberant rooms of a dataset: which rooms and source positions a description draws, before any sound is simulated."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import arrays, hybrid
from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.acoustics.materials import absorption_of
from datasets.acoustics.shoebox import ShoeboxRoom, count_images, sabine_absorption
from datasets.rooms import groups
from datasets.rooms.acoustics_spec import Acoustics, SurfaceMaterials
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from datasets.rooms.split_spec import SplitSpec, source_range
from runtime.errors import InputError

POSITIONS_PER_BLOCK: Final = 25
"""Number of source positions whose impulse responses are computed together and stored in one shard."""
_SAMPLED_ROOMS: Final = 16
"""Number of rooms that estimates are made from."""
_LONGEST_S: Final = 5.0
"""Longest late reverberation; longer ones are not of rooms with surfaces of this world, and fill the memory."""
_HEARD_S: Final = 0.3
"""Part of an excerpt that is kept for the sample that is heard."""
_LATE_EFFORT: Final = 4_000
"""Number of image sources that take about as long as drawing late reverberation."""


def rir_role(split: str) -> str:
    """Return the group of splits that shares impulse responses: `train`, `validate`, or `tests` for all test splits."""
    return split if split in ("train", "validate") else "tests"


def require_rooms(spec: RoomSpec) -> None:
    """Check the rooms of a dataset: place the largest number of sources once, and draw all reverberant rooms.

    Raises:
        InputError: If a room is impossible.
    """
    try:
        spec.draw_positions(np.random.default_rng(0), 1, spec.max_sources())
    except ValueError as error:
        raise InputError(
            "dataset: size_m, raster_m, min_distance_m, clearance_m",
            "the room must hold its sources",
            value=str(error),
            remedy="make the room larger, or the raster or the distances smaller",
        ) from error
    for name, split in spec.resolve_splits().items():
        if split.acoustics is not None and split.acoustics.is_reverberant:
            for number in range(split.acoustics.rooms):
                _require_short(draw_room(spec, split.acoustics, rir_role(name), number), spec.excerpt_s)
            draw_source_positions(spec, split.acoustics, rir_role(name), 0)


def _require_short(room: ShoeboxRoom, excerpt_s: float) -> None:
    """Check that the late reverberation of a hybrid room ends within an excerpt of music, and within five seconds."""
    if not room.is_hybrid:
        return
    longest_s = min(_LONGEST_S, excerpt_s - _HEARD_S)
    if not hybrid.has_decayed(room, longest_s, hybrid.DECAY_DB):
        length_s = hybrid.late_samples(room, hybrid.DECAY_DB) / SAMPLE_RATE_HZ
        raise InputError(
            "dataset: acoustics",
            f"the reverberation must decay by {hybrid.DECAY_DB:g} dB within {longest_s:g} s, so that it fits into an excerpt",
            value=f"{length_s:.1f} s in a room of {' × '.join(f'{side:.1f}' for side in room.size_m)} m",
            remedy="choose a shorter rt60_s, more absorption, or a surface that absorbs more; or raise dataset.excerpt_s",
        )


def first_rooms(spec: RoomSpec, acoustics: Acoustics, role: str) -> list[ShoeboxRoom]:
    """Draw the rooms that estimates are made from: the first sixteen, or all of fewer."""
    return [draw_room(spec, acoustics, role, number) for number in range(min(_SAMPLED_ROOMS, acoustics.rooms))]


def longest_taps(acoustics: Acoustics, rooms: Sequence[ShoeboxRoom]) -> int:
    """Return the approximate length of the longest impulse response in some of the rooms, in samples."""
    if acoustics.method == "hybrid":
        return max(hybrid.late_samples(room, hybrid.DECAY_DB) for room in rooms)
    longest_s = acoustics.rt60_s[1] if acoustics.rt60_s is not None else 0.5
    return int(1.5 * longest_s * SAMPLE_RATE_HZ + 500)


def mean_effort(acoustics: Acoustics, rooms: Sequence[ShoeboxRoom]) -> float:
    """Return the mean cost of the impulse responses of a source position in some of the rooms, in image sources."""
    late = _LATE_EFFORT if acoustics.method == "hybrid" else 0
    return sum(count_images(room.max_order) for room in rooms) / len(rooms) + late


def fewest_positions(spec: RoomSpec, split: SplitSpec, acoustics: Acoustics, role: str) -> int:
    """Return the number of positions per room that a split needs to keep the minimum distance between its sources."""
    for many in (6, 8, 12, 16, 24, 32, 48, 64, 96):
        positions = min(many, acoustics.positions)
        shrunk = acoustics.model_copy(update={"positions": positions})
        rooms = range(min(2, acoustics.rooms))
        drawn = [draw_source_positions(spec, shrunk, role, number)[:, :2] for number in rooms]
        if all(
            groups.has_combination(groups.are_separated(room, spec.min_distance_m), source_range(split)[1])
            for room in drawn
        ):
            return positions
    return acoustics.positions


def draw_room(spec: RoomSpec, acoustics: Acoustics, role: str, number: int) -> ShoeboxRoom:
    """Draw a room of a group of splits.

    Args:
        spec: Description of the dataset.
        acoustics: Description of the rooms.
        role: Group of splits; see `rir_role`.
        number: Number of the room.

    Raises:
        InputError: If the microphones are outside the room, or its RT60 is impossible.
    """
    generator = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 3, number])
    left, right, front, back = generator.uniform(*acoustics.margin_m, 4)
    height = generator.uniform(*acoustics.height_m)
    size = (spec.size_m[0] + left + right, spec.size_m[1] + front + back, height)
    microphones = spec.microphones_m()
    heights = generator.uniform(*acoustics.array_height_m) + microphones[..., 2:].sum(axis=-1, keepdims=True)
    placed = np.concatenate([microphones[..., :2] + np.array([left, front]), heights], axis=-1)
    if acoustics.microphone_error_m:
        errors = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 8, number])
        placed = placed + errors.normal(0, acoustics.microphone_error_m, placed.shape)
    if (placed <= 0).any() or (placed >= size).any():
        raise InputError(
            "dataset: acoustics.margin_m",
            "the microphones must be inside the room",
            value=f"a wall {min(left, right, front, back):.2f} m from the area",
            remedy="raise the lower end of acoustics.margin_m, or move the arrays into the area",
        )
    absorption: float | NDArray[np.float64]
    if acoustics.materials is None:
        absorption, order = _wall_absorption(acoustics, size, generator)
    else:
        absorption, order = _draw_materials(acoustics.materials, generator), acoustics.max_order or 0
    room = ShoeboxRoom(size, (left, front), absorption, order, placed, is_hybrid=acoustics.method == "hybrid")
    return replace(room, max_order=hybrid.early_order(room)) if room.is_hybrid else room


def _draw_materials(materials: SurfaceMaterials, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the material of each surface; return their absorption as `ShoeboxRoom.absorption`."""
    choices = [materials.walls] * 4 + [materials.floor, materials.ceiling]  # in the order of SURFACES
    return np.stack([absorption_of(names[generator.integers(len(names))]) for names in choices])


def _wall_absorption(
    acoustics: Acoustics, size_m: tuple[float, float, float], generator: np.random.Generator
) -> tuple[float, int]:
    if acoustics.rt60_s is None:
        absorption, order = generator.uniform(*(acoustics.absorption or (1.0, 1.0))), 0
    else:
        try:
            absorption, order = sabine_absorption(generator.uniform(*acoustics.rt60_s), size_m)
        except ValueError as error:
            raise InputError(
                "dataset: acoustics.rt60_s",
                "the room must be able to have that reverberation time, by Sabine's formula",
                value=str(error),
                remedy="raise acoustics.rt60_s, make the room smaller, or write 0 for an anechoic room",
            ) from error
    return absorption, order if acoustics.max_order is None else acoustics.max_order


def draw_source_positions(spec: RoomSpec, acoustics: Acoustics, role: str, number: int) -> NDArray[np.float64]:
    """Draw different source positions of a room from the raster.

    Args:
        spec: Description of the dataset.
        acoustics: Description of the rooms.
        role: Group of splits; see `rir_role`.
        number: Number of the room.

    Returns:
        Area coordinates and heights in metres, shape (positions, 3).

    Raises:
        InputError: If the raster has fewer points.
    """
    generator = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 4, number])
    microphones = spec.microphones_m()[..., :2].reshape(-1, 2)
    cells = np.stack(np.meshgrid(*map(np.arange, arrays.raster_shape(spec.size_m, spec.raster_m)), indexing="ij"), -1)
    points = (cells.reshape(-1, 2) + 0.5) * spec.raster_m
    clear = points[(np.linalg.norm(points[:, None] - microphones, axis=-1) >= spec.clearance_m).all(1)]
    if len(clear) < acoustics.positions:
        raise InputError(
            "dataset: acoustics.positions",
            "the raster must have enough points away from the microphones",
            value=f"{acoustics.positions} of {len(clear)}",
            remedy="lower acoustics.positions or dataset.raster_m",
        )
    chosen = clear[generator.permutation(len(clear))[: acoustics.positions]]
    heights = generator.uniform(*acoustics.source_height_m, len(chosen))
    return np.concatenate([chosen, heights[:, None]], axis=1)


def draw_directivities(
    spec: RoomSpec, acoustics: Acoustics, role: str, number: int, positions: slice = slice(None)
) -> NDArray[np.float64] | None:
    """Draw in which direction the source at each of some positions of a room faces, and its pattern.

    Returns:
        Azimuths in degrees and patterns, shape (positions, 2); None for omnidirectional sources.
    """
    if acoustics.source_directivity is None:
        return None
    generator = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 9, number])
    azimuths = generator.uniform(0, 360, acoustics.positions)
    patterns = generator.uniform(*acoustics.source_directivity, acoustics.positions)
    return np.stack([azimuths, patterns], axis=1)[positions]


def positions_of_split(spec: MeasuredSpec, split: str, places: int) -> NDArray[np.int64]:
    """Select the measured positions of a split; training, validation and tests share none.

    Returns:
        Rows of the bank, ascending.
    """
    order = np.random.default_rng([spec.seed, 6]).permutation(places)
    tests, validate = round(places * spec.test_share), round(places * spec.validate_share)
    bounds = {"tests": (0, tests), "validate": (tests, tests + validate), "train": (tests + validate, places)}
    first, last = bounds[rir_role(split)]
    return np.sort(order[first:last])


def rooms_of_shard(number: int, shards: int, rooms: int) -> range:
    """Return the rooms of a shard: one, or as many as are needed to use every room in some shard.

    A process therefore never holds the impulse responses of all rooms.
    """
    return range(number % rooms, rooms, rooms if shards >= rooms else shards)
