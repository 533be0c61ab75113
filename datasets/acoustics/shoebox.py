"""Shoebox rooms, and pools of source positions with impulse responses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S

SURFACES: Final = ("west", "east", "south", "north", "floor", "ceiling")
"""Walls at the lower and the upper end of x, of y and of the height."""


@dataclass(frozen=True)
class ShoeboxRoom:
    """Shoebox room with its microphones.

    Attributes:
        size_m: Width, depth and height.
        origin_m: Position of the corner (0, 0) of the area in room coordinates.
        absorption: Energy absorption coefficient of all surfaces; or of each surface in octaves, shape (6, 7), in the order of
            `SURFACES` and `materials.OCTAVES_HZ`; the air absorbs, too, then.
        max_order: Maximum reflection order.
        microphones_m: Microphone positions in room coordinates, shape (arrays, microphones, 3).
        is_hybrid: Whether the image sources end at the mixing time, followed by noise; see `datasets.acoustics.hybrid`.
    """

    size_m: tuple[float, float, float]
    origin_m: tuple[float, float]
    absorption: float | NDArray[np.float64]
    max_order: int
    microphones_m: NDArray[np.float64]
    is_hybrid: bool = False


def sabine_absorption(rt60_s: float, size_m: tuple[float, float, float]) -> tuple[float, int]:
    """Return absorption coefficient and reflection order for a reverberation time, by Sabine's formula.

    Raises:
        ValueError: If the reverberation time is too short for the size of the room.
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


def image_distance_m(size_m: tuple[float, float, float], images: int) -> float:
    """Return the distance within which a number of image sources is on average, and the direct sound in any case.

    There is one image source per volume of the room.
    """
    return max(math.cbrt(3 * images * math.prod(size_m) / (4 * math.pi)), math.hypot(*size_m))


def order_within(size_m: tuple[float, float, float], distance_m: float) -> int:
    """Return the reflection order that contains all image sources within a distance.

    An image of order n along an axis of length L is at least (n - 1) L away, and the orders along the axes add up.
    """
    return math.ceil(distance_m * math.hypot(*(1 / side for side in size_m))) + 3


def count_images(order: int) -> int:
    """Return the number of image sources of a shoebox up to a reflection order: the lattice points of an octahedron."""
    return (2 * order + 1) * (2 * order * order + 2 * order + 3) // 3


@dataclass(frozen=True)
class PositionPool:
    """Source positions with impulse responses, grouped by room.

    Attributes:
        positions_m: Positions in area coordinates, shape (positions, 2).
        first: Index of the first position of each room, followed by the number of positions; shape (rooms + 1,).
    """

    positions_m: NDArray[np.float64]
    first: NDArray[np.int64]

    def draw_positions(
        self, generator: np.random.Generator, samples: int, sources: int, min_distance_m: float
    ) -> NDArray[np.int64]:
        """Draw distinct positions of one room for each mixture, with a minimum distance to each other.

        Args:
            generator: Random generator.
            samples: Number of mixtures.
            sources: Number of sources per mixture.
            min_distance_m: Minimum distance between two sources of a mixture.

        Returns:
            Indices into the pool, shape (samples, sources).

        Raises:
            ValueError: If hardly any draw satisfies the minimum distance.
        """
        accepted = np.empty((0, sources), np.int64)
        sizes = np.diff(self.first)
        if sizes.min() < 1:
            raise ValueError("a room has no source position")
        for _ in range(1000):
            draws = max(samples, 256)
            room = generator.integers(0, len(sizes), draws)
            drawn = self.first[room, None] + (generator.random((draws, sources)) * sizes[room, None]).astype(np.int64)
            positions = self.positions_m[drawn]
            apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
            apart[:, np.arange(sources), np.arange(sources)] = np.inf
            accepted = np.concatenate([accepted, drawn[(apart >= max(min_distance_m - 1e-9, 1e-6)).all((1, 2))]])
            if len(accepted) >= samples:
                return accepted[:samples]
        raise ValueError(f"{sources} sources at least {min_distance_m} m apart are not among the positions of a room")
