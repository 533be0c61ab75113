"""Distance matrices of random directions and their optimal associations, the data of the Hungarian network.

Source: Adavanne et al. 2021, section IV-A, and the authors' published programs for what the paper does not state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int8
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from datasets.acoustics.directions import unit_vectors
from runtime.errors import InputError
from trainables.hnet.config import Padding, Permutation

RESOLUTIONS_DEG: Final = (1, 2, 3, 4, 5, 10, 15, 20, 30)
"""Spacings of the grids that directions are drawn from, in degrees; all divide 180."""

SOURCES: Final = (2, 7)
"""Smallest and largest number of sources; directions of a matrix differ in elevation, and the coarsest grid has seven."""

_FAR: Final = 10.0
"""Coordinates of missing sources with constant padding."""
_RANDOM_RANGE: Final = 100.0
"""Largest magnitude of their coordinates with random padding."""


@dataclass(frozen=True)
class Matrices:
    """Distance matrices and their associations; rows are references, columns are predictions.

    Attributes:
        distances: Euclidean distances between unit vectors (0 to 2) or to a missing source (mostly far more).
        associations: Whether reference and prediction are associated.
        references: Number of real references per matrix.
        predictions: Number of real predictions per matrix.
    """

    distances: Float32[np.ndarray, "n rows columns"]
    associations: Bool[np.ndarray, "n rows columns"]
    references: Int8[np.ndarray, "n"]
    predictions: Int8[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.distances)


def count_pairs(max_sources: int, largest: int) -> dict[tuple[int, int], int]:
    """Return the number of matrices to draw, by number of references and of predictions.

    With k = min(references, predictions), 2 (N - k) + 1 combinations share `largest` matrices: all numbers of
    associations are equally frequent, up to rounding. For N = 2 and 15 000 these are the authors' 3000, 5000 and 15 000.

    Args:
        max_sources: Number of rows and columns N.
        largest: Number of matrices with N references and N predictions.

    Raises:
        InputError: If N is not 2 … 7.
    """
    if not SOURCES[0] <= max_sources <= SOURCES[1]:
        raise InputError(
            "max_sources",
            f"must lie in {SOURCES[0]} … {SOURCES[1]}",
            value=max_sources,
            remedy="a grid of 30° has seven elevations, and no two sources of a matrix share one",
        )
    numbers = range(max_sources + 1)
    return {(r, p): round(largest / (2 * (max_sources - min(r, p)) + 1)) for r in numbers for p in numbers}


def draw_matrices(
    max_sources: int, largest: int, generator: np.random.Generator, *, padding: Padding = "mixed"
) -> Matrices:
    """Draw a set of matrices, ordered by resolution and combination; shuffle it before training.

    Args:
        max_sources: Number of rows and columns N of each matrix.
        largest: Number of matrices per resolution with N references and N predictions; `count_pairs` gives the others.
        generator: Generator of all random numbers.
        padding: Positions of missing sources.

    Raises:
        InputError: If N is not 2 … 7.
    """
    counts = count_pairs(max_sources, largest)
    pairs = np.array(list(counts), np.int8).repeat(list(counts.values()), axis=0)
    parts = [_draw_resolution(step, pairs, max_sources, generator, padding) for step in RESOLUTIONS_DEG]
    references, predictions = np.tile(pairs, (len(RESOLUTIONS_DEG), 1)).T
    return Matrices(
        np.concatenate([distances for distances, _ in parts]),
        np.concatenate([associations for _, associations in parts]),
        references,
        predictions,
    )


def _draw_resolution(
    step_deg: int, pairs: Int8[np.ndarray, "n 2"], slots: int, generator: np.random.Generator, padding: Padding
) -> tuple[Float32[np.ndarray, "n rows columns"], Bool[np.ndarray, "n rows columns"]]:
    constant = _constant_padding(len(pairs), generator, padding)
    sides = []
    for present in pairs.T:
        vectors = draw_directions(step_deg, len(pairs), slots, generator)
        sides.append(np.where(np.arange(slots) < present[:, None], vectors, _missing_rows(constant, slots, generator)))
    x, y, z = (
        np.square(reference[:, :, None] - prediction[:, None]) for reference, prediction in zip(*sides, strict=True)
    )
    exact = np.sqrt(x + y + z)
    # Associations precede rounding to single precision, which would turn small differences into ties.
    return permute_rows(
        exact.astype(np.float32), hungarian_association(exact, pairs[:, 0], pairs[:, 1]), generator, "either"
    )


def draw_directions(
    step_deg: int, samples: int, slots: int, generator: np.random.Generator
) -> Float[np.ndarray, "3 samples slots"]:
    """Draw directions on a grid of azimuths from -180° and elevations from -90° to 90°.

    Within a sample, all azimuths differ and all elevations differ; azimuths and elevations are independent of each other.

    Args:
        step_deg: Spacing of the grid, in degrees.
        samples: Number of sets of directions.
        slots: Number of directions per set.
        generator: Generator of the random numbers.

    Returns:
        Unit vectors with the coordinates on the first axis.
    """
    azimuth_deg = -180.0 + step_deg * _distinct_integers(360 // step_deg, samples, slots, generator)
    elevation_deg = -90.0 + step_deg * _distinct_integers(180 // step_deg + 1, samples, slots, generator)
    return unit_vectors(azimuth_deg, elevation_deg, axis=0)


def _distinct_integers(
    pool: int, samples: int, slots: int, generator: np.random.Generator
) -> Int[np.ndarray, "samples slots"]:
    """Draw integers below `pool` without replacement within a sample; all orders are equally likely."""
    drawn = np.empty((slots, samples), np.int64)
    for slot in range(slots):
        # The rank among the unused integers; stepping over the used ones in ascending order gives the integer itself.
        value = generator.integers(pool - slot, size=samples)
        for used in np.sort(drawn[:slot], axis=0):
            value += value >= used
        drawn[slot] = value
    return drawn.T


def _constant_padding(samples: int, generator: np.random.Generator, padding: Padding) -> Bool[np.ndarray, "samples"]:
    if padding == "mixed":
        return generator.random(samples) < 0.5
    return np.full(samples, padding == "constant")


def _missing_rows(
    constant: Bool[np.ndarray, "samples"], slots: int, generator: np.random.Generator
) -> Float[np.ndarray, "3 samples slots"]:
    """Return positions of missing sources: (10, 10, 10), or random within ±100 but with no coordinate within ±1.

    Two missing sources at (10, 10, 10) have a distance of exactly 0, so not every small distance is an association.
    """
    random = generator.uniform(-_RANDOM_RANGE, _RANDOM_RANGE, (3, len(constant), slots))
    return np.where(constant[:, None] | (np.abs(random) <= 1), _FAR, random)


def hungarian_association(
    distances: Float[np.ndarray, "n rows columns"], references: Int[np.ndarray, "n"], predictions: Int[np.ndarray, "n"]
) -> Bool[np.ndarray, "n rows columns"]:
    """Return the one-to-one association of least total distance among the real sources (Kuhn 1955).

    Args:
        distances: Distances, with the real sources first in rows and columns.
        references: Number of real rows per matrix.
        predictions: Number of real columns per matrix.
    """
    result = np.zeros(distances.shape, bool)
    for rows, columns in np.unique(np.stack([references, predictions], axis=1), axis=0):
        chosen = np.flatnonzero((references == rows) & (predictions == columns))
        if rows and columns:
            result[chosen, :rows, :columns] = _optimal_assignment(distances[chosen, :rows, :columns])
    return result


def _optimal_assignment(corner: Float[np.ndarray, "n rows columns"]) -> Bool[np.ndarray, "n rows columns"]:
    samples, rows, columns = corner.shape
    if min(rows, columns) == 1:
        nearest = corner.reshape(samples, -1).argmin(axis=1)
        single: NDArray[np.bool_] = np.arange(rows * columns) == nearest[:, None]
        return single.reshape(corner.shape)
    if rows == columns == 2:
        straight = corner[:, 0, 0] + corner[:, 1, 1] <= corner[:, 0, 1] + corner[:, 1, 0]
        both: NDArray[np.bool_] = np.eye(2, dtype=bool) == straight[:, None, None]
        return both
    result = np.zeros(corner.shape, bool)
    for costs, association in zip(corner, result, strict=True):
        association[linear_sum_assignment(costs)] = True
    return result


def permute_rows(
    distances: Float32[np.ndarray, "n rows columns"],
    associations: Bool[np.ndarray, "n rows columns"],
    generator: np.random.Generator,
    which: Permutation,
) -> tuple[Float32[np.ndarray, "n rows columns"], Bool[np.ndarray, "n rows columns"]]:
    """Reorder each matrix and its associations by the same random permutations.

    Args:
        distances: Matrices; not modified.
        associations: Their associations; not modified.
        generator: Generator of the permutations.
        which: Reordered axes; `either` selects rows or columns of each matrix by a fair coin, as the authors do when they
            draw one.

    Returns:
        Reordered distances and associations.
    """
    coin = generator.random(len(distances)) < 0.5 if which == "either" else None
    for axis, name in ((1, "rows"), (2, "columns")):
        if which not in (name, "either", "both"):
            continue
        order = generator.permuted(np.tile(np.arange(distances.shape[axis]), (len(distances), 1)), axis=1)
        if coin is not None:
            order = np.where((coin if axis == 1 else ~coin)[:, None], order, np.arange(distances.shape[axis]))
        order = np.expand_dims(order, 3 - axis)
        distances, associations = (np.take_along_axis(array, order, axis) for array in (distances, associations))
    return distances, associations
