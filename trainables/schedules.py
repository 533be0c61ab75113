"""Learning-rate schedules."""

from __future__ import annotations

import math
from typing import Final

_WARM_UP: Final = 0.15
"""Fraction of a one-cycle training in which the learning rate rises."""


def rate_factor(schedule: str, progress: float) -> float:
    """Return the factor of the learning rate at a point of the training.

    Args:
        schedule: `constant`, `cosine` or `one_cycle`.
        progress: Completed fraction of the training, from 0 to 1.
    """
    progress = min(progress, 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * progress)
    if progress < _WARM_UP:
        return 0.1 + 0.9 * progress / _WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))
