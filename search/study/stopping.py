"""When a trial is given up: asynchronous successive halving (Li et al. 2020), its rungs ranked by non-domination."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.study import pareto
from spaces.schema import Stopping


def rung_epochs(stopping: Stopping, epochs: int) -> tuple[int, ...]:
    """Epochs after which trials are compared: the first rung times powers of the reduction, below the full length."""
    if stopping.rule == "none":
        return ()
    found, epoch = [], stopping.first_rung
    while epoch < epochs:
        found.append(epoch)
        epoch *= stopping.reduction
    return tuple(found)


def expected_epochs(stopping: Stopping, epochs: int) -> float:
    """Epochs a trial takes on average if, at every rung, just one in the reduction goes on."""
    expected, begin = 0.0, 0
    for passed, end in enumerate([*rung_epochs(stopping, epochs), epochs]):
        expected += (end - begin) / float(stopping.reduction) ** passed
        begin = end
    return expected


def is_promoted(own: Sequence[float], others: Sequence[Sequence[float]], reduction: int) -> bool:
    """Whether a trial that reached a rung goes on.

    Args:
        own: Its gains at the rung, larger is better.
        others: Gains of the trials that reached the rung before it.
        reduction: One in so many goes on, rounded up, so that the first to arrive always does.
    """
    ranked = pareto.rank_order([*others, own])
    return ranked.index(len(others)) < math.ceil((len(others) + 1) / reduction)
