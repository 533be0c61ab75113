"""Microphone arrays, and source positions in the horizontal plane, in metres.

Positions of microphones have two columns if all of them are at the height of the sources, and otherwise a third one: the height
above that plane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def _circle(radius_m: float, *angles_deg: float) -> tuple[tuple[float, float], ...]:
    return tuple(
        (round(radius_m * math.cos(math.radians(a)), 6), round(radius_m * math.sin(math.radians(a)), 6))
        for a in angles_deg
    )


def _sphere(radius_m: float, *directions_deg: tuple[float, float]) -> tuple[tuple[float, float, float], ...]:
    """Return points on a sphere in directions given by azimuth and elevation."""
    points = []
    for azimuth, elevation in np.deg2rad(directions_deg):
        flat = radius_m * math.cos(elevation)
        place = (flat * math.cos(azimuth), flat * math.sin(azimuth), radius_m * math.sin(elevation))
        points.append((round(place[0], 6), round(place[1], 6), round(place[2], 6)))
    return tuple(points)


_LEAST_PATH_M: Final = SPEED_OF_SOUND_M_S / SAMPLE_RATE_HZ / 10
"""Path of sound in a tenth of a sample."""
_FLAT_M: Final = 1e-3
"""Distance from a line below which microphones are on it."""
_TETRAHEDRON_DEG: Final = ((45.0, 35.0), (-45.0, -35.0), (135.0, -35.0), (-135.0, 35.0))
_UMA_16_ROWS_M: Final = (-0.063, -0.021, 0.021, 0.063)

MICROPHONE_ARRAYS: Final[dict[str, tuple[tuple[float, ...], ...]]] = {
    "kinect": tuple((offset, 0.0) for offset in KINECT_OFFSETS_M),
    "respeaker_4": _circle(0.032, 180, -90, 0, 90),
    "respeaker_6": _circle(0.0463, 120, 180, -120, -60, 0, 60),
    "uma_8": ((0.0, 0.0), *_circle(0.043, 90, 30, -30, -90, -150, 150)),
    "uma_16": (
        *((x, y) for y in _UMA_16_ROWS_M for x in (0.021, 0.063)),
        *((x, y) for y in reversed(_UMA_16_ROWS_M) for x in (-0.063, -0.021)),
    ),
    "eigenmike_4": _sphere(0.042, *_TETRAHEDRON_DEG),
    "tetrahedron": _sphere(0.05, *_TETRAHEDRON_DEG),
}
"""Microphones of common arrays relative to their centre, in metres and in the order of their channels.

Sources: KINECT_OFFSETS_M; ReSpeaker USB Mic Array v2.0, ReSpeaker 6-Mic Circular Array and miniDSP UMA-8: configurations of ODAS
(Grondin et al. 2022); miniDSP UMA-16: Acoular; Eigenmike: the four microphones of TAU-NIGENS Spatial Sound Events 2020, without
the rigid sphere.
"""


def place_array(
    centre_m: tuple[float, float], direction_deg: float, microphones_m: Sequence[Sequence[float]]
) -> NDArray[np.float64]:
    """Return the microphone positions of an array.

    Args:
        centre_m: Centre of the array.
        direction_deg: Direction of its x axis, counter-clockwise from that of the area.
        microphones_m: Microphones relative to the centre, each with two coordinates, or with a height as a third.

    Returns:
        Positions in metres, shape (microphones, 3); heights are relative to the sources.
    """
    angle = np.deg2rad(direction_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    own = np.array([[*point, 0.0][:3] for point in microphones_m], np.float64)
    turned = own[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turned + np.asarray(centre_m), own[:, 2]])


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


def describe_ambiguities(size_m: tuple[float, float], microphones_m: NDArray[np.float64]) -> list[str]:
    """Return sentences about positions in an area that the delays between microphones cannot tell apart.

    The wavefront of a source at distance r bends by a² / 8r over an aperture a. Where that is less than the path of a tenth of a
    sample, the delays determine the direction of the source only.

    Args:
        size_m: Size of the area, x by y.
        microphones_m: Microphone positions, shape (arrays, microphones, 2 or 3).
    """
    every = microphones_m.reshape(-1, microphones_m.shape[-1])
    corners = np.array([(x, y) for x in (0.0, size_m[0]) for y in (0.0, size_m[1])])
    centre = every.mean(axis=0)
    aperture = float(np.linalg.norm(every[:, None] - every, axis=-1).max())
    reach = aperture**2 / (8 * _LEAST_PATH_M)
    sentences = []
    if reach < float(np.linalg.norm(corners - centre[:2], axis=-1).max()):
        sentences.append(
            f"all microphones are within {aperture:.2g} m: beyond {reach:.1g} m "
            "they tell the direction of a source, hardly its distance"
        )
    _, spread, axes = np.linalg.svd(every - centre, full_matrices=True)
    if len(spread) < 2 or spread[1] < _FLAT_M:
        side = (corners - centre[:2]) @ np.array([-axes[0, 1], axes[0, 0]])
        if side.min() < -_FLAT_M and side.max() > _FLAT_M:
            sentences.append("all microphones are on a line: sources on its two sides cannot be told apart")
    return sentences


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
        microphones_m: Microphone positions in the plane, shape (microphones, 2).
        clearance_m: Minimum horizontal distance between a source and a microphone.

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
