"""Duration of predictions on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WARM_UPS: Final = 10
_LEAST: Final = 5
_MOST: Final = 200
_LONGEST_S: Final = 5.0
"""Duration after which no further run is measured."""


@dataclass(frozen=True)
class Speed:
    """Durations of runs of one function, in seconds.

    Attributes:
        durations_s: Duration of each run, at least two.
    """

    durations_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median duration."""
        return statistics.median(self.durations_s)

    def describe(self) -> str:
        """Return median and spread as text."""
        deciles = statistics.quantiles(self.durations_s, n=10)
        low, high = 1000 * deciles[0], 1000 * deciles[-1]
        return f"median {1000 * self.median_s:.1f} ms, 80 % within {low:.1f} to {high:.1f} ms, {len(self.durations_s)} runs"


def measure_speed(run: Callable[[], object], now: Callable[[], float] = time.perf_counter) -> Speed:
    """Measure a function: ten runs without a measurement, then up to 200, but after five no longer than five seconds.

    Args:
        run: Function that returns when its work is done.
        now: Clock, in seconds.
    """
    for _ in range(_WARM_UPS):
        run()
    begin, durations = now(), list[float]()
    while len(durations) < _MOST and (len(durations) < _LEAST or now() - begin < _LONGEST_S):
        started = now()
        run()
        durations.append(now() - started)
    return Speed(tuple(durations))
