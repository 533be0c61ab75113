"""Asynchronous successive halving (ASHA, Li et al. 2020), with trials at a rung ranked by non-domination."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.study import pareto
from spaces.schema import Stopping


def rung_epochs(stopping: Stopping, epochs: int) -> tuple[int, ...]:
    """Return the epochs after which trials are compared: the first rung times powers of the reduction, below `epochs`."""
    if stopping.rule == "none":
        return ()
    rungs, epoch = [], stopping.first_rung
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= stopping.reduction
    return tuple(rungs)


def expected_epochs(stopping: Stopping, epochs: int) -> float:
    """Return the mean number of epochs per trial if every rung promotes exactly one in `stopping.reduction` trials."""
    expected, begin = 0.0, 0
    for passed, end in enumerate([*rung_epochs(stopping, epochs), epochs]):
        expected += (end - begin) / float(stopping.reduction) ** passed
        begin = end
    return expected


def is_promoted(own: Sequence[float], others: Sequence[Sequence[float]], reduction: int) -> bool:
    """Return whether a trial that reached a rung continues.

    Args:
        own: Objective values of the trial at the rung; larger is better.
        others: Objective values of the trials that reached the rung earlier.
        reduction: Inverse of the fraction that continues. The quota is rounded up, so the first arrival always continues.
    """
    ranked = pareto.rank_order([*others, own])
    return ranked.index(len(others)) < math.ceil((len(others) + 1) / reduction)
