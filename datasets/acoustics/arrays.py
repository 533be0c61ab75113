"""Rooms seen from above: microphone arrays and where sources may stand. All positions are metres in the plane."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SPEED_OF_SOUND_M_S: Final = 343.0
SAMPLE_RATE_HZ: Final = 16_000
SAMPLES: Final = 2_560
"""160 ms at 16 kHz, the length of one sample of the 2D localizer (section III-C)."""

KINECT_OFFSETS_M: Final = (0.113, -0.036, -0.076, -0.113)
"""Microphones of the Kinect for Xbox 360 along its bar; stands in for the Xbox One's, of which no measurement is public."""

Placement = tuple[tuple[float, float], float]
"""Centre (x, y) in metres and the direction of the bar in degrees, counter-clockwise from the x axis."""

LAYOUTS: Final[dict[str, tuple[Placement, ...]]] = {
    "kinect_corners": (((0.0, 0.0), -45.0), ((6.0, 0.0), 45.0)),
    "kinect_corners_outside": (((-0.3, -0.3), -45.0), ((6.3, -0.3), 45.0)),
    "kinect_opposite_walls": (((0.0, 3.0), -90.0), ((6.0, 3.0), 90.0)),
    "kinect_adjacent_walls": (((0.0, 3.0), -90.0), ((3.0, 0.0), 0.0)),
}
"""Named placements for a 6 × 6 m room. The bar's direction points to the right of someone facing the room from the array."""


def linear_array(
    centre_m: tuple[float, float], direction_deg: float, offsets_m: tuple[float, ...]
) -> NDArray[np.float64]:
    """Microphones on a straight bar.

    Returns:
        Positions in metres, shape (microphones, 2).
    """
    angle = np.deg2rad(direction_deg)
    along = np.array([np.cos(angle), np.sin(angle)])
    positions: NDArray[np.float64] = np.asarray(centre_m) + np.asarray(offsets_m)[:, None] * along
    return positions


def raster_points(size_m: tuple[float, float], raster_m: float) -> tuple[int, int]:
    """How many raster cells fit along x and y; a source stands in the centre of one."""
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
    """Draw source positions uniformly on the raster, rejecting those too near each other or to a microphone.

    Args:
        generator: The randomness.
        samples: How many scenes.
        sources: How many sources in each.
        size_m: The room, x by y.
        raster_m: Edge of a raster cell; positions are cell centres (section III-A: 5 cm).
        min_distance_m: Least distance between two sources of a scene.
        microphones_m: Shape (microphones, 2).
        clearance_m: Least distance between a source and a microphone.

    Returns:
        Shape (samples, sources, 2).

    Raises:
        ValueError: If hardly any draw is accepted, so that the room cannot hold such scenes.
    """
    cells = np.asarray(raster_points(size_m, raster_m))
    if cells.min() < 1:
        raise ValueError(f"a raster of {raster_m} m has no point in a room of {size_m[0]} × {size_m[1]} m")
    accepted = np.empty((0, sources, 2))
    for _ in range(1000):
        drawn = (generator.integers(0, cells, (max(samples, 256), sources, 2)) + 0.5) * raster_m
        apart = np.linalg.norm(drawn[:, :, None] - drawn[:, None], axis=-1) + np.where(np.eye(sources) > 0, np.inf, 0.0)
        clear = np.linalg.norm(drawn[:, :, None] - microphones_m, axis=-1)
        keep = (apart >= min_distance_m - 1e-9).all((1, 2)) & (clear >= clearance_m).all((1, 2))
        accepted = np.concatenate([accepted, drawn[keep]])
        if len(accepted) >= samples:
            return accepted[:samples]
    raise ValueError(
        f"{sources} sources at least {min_distance_m} m apart do not fit into {size_m[0]} × {size_m[1]} m, "
        f"{clearance_m} m from microphones"
    )
