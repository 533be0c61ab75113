"""Datasets of the rooms of a robustness map. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.building.spec import PROCEDURAL
from datasets.rooms.spec import RoomSpec

SEED: Final = 20_261
"""Seed of the samples: other music and other rooms than those of a training with an everyday seed."""
_MARGIN_M: Final = 0.8
"""Distance of the walls from the area and from the microphones."""
_HEIGHT_M: Final = 2.8
_ARRAY_HEIGHT_M: Final = 1.4
_PLACES: Final = 80
"""Number of source positions per reverberant room; training and validation have rooms of their own."""
_TRAINING_SAMPLES: Final = 8
"""Size of the training split, which is not used."""


def name_split(sources: int) -> str:
    """Return the name of the split of samples with a number of sources."""
    return f"sources{sources}"


def describe_rooms(
    size_m: tuple[float, float],
    microphones_m: NDArray[np.float64],
    rt60_s: float,
    sources: Sequence[int],
    samples: int,
    music: str = PROCEDURAL,
) -> RoomSpec:
    """Return the dataset of the samples of one reverberation time, without noise.

    Args:
        size_m: Size of the area of the model.
        microphones_m: Positions of its microphones, shape (arrays, microphones, 2 or 3).
        rt60_s: Reverberation time; 0 is free field.
        sources: Numbers of sources, each with a split.
        samples: Samples per split, and for validation.
        music: Folder of music, or the procedural band.
    """
    centres = microphones_m.mean(axis=1)
    flat = microphones_m[..., :2].reshape(-1, 2)
    beyond = max(0.0, float(-flat.min()), float((flat - size_m).max()))  # microphones outside of the area
    margin = _MARGIN_M + beyond
    echo: dict[str, Any] = {
        "method": "hybrid",
        "rt60_s": rt60_s,
        "rooms": 1,
        "positions": _PLACES,
        "margin_m": [margin, margin],
        "height_m": [_HEIGHT_M, _HEIGHT_M],
        "array_height_m": [_ARRAY_HEIGHT_M, _ARRAY_HEIGHT_M],
        "source_height_m": [_ARRAY_HEIGHT_M, _ARRAY_HEIGHT_M],
    }
    arrays = [
        {"centre_m": centre[:2].tolist(), "mics_m": (mics - [*centre[:2], *[0.0] * (mics.shape[1] - 2)]).tolist()}
        for centre, mics in zip(centres, microphones_m, strict=True)
    ]
    return RoomSpec.model_validate(
        {
            "size_m": list(size_m),
            "arrays": arrays,
            "min_distance_m": round(min(2.0, 0.3 * min(size_m)), 2),
            "train": _TRAINING_SAMPLES,
            "validate": samples,
            "tests": {name_split(count): {"samples": samples, "sources": [count, count]} for count in sources},
            "music": music,
            "seed": SEED,
            **({"acoustics": echo} if rt60_s > 0 else {}),
        }
    )
