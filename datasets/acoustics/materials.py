"""Absorption of surfaces by the name of their material, from the database of pyroomacoustics (after Vorländer, Auralization)."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

OCTAVES_HZ: Final = (125, 250, 500, 1000, 2000, 4000, 8000)


@functools.cache
def _read_database() -> dict[str, tuple[float, ...]]:
    """Read the energy absorption coefficients of all materials, without importing pyroomacoustics."""
    found = importlib.util.find_spec("pyroomacoustics")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("named materials need pyroomacoustics")
    path = Path(found.origin).parent / "data" / "materials.json"
    groups = json.loads(path.read_text(encoding="utf-8"))["absorption"]
    return {name: tuple(material["coeffs"]) for group in groups.values() for name, material in group.items()}


def list_materials() -> list[str]:
    """Return the names of all materials."""
    return sorted(_read_database())


def absorption_of(name: str) -> NDArray[np.float64]:
    """Return the energy absorption coefficients of a material in the octaves of `OCTAVES_HZ`; the last known one repeats.

    Raises:
        KeyError: If the material is unknown.
    """
    known = _read_database()[name]
    return np.pad(np.array(known, np.float64), (0, len(OCTAVES_HZ) - len(known)), mode="edge")


def octave_weights(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights that interpolate values in octaves, linearly over the logarithm of the frequency.

    Args:
        frequencies_hz: Frequencies, shape (frequencies,).

    Returns:
        Shape (frequencies, octaves).
    """
    octaves = np.log2(np.maximum(frequencies_hz, OCTAVES_HZ[0]) / OCTAVES_HZ[0])
    distance = np.abs(np.minimum(octaves, len(OCTAVES_HZ) - 1)[:, None] - np.arange(len(OCTAVES_HZ)))
    return np.asarray(np.maximum(1 - distance, 0.0))
