"""Load of the machine that drives a search, as MLflow's system metrics on the run of the search."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from search.reporting.mlflow.api import open_system_monitors

INTERVAL_S: Final = 30.0
"""Time between two samples, in seconds; each is one request to the store."""
_PREFIX: Final = "system/"
"""Prefix by which MLflow recognises its system metrics."""
_JOIN_S: Final = 5.0


class SystemSampler:
    """Thread that samples processors, memory, disk, network and GPUs of this machine until it is closed.

    It ends by itself after an error: a search does not depend on it.

    Args:
        log: Receives the values of each sample by name.
        interval_s: Time between two samples, in seconds.
    """

    def __init__(self, log: Callable[[Mapping[str, float]], None], interval_s: float = INTERVAL_S) -> None:
        self._log = log
        self._interval_s = interval_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sample_regularly, name="system metrics", daemon=True)
        self._thread.start()

    def _sample_regularly(self) -> None:
        with suppress(Exception):  # e.g. a driver of the GPU that fails
            monitors = open_system_monitors()
            for monitor in monitors:
                monitor.collect_metrics()  # percentages and rates refer to the time since the last call
                monitor.clear_metrics()
            while not self._closed.wait(self._interval_s):
                values: dict[str, float] = {}
                for monitor in monitors:
                    monitor.collect_metrics()
                    values |= monitor.aggregate_metrics()
                    monitor.clear_metrics()
                self._log({f"{_PREFIX}{name}": value for name, value in values.items()})

    def close(self) -> None:
        """Stop sampling."""
        self._closed.set()
        self._thread.join(_JOIN_S)

    @property
    def is_running(self) -> bool:
        """Whether the sampler takes samples."""
        return self._thread.is_alive()
