"""Agreement of the order of trials at two epochs (PASHA, Bohdal et al. 2023, section 4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np

_PERCENTILE: Final = 90.0
"""Percentile of the differences between trials that change places back and forth, below which trials count as equal."""


def is_order_stable(curves: Sequence[Sequence[float]], earlier: int) -> bool:
    """Return whether the order of trials at an earlier epoch is that at the last one, up to the noise of the values.

    The trial at each place of the earlier order must differ from that at the same place of the last one by at most the noise.

    Args:
        curves: Values per epoch of each trial, all of the same length; larger is better.
        earlier: The earlier epoch, from 1.
    """
    if len(curves) < 2:
        return True
    last = [curve[-1] for curve in curves]
    noise = estimate_noise(curves)
    before = sorted(range(len(curves)), key=lambda index: -curves[index][earlier - 1])
    after = sorted(range(len(curves)), key=lambda index: -last[index])
    return all(abs(last[one] - last[other]) <= noise for one, other in zip(before, after, strict=True))


def estimate_noise(curves: Sequence[Sequence[float]]) -> float:
    """Return the noise of the values at the last epoch: a percentile over the pairs of trials that cross at least twice; or 0.

    Args:
        curves: Values per epoch of each trial, all of the same length.
    """
    differences = [
        abs(one[-1] - other[-1]) for one, other in itertools.combinations(curves, 2) if _count_crossings(one, other) > 1
    ]
    return float(np.percentile(differences, _PERCENTILE)) if differences else 0.0


def _count_crossings(one: Sequence[float], other: Sequence[float]) -> int:
    signs = [a > b for a, b in zip(one, other, strict=True) if a != b]
    return sum(a != b for a, b in itertools.pairwise(signs))
