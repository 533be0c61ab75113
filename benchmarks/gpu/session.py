"""State of one measurement: device, sizes, time left, and results that are stored after every step."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from runtime.files import write_text_atomic

_LEAST_S: Final = 2.0
"""A step is not started with less time left."""


def limit_threads() -> None:
    """Compute on one thread, which is faster for tiny models on a busy machine."""
    torch.set_num_threads(1)


def describe_error(error: BaseException) -> str:
    """Return type and message of an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


@dataclass
class Session:
    """One measurement.

    Attributes:
        part: File of the results.
        data: Folder of the datasets.
        miniature: Whether to measure tiny models on the CPU, which only shows that everything runs.
        limit_s: Time for the measurement.
        results: Results so far.
    """

    part: Path
    data: Path
    miniature: bool = False
    limit_s: float = 60.0
    results: dict[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    @property
    def device(self) -> torch.device:
        """Device that is measured."""
        return torch.device("cpu" if self.miniature else "cuda")

    @property
    def timed_s(self) -> float:
        """Duration of one timing."""
        return 0.01 if self.miniature else 1.2

    @property
    def left_s(self) -> float:
        """Time left."""
        return self.limit_s - (time.monotonic() - self._started)

    def attempt(self, name: str, measure: Callable[..., Any], *arguments: Any) -> Any:
        """Run a step and store what it returns, or its error.

        Args:
            name: Key of the result.
            measure: Function that returns a value for JSON, or None if it stores its results itself.
            arguments: Its arguments.

        Returns:
            The value; None after an error, or without time.
        """
        if self.left_s < _LEAST_S:
            self.store(name, {"skipped": "no time left"})
            return None
        try:
            value = measure(*arguments)
        except Exception as error:  # noqa: BLE001  # the other steps are worth their time
            self.store(name, {"error": describe_error(error)})
            self.empty_cache()
            return None
        if value is not None:
            self.store(name, value)
        return value

    def store(self, name: str, value: Any) -> None:
        """Store and print a result, which replaces an earlier one of that name."""
        self.results[name] = value
        write_text_atomic(self.part, json.dumps(self.results, indent=1) + "\n")
        print(f"  {name}: {json.dumps(value)[:400]}", flush=True)

    def empty_cache(self) -> None:
        """Return unused memory of this process to the device."""
        gc.collect()
        if not self.miniature:
            try:
                torch.cuda.empty_cache()
            except Exception as error:  # noqa: BLE001  # the process may have lost the device
                print(f"  the device does not answer: {error}", flush=True)

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def measure_rate(self, work: Callable[[], int], seconds: float | None = None, warm_up: int = 3) -> float:
        """Return items per second of a function that returns its number of items, on a device that works in the background."""
        for _ in range(min(warm_up, 1) if self.miniature else warm_up):
            work()
        self.synchronize()
        done, calls, started = 0, 0, time.perf_counter()
        limit = self.timed_s if seconds is None else seconds
        while time.perf_counter() - started < limit:
            done += work()
            calls += 1
            if calls % 8 == 0:
                self.synchronize()
        self.synchronize()
        return done / (time.perf_counter() - started)

    def measure_seconds(self, work: Callable[[], Any]) -> float:
        """Return the duration of one call."""
        self.synchronize()
        started = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - started
