"""Sources of the noise of a split: drawn, or cut from a recording."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.noise import DrawNoise, noise_source
from datasets.rooms.recorded_noise import RECORDED, read_section
from datasets.rooms.spec import LocalizerSpec
from runtime.uris import expand_home


def open_noise(spec: LocalizerSpec, split: str, microphones_m: NDArray[np.float64]) -> DrawNoise:
    """Return the source of the noise of a split.

    Args:
        spec: Description of the dataset.
        split: Name of the split.
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).
    """
    kind = spec.resolve_splits()[split].noise or spec.noise
    if kind != RECORDED or spec.noise_file is None:
        return noise_source(kind, microphones_m)
    arrays, microphones = microphones_m.shape[:2]
    recorded = read_section(expand_home(spec.noise_file), split, arrays, microphones)
    return functools.partial(_cut_noise, recorded=recorded)


def _cut_noise(
    generator: np.random.Generator, shape: tuple[int, ...], recorded: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cut noise at random times, the same time for all microphones, so that it keeps its directions."""
    samples, time = shape[0], shape[-1]
    starts = generator.integers(recorded.shape[-1] - time + 1, size=samples)
    return np.stack([recorded[..., start : start + time] for start in starts])
