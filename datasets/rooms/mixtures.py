"""Random draws of mixtures: source positions, excerpts of music and levels of each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.rooms.music import MusicExcerpts

_HOP: Final = 160
"""Distance between the starts in an excerpt that are considered, in samples: 10 ms."""


@dataclass(frozen=True)
class Mixtures:
    """Batch of mixtures to be rendered; slots beyond the number of sources hold NaN positions and gains of zero.

    Attributes:
        positions_m: Source positions in metres, shape (samples, slots, 2).
        places: Rows of the impulse responses, if there are any, shape (samples, slots).
        counts: Number of sources, shape (samples,).
        excerpts: Rows of the excerpts, shape (samples, slots).
        starts: First sample of the part of the excerpt that is used, shape (samples, slots).
        gains: Linear gains, shape (samples, slots).
    """

    positions_m: NDArray[np.float64]
    places: NDArray[np.int64]
    counts: NDArray[np.int64]
    excerpts: NDArray[np.int64]
    starts: NDArray[np.int64]
    gains: NDArray[np.float64]


DrawPositions = Callable[[np.random.Generator, int, int], tuple[NDArray[np.float64], NDArray[np.int64]]]
"""Draws source positions from a generator, a number of samples and a number of sources per sample. Returns positions in metres,
shape (samples, sources, 2), and rows of the impulse responses, shape (samples, sources)."""


def audible_starts(
    music: MusicExcerpts, rows: NDArray[np.int64], *, heard: int, lead: int, gate: float
) -> NDArray[np.int64]:
    """Find the starts in the excerpts whose audible 160 ms pass the gate (section III-A).

    Args:
        music: Excerpts of music.
        rows: Rows of the excerpts to be considered.
        heard: Number of samples of an excerpt that a source uses.
        lead: Number of these samples before the 160 ms that reach the arrays.
        gate: Minimum mean |x| of the 160 ms.

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
    draw_positions: DrawPositions,
    starts: NDArray[np.int64],
    level_db: tuple[float, float],
) -> Mixtures:
    """Draw mixtures: each number of sources in equal shares, positions, audible music, and one level per sample.

    Args:
        generator: Random generator.
        samples: Number of samples.
        sources: Smallest and largest number of sources; the largest is the number of slots.
        draw_positions: Draws the source positions.
        starts: Result of `audible_starts`.
        level_db: Range of the levels, in dB.
    """
    low, high = sources
    counts = generator.permutation(np.resize(np.arange(low, high + 1), samples))
    positions = np.full((samples, high, 2), np.nan)
    places = np.zeros((samples, high), np.int64)
    for count in range(low, high + 1):
        rows = np.flatnonzero(counts == count)
        positions[rows, :count], places[rows, :count] = draw_positions(generator, len(rows), count)
    chosen = starts[generator.integers(0, len(starts), (samples, high))]
    level = 10 ** (generator.uniform(*level_db, samples) / 20)
    present = np.arange(high) < counts[:, None]
    return Mixtures(positions, places, counts, chosen[..., 0], chosen[..., 1], level[:, None] * present)
