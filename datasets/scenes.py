"""What happens in each sample: who plays where, which part of which excerpt, how loud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets import geometry
from datasets.geometry import SAMPLES
from datasets.library import Music
from datasets.spec import RoomSpec, TestSpec

_HOP: Final = 160
"""Excerpts are searched for audible starts every 10 ms."""


@dataclass(frozen=True)
class Scenes:
    """A batch of samples to be rendered; slots beyond a sample's number of sources hold NaN positions and zero gains.

    Attributes:
        positions_m: Shape (samples, slots, 2).
        counts: Sources in each sample, shape (samples,).
        excerpts: Rows of the music, shape (samples, slots).
        starts: First sample of the heard part of the excerpt, shape (samples, slots).
        gains: Linear, shape (samples, slots).
    """

    positions_m: NDArray[np.float64]
    counts: NDArray[np.int64]
    excerpts: NDArray[np.int64]
    starts: NDArray[np.int64]
    gains: NDArray[np.float64]


def audible_starts(music: Music, rows: NDArray[np.int64], *, heard: int, lead: int, gate: float) -> NDArray[np.int64]:
    """Where a source may start, so that the 160 ms that will be heard pass the gate (section III-A).

    Args:
        music: The excerpts.
        rows: Excerpts to consider.
        heard: Samples of an excerpt that one source uses.
        lead: Samples before the 160 ms that the arrays hear.
        gate: Least mean |x|.

    Returns:
        Pairs (row, start), shape (pairs, 2).
    """
    starts = np.arange(0, music.waves.shape[1] - heard + 1, _HOP)
    pairs = []
    for row in rows:
        total = np.concatenate([[0.0], np.cumsum(np.abs(music.waves[row]), dtype=np.float64)])
        loud = (total[starts + lead + SAMPLES] - total[starts + lead]) / SAMPLES >= gate
        pairs.append(np.stack([np.full(loud.sum(), row), starts[loud]], axis=1))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def draw(
    generator: np.random.Generator, samples: int, spec: RoomSpec, split: TestSpec, starts: NDArray[np.int64], slots: int
) -> Scenes:
    """Draw scenes: equal shares of every number of sources, positions on the raster, audible music, one level a sample.

    Args:
        generator: The randomness.
        samples: How many.
        spec: The dataset.
        split: The split they belong to.
        starts: From `audible_starts`.
        slots: Width of the result, at least the split's largest number of sources.
    """
    low, high = split.sources
    counts = generator.permutation(np.resize(np.arange(low, high + 1), samples))
    positions = np.full((samples, slots, 2), np.nan)
    for count in range(low, high + 1):
        rows = np.flatnonzero(counts == count)
        positions[rows, :count] = geometry.draw_positions(
            generator,
            len(rows),
            count,
            size_m=spec.size_m,
            raster_m=spec.raster_m,
            min_distance_m=spec.min_distance_m,
            microphones_m=spec.microphones_m().reshape(-1, 2),
            clearance_m=spec.clearance_m,
        )
    chosen = starts[generator.integers(0, len(starts), (samples, slots))]
    level = 10 ** (generator.uniform(*spec.level_db, samples) / 20)
    present = np.arange(slots) < counts[:, None]
    return Scenes(positions, counts, chosen[..., 0], chosen[..., 1], level[:, None] * present)
