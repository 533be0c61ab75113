"""Statistics of replays: curves with intervals, epochs to a target, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency.simulator import Trace, value_at
from benchmarks.efficiency.tasks.base import Scale

BUDGETS: Final = (50, 100, 200, 400, 800)
SHARES: Final = (0.01, 0.05, 0.1)
"""Distances from the best value, as shares of the range from a typical random configuration to the best."""
_RESAMPLES: Final = 1000
_POINTS: Final = 40

Traces = Mapping[int, Trace]
"""Traces of a method by seed."""


@dataclass(frozen=True)
class Curve:
    """Best-so-far true values.

    Attributes:
        positions: Epochs or seconds.
        median: Medians over the seeds.
        low: Lower ends of their 95 % bootstrap intervals.
        high: Upper ends.
    """

    positions: list[float]
    median: list[float]
    low: list[float]
    high: list[float]


def make_grid(end: float, begin: float = 1.0) -> list[float]:
    """Return logarithmically spaced positions with `end` as the last one."""
    return [float(position) for position in np.geomspace(begin, end, _POINTS)]


def values_on_grid(traces: Traces, grid: Sequence[float], *, in_seconds: bool) -> NDArray[np.float64]:
    """Return the true values of the incumbents, shape (seeds, positions); NaN before the first result."""
    rows = [
        [value_at(trace.seconds if in_seconds else trace.epochs, trace.true, position) for position in grid]
        for trace in traces.values()
    ]
    return np.array(rows, dtype=np.float64)


def make_curve(traces: Traces, grid: Sequence[float], *, in_seconds: bool = False) -> Curve:
    """Return the medians over the seeds with bootstrap intervals, where all seeds have a result."""
    values = values_on_grid(traces, grid, in_seconds=in_seconds)
    defined = np.flatnonzero(~np.isnan(values).any(axis=0)).tolist()
    values, positions = values[:, defined], [grid[index] for index in defined]
    chosen = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[chosen], axis=1), (2.5, 97.5), axis=0)
    return Curve(positions, np.median(values, axis=0).tolist(), low.tolist(), high.tolist())


def epochs_to(trace: Trace, target: float) -> float:
    """Return the epochs after which the incumbent's true value reached a target for the first time; infinity if never."""
    return next((float(e) for e, true in zip(trace.epochs, trace.true, strict=True) if true >= target), math.inf)


def summarise_target(traces: Traces, target: float) -> dict[str, float | None]:
    """Return the quartiles of the epochs to a target, None where it is not reached, and the share of seeds that reach it."""
    epochs = sorted(epochs_to(trace, target) for trace in traces.values())
    # "higher" interpolates no infinite value
    quartiles = [float(np.percentile(epochs, share, method="higher")) for share in (25, 50, 75)]
    names = ("low", "median", "high")
    summary: dict[str, float | None] = {
        n: q if math.isfinite(q) else None for n, q in zip(names, quartiles, strict=True)
    }
    summary["reached"] = sum(map(math.isfinite, epochs)) / len(epochs)
    return summary


def compare_paired(traces: Traces, peer: Traces, budget: int) -> dict[str, float | int]:
    """Return the mean difference of a method from a peer on the same seeds, with its standard error.

    Args:
        traces: Traces of the method.
        peer: Traces of the peer.
        budget: Number of epochs.
    """
    differences = [
        value_at(traces[seed].epochs, traces[seed].true, budget) - value_at(peer[seed].epochs, peer[seed].true, budget)
        for seed in sorted(traces.keys() & peer.keys())
    ]
    defined = [difference for difference in differences if not math.isnan(difference)]
    error = float(np.std(defined, ddof=1)) / math.sqrt(len(defined)) if len(defined) > 1 else math.nan
    return {"difference": float(np.mean(defined)) if defined else math.nan, "error": error, "seeds": len(defined)}


def summarise_method(traces: Traces, scale: Scale, budget: int) -> dict[str, Any]:
    """Return all statistics of a method on a task with a number of workers.

    Args:
        traces: Its traces by seed.
        scale: Values of the task to compare with.
        budget: Number of epochs of the replays.
    """
    seconds = min(trace.total_seconds for trace in traces.values())
    asks = np.array([second for trace in traces.values() for second in trace.ask_seconds])
    epochs = sum(trace.total_epochs for trace in traces.values())
    at = {b: values_on_grid(traces, [b], in_seconds=False)[:, 0] for b in (*(b for b in BUDGETS if b < budget), budget)}
    return {
        "seeds": len(traces),
        "epochs": vars(make_curve(traces, make_grid(budget))),
        "seconds": vars(make_curve(traces, make_grid(seconds, seconds / 500), in_seconds=True)),
        "epochs_to": {str(share): summarise_target(traces, scale.threshold(share)) for share in SHARES},
        "values": {str(b): _quartiles(values) for b, values in at.items()},
        "trials": float(np.median([trace.trials for trace in traces.values()])),
        "proposal_ms": {"median": 1e3 * float(np.median(asks)), "p90": 1e3 * float(np.percentile(asks, 90))},
        "epoch_ms": 1e3 * sum(trace.tell_seconds for trace in traces.values()) / epochs,
    }


def _quartiles(values: NDArray[np.float64]) -> dict[str, float]:
    low, median, high = np.nanpercentile(values, (25, 50, 75))
    return {"low": float(low), "median": float(median), "high": float(high)}
