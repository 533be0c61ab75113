"""Microphone arrays and source positions in the horizontal plane, in metres."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SPEED_OF_SOUND_M_S: Final = 343.0
SAMPLE_RATE_HZ: Final = 16_000
"""Sample rate of the data for the 2D localizer."""

MIXTURE_SAMPLES: Final = 2_560
"""Length of a mixture for the 2D localizer: 160 ms at 16 kHz (section III-C)."""

KINECT_OFFSETS_M: Final = (0.113, -0.036, -0.076, -0.113)
"""Microphone positions along the bar of the Kinect for Xbox 360, since none are published for the Kinect for Xbox One."""

ArrayPlacement = tuple[tuple[float, float], float]
"""Centre (x, y) of an array in metres, and direction of its bar in degrees, counter-clockwise from the x axis."""

ARRAY_LAYOUTS: Final[dict[str, tuple[ArrayPlacement, ...]]] = {
    "kinect_corners": (((0.0, 0.0), -45.0), ((6.0, 0.0), 45.0)),
    "kinect_corners_outside": (((-0.3, -0.3), -45.0), ((6.3, -0.3), 45.0)),
    "kinect_opposite_walls": (((0.0, 3.0), -90.0), ((6.0, 3.0), 90.0)),
    "kinect_adjacent_walls": (((0.0, 3.0), -90.0), ((3.0, 0.0), 0.0)),
}
"""Named array placements for a room of 6 × 6 m. Seen from the array into the room, the direction points to the right."""


def linear_array(
    centre_m: tuple[float, float], direction_deg: float, offsets_m: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the microphone positions of a linear array.

    Args:
        centre_m: Centre of the array.
        direction_deg: Direction of the bar, counter-clockwise from the x axis.
        offsets_m: Positions of the microphones along the bar.

    Returns:
        Positions in metres, shape (microphones, 2).
    """
    angle = np.deg2rad(direction_deg)
    along = np.array([np.cos(angle), np.sin(angle)])
    positions: NDArray[np.float64] = np.asarray(centre_m) + np.asarray(offsets_m)[:, None] * along
    return positions


def raster_shape(size_m: tuple[float, float], raster_m: float) -> tuple[int, int]:
    """Return the number of raster cells along x and y; sources are located at cell centres."""
    return round(size_m[0] / raster_m), round(size_m[1] / raster_m)


def draw_positions(
    generator: np.random.Generator,
    samples: int,
    sources: int,
    *,
    size_m: tuple[float, float],
    raster_m: float,
    min_distance_m: float,
    microphones_m: NDArray[np.float64],
    clearance_m: float,
) -> NDArray[np.float64]:
    """Draw source positions uniformly on the raster, with minimum distances to each other and to the microphones.

    Args:
        generator: Random generator.
        samples: Number of mixtures.
        sources: Number of sources per mixture.
        size_m: Size of the room, x by y.
        raster_m: Edge length of a raster cell; positions are cell centres (section III-A: 5 cm).
        min_distance_m: Minimum distance between two sources of a mixture.
        microphones_m: Microphone positions, shape (microphones, 2).
        clearance_m: Minimum distance between a source and a microphone.

    Returns:
        Positions, shape (samples, sources, 2).

    Raises:
        ValueError: If hardly any draw satisfies the minimum distances.
    """
    cells = np.asarray(raster_shape(size_m, raster_m))
    if cells.min() < 1:
        raise ValueError(f"a raster of {raster_m} m has no point in a room of {size_m[0]} × {size_m[1]} m")
    accepted = np.empty((0, sources, 2))
    for _ in range(1000):
        positions = (generator.integers(0, cells, (max(samples, 256), sources, 2)) + 0.5) * raster_m
        apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1) + np.where(
            np.eye(sources) > 0, np.inf, 0.0
        )
        clear = np.linalg.norm(positions[:, :, None] - microphones_m, axis=-1)
        valid = (apart >= min_distance_m - 1e-9).all((1, 2)) & (clear >= clearance_m).all((1, 2))
        accepted = np.concatenate([accepted, positions[valid]])
        if len(accepted) >= samples:
            return accepted[:samples]
    raise ValueError(
        f"{sources} sources at least {min_distance_m} m apart do not fit into {size_m[0]} × {size_m[1]} m, "
        f"{clearance_m} m from microphones"
    )
