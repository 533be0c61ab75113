"""What happens in each sample: who plays where, which part of which excerpt, how loud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.rooms.music import MusicExcerpts

_HOP: Final = 160
"""Excerpts are searched for audible starts every 10 ms."""


@dataclass(frozen=True)
class Mixtures:
    """A batch of samples to be rendered; slots beyond a sample's number of sources hold NaN positions and zero gains.

    Attributes:
        positions_m: Shape (samples, slots, 2).
        places: Rows of the impulse responses, where there are any; shape (samples, slots).
        counts: Sources in each sample, shape (samples,).
        excerpts: Rows of the music, shape (samples, slots).
        starts: First sample of the heard part of the excerpt, shape (samples, slots).
        gains: Linear, shape (samples, slots).
    """

    positions_m: NDArray[np.float64]
    places: NDArray[np.int64]
    counts: NDArray[np.int64]
    excerpts: NDArray[np.int64]
    starts: NDArray[np.int64]
    gains: NDArray[np.float64]


DrawPositions = Callable[[np.random.Generator, int, int], tuple[NDArray[np.float64], NDArray[np.int64]]]
"""Draws where the sources of so many samples stand, so many in each: positions in metres, shape (samples, sources, 2), and
rows of the impulse responses, shape (samples, sources)."""


def audible_starts(
    music: MusicExcerpts, rows: NDArray[np.int64], *, heard: int, lead: int, gate: float
) -> NDArray[np.int64]:
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
    pairs = []
    for row in rows:
        starts = np.arange(0, len(music.waves[row]) - heard + 1, _HOP)
        total = np.concatenate([[0.0], np.cumsum(np.abs(music.waves[row]), dtype=np.float64)])
        loud = (total[starts + lead + MIXTURE_SAMPLES] - total[starts + lead]) / MIXTURE_SAMPLES >= gate
        pairs.append(np.stack([np.full(loud.sum(), row), starts[loud]], axis=1))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def draw_mixtures(
    generator: np.random.Generator,
    samples: int,
    sources: tuple[int, int],
    place: DrawPositions,
    starts: NDArray[np.int64],
    level_db: tuple[float, float],
) -> Mixtures:
    """Draw scenes: equal shares of every number of sources, their places, audible music, one level a sample.

    Args:
        generator: The randomness.
        samples: How many.
        sources: Least and greatest number of sources; the greatest is the number of slots.
        place: Draws where they stand.
        starts: From `audible_starts`.
        level_db: Range of the levels.
    """
    low, high = sources
    counts = generator.permutation(np.resize(np.arange(low, high + 1), samples))
    positions = np.full((samples, high, 2), np.nan)
    places = np.zeros((samples, high), np.int64)
    for count in range(low, high + 1):
        rows = np.flatnonzero(counts == count)
        positions[rows, :count], places[rows, :count] = place(generator, len(rows), count)
    chosen = starts[generator.integers(0, len(starts), (samples, high))]
    level = 10 ** (generator.uniform(*level_db, samples) / 20)
    present = np.arange(high) < counts[:, None]
    return Mixtures(positions, places, counts, chosen[..., 0], chosen[..., 1], level[:, None] * present)
