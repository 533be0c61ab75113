"""Groups of source positions that are far enough apart to be superposed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 1_000
_ROUNDING_M = 1e-9


def are_separated(positions_m: NDArray[np.float64], min_distance_m: float) -> NDArray[np.bool_]:
    """Determine the pairs of positions that may be superposed: different ones, at least a distance apart.

    Args:
        positions_m: Positions in metres, shape (positions, 2).
        min_distance_m: Minimum distance, in metres.

    Returns:
        Symmetric matrix, shape (positions, positions).
    """
    distance = np.linalg.norm(positions_m[:, None] - positions_m, axis=-1)
    allowed: NDArray[np.bool_] = (distance >= min_distance_m - _ROUNDING_M) & (distance > _ROUNDING_M)
    return allowed


def has_combination(allowed: NDArray[np.bool_], count: int) -> bool:
    """Return whether a group of `count` positions exists in which every pair is allowed."""
    if count == 1:
        return len(allowed) > 0
    later = np.triu(allowed)  # every group is examined once, in the order of its members
    return any(has_combination(allowed[np.ix_(row, row)], count - 1) for row in later if row.sum() >= count - 1)


def draw_groups(
    generator: np.random.Generator, samples: int, allowed: NDArray[np.bool_], count: int
) -> NDArray[np.int64]:
    """Draw groups uniformly from all allowed ones.

    The first two members are drawn from all allowed pairs, the others from all positions; a group that is not allowed
    is drawn again.

    Args:
        generator: Random generator.
        samples: Number of groups.
        allowed: Result of `are_separated`.
        count: Number of positions per group.

    Returns:
        Shape (samples, count).

    Raises:
        ValueError: If hardly any group is allowed.
    """
    if count == 1:
        return generator.integers(0, len(allowed), (samples, 1))
    pairs = np.argwhere(allowed)
    found = np.empty((0, count), np.int64)
    for _ in range(_ROUNDS if len(pairs) else 0):
        tries = max(2 * samples, 1_024)
        pair = pairs[generator.integers(0, len(pairs), tries)]
        drawn = np.concatenate([pair, generator.integers(0, len(allowed), (tries, count - 2))], axis=1)
        mutual = allowed[drawn[:, :, None], drawn[:, None]] | np.eye(count, dtype=bool)
        found = np.concatenate([found, drawn[mutual.all((1, 2))]])
        if len(found) >= samples:
            return found[:samples]
    raise ValueError(f"hardly any {count} of the {len(allowed)} recorded positions are far enough apart")
