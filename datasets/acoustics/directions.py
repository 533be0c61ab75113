"""Directions as angles and as unit vectors: x to the front, y to the left, z up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit_vectors(azimuth_deg: NDArray[Any], elevation_deg: NDArray[Any], *, axis: int = -1) -> NDArray[np.float64]:
    """Return directions as vectors (x, y, z) of length 1.

    Args:
        azimuth_deg: Azimuths, counter-clockwise from the front, degrees, any shape.
        elevation_deg: Elevations, upwards from the horizon, degrees, the same shape.
        axis: Axis of the coordinates in the result.

    Returns:
        x = cos(el) cos(az), y = cos(el) sin(az), z = sin(el), stacked along `axis`.
    """
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    horizontal = np.cos(elevation)
    return np.stack([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)], axis=axis)
