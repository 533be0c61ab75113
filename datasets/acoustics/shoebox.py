"""Rooms that echo: which rooms and places a spec draws, before any sound. The image source method itself is pyroomacoustics'."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import arrays
from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from datasets.rooms.spec import Acoustics, MeasuredSpec, RoomSpec
from runtime.errors import InputError

BLOCK: Final = 25
"""Places whose impulse responses are made in one go."""


@dataclass(frozen=True)
class ShoeboxRoom:
    """One shoebox.

    Attributes:
        size_m: Width, depth and height.
        origin_m: Where the area's corner (0, 0) lies in it.
        absorption: Of the energy, on all surfaces.
        max_order: Reflections that are followed.
        microphones_m: In room coordinates, shape (arrays, microphones, 3).
    """

    size_m: tuple[float, float, float]
    origin_m: tuple[float, float]
    absorption: float
    max_order: int
    microphones_m: NDArray[np.float64]


def rir_role(split: str) -> str:
    """Who shares impulse responses: all test sets do, training and validation have their own."""
    return split if split in ("train", "validate") else "tests"


def sabine_absorption(rt60_s: float, size_m: tuple[float, float, float]) -> tuple[float, int]:
    """Absorption and number of reflections for a reverberation time, by Sabine's formula.

    Raises:
        ValueError: If the room is too large to be so dry.
    """
    width, depth, height = size_m
    surface = 2 * (width * depth + width * height + depth * height)
    absorption = 24 * math.log(10) / SPEED_OF_SOUND_M_S * width * depth * height / (surface * rt60_s)
    if absorption > 1:
        least = rt60_s * absorption
        raise ValueError(
            f"a room of {width:.1f} × {depth:.1f} × {height:.1f} m cannot have an RT60 below {least:.2f} s"
        )
    inscribed = min(a * b / math.hypot(a, b) for a, b in combinations(size_m, 2))
    return absorption, math.ceil(SPEED_OF_SOUND_M_S * rt60_s / inscribed - 1)


def draw_room(spec: RoomSpec, acoustics: Acoustics, role: str, number: int) -> ShoeboxRoom:
    """Draw one of the rooms of a split.

    Raises:
        InputError: If the microphones do not fit into it, or its RT60 is impossible.
    """
    generator = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 3, number])
    left, right, front, back = generator.uniform(*acoustics.margin_m, 4)
    height = generator.uniform(*acoustics.height_m)
    size = (spec.size_m[0] + left + right, spec.size_m[1] + front + back, height)
    microphones = spec.microphones_m() + np.array([left, front])
    raised = np.full((*microphones.shape[:2], 1), generator.uniform(*acoustics.array_height_m))
    placed = np.concatenate([microphones, raised], axis=-1)
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
                remedy="raise acoustics.rt60_s, make the room smaller, or write 0 for no echo",
            ) from error
    return absorption, order if acoustics.max_order is None else acoustics.max_order


def draw_source_positions(spec: RoomSpec, acoustics: Acoustics, role: str, number: int) -> NDArray[np.float64]:
    """Draw where sources stand in a room: on the raster, no two at the same place.

    Returns:
        Area coordinates and height, shape (positions, 3).

    Raises:
        InputError: If the raster has not so many places.
    """
    generator = np.random.default_rng([spec.seed, zlib.crc32(role.encode()), 4, number])
    microphones = spec.microphones_m().reshape(-1, 2)
    cells = np.stack(np.meshgrid(*map(np.arange, arrays.raster_points(spec.size_m, spec.raster_m)), indexing="ij"), -1)
    points = (cells.reshape(-1, 2) + 0.5) * spec.raster_m
    clear = points[(np.linalg.norm(points[:, None] - microphones, axis=-1) >= spec.clearance_m).all(1)]
    if len(clear) < acoustics.positions:
        raise InputError(
            "dataset: acoustics.positions",
            "the raster must have so many places away from the microphones",
            value=f"{acoustics.positions} of {len(clear)}",
            remedy="lower acoustics.positions or dataset.raster_m",
        )
    chosen = clear[generator.permutation(len(clear))[: acoustics.positions]]
    heights = generator.uniform(*acoustics.source_height_m, len(chosen))
    return np.concatenate([chosen, heights[:, None]], axis=1)


def positions_of_split(spec: MeasuredSpec, split: str, places: int) -> NDArray[np.int64]:
    """Which of the measured places a split may use; training, validation and tests share none.

    Returns:
        Rows of the bank, ascending.
    """
    order = np.random.default_rng([spec.seed, 6]).permutation(places)
    tests, validate = round(places * spec.test_share), round(places * spec.validate_share)
    bounds = {"tests": (0, tests), "validate": (tests, tests + validate), "train": (tests + validate, places)}
    first, last = bounds[rir_role(split)]
    return np.sort(order[first:last])


def rooms_of_shard(number: int, shards: int, rooms: int) -> range:
    """Which rooms a shard uses: one, or as many as are needed for every room to be in some shard.

    A process then never holds the impulse responses of all rooms at once.
    """
    return range(number % rooms, rooms, rooms if shards >= rooms else shards)


@dataclass(frozen=True)
class PositionPool:
    """Places with impulse responses, room by room.

    Attributes:
        positions_m: In area coordinates, shape (places, 2).
        first: Index of each room's first place, and at the end their number; shape (rooms + 1,).
    """

    positions_m: NDArray[np.float64]
    first: NDArray[np.int64]

    def draw_positions(
        self, generator: np.random.Generator, samples: int, sources: int, min_distance_m: float
    ) -> NDArray[np.int64]:
        """Draw places for scenes: one room a scene, different places, at least a distance apart.

        Returns:
            Rows of the pool, shape (samples, sources).

        Raises:
            ValueError: If hardly any draw is accepted.
        """
        accepted = np.empty((0, sources), np.int64)
        sizes = np.diff(self.first)
        if sizes.min() < 1:
            raise ValueError("a room has no place")
        for _ in range(1000):
            many = max(samples, 256)
            room = generator.integers(0, len(sizes), many)
            drawn = self.first[room, None] + (generator.random((many, sources)) * sizes[room, None]).astype(np.int64)
            where = self.positions_m[drawn]
            apart = np.linalg.norm(where[:, :, None] - where[:, None], axis=-1)
            apart[:, np.arange(sources), np.arange(sources)] = np.inf
            accepted = np.concatenate([accepted, drawn[(apart >= max(min_distance_m - 1e-9, 1e-6)).all((1, 2))]])
            if len(accepted) >= samples:
                return accepted[:samples]
        raise ValueError(f"{sources} sources at least {min_distance_m} m apart are not among the places of a room")
