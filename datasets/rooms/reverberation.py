"""Reverberant rooms of a dataset: which rooms and source positions a description draws, before any sound is simulated."""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import arrays
from datasets.acoustics.shoebox import ShoeboxRoom, sabine_absorption
from datasets.rooms.spec import Acoustics, MeasuredSpec, RoomSpec
from runtime.errors import InputError

POSITIONS_PER_BLOCK: Final = 25
"""Number of source positions whose impulse responses are computed together and stored in one shard."""


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
                draw_room(spec, split.acoustics, rir_role(name), number)
            draw_source_positions(spec, split.acoustics, rir_role(name), 0)


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
    if (placed <= 0).any() or (placed >= size).any():
        raise InputError(
            "dataset: acoustics.margin_m",
            "the microphones must be inside the room",
            value=f"a wall {min(left, right, front, back):.2f} m from the area",
            remedy="raise the lower end of acoustics.margin_m, or move the arrays into the area",
        )
    absorption, order = _wall_absorption(acoustics, size, generator)
    return ShoeboxRoom(size, (left, front), absorption, order, placed)


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
