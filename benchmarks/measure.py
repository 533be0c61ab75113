"""Paired measurements: two implementations alternate, so that drifts of the machine affect both alike."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.files import write_text_atomic
from runtime.machines import machine

RESULTS: Final = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    least: float
    greatest: float

    @classmethod
    def from_samples(cls, values: list[float]) -> Spread:
        """Summarise measurements."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} … {self.greatest:.3g})"


def measure_rate(work: Callable[[], int], seconds: float) -> float:
    """Return the items per second of a function that returns its number of items, called repeatedly for a minimum time."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


def measure_paired(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> dict[str, Spread]:
    """Measure two implementations alternately; ratios are taken within each round."""
    ours(), theirs()  # warm-up
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return {
        "ours": Spread.from_samples([a for a, _ in pairs]),
        "theirs": Spread.from_samples([b for _, b in pairs]),
        "ratio": Spread.from_samples([a / b for a, b in pairs]),
    }


def write_results(name: str, result: dict[str, Any]) -> Path:
    """Write results to a file, with the machine and the package versions that they were measured on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"result": result, "measured_on": describe_machine()}
    write_text_atomic(path, json.dumps(content, indent=1, default=vars) + "\n")
    return path


def describe_machine() -> dict[str, Any]:
    """Return the machine and the package versions."""
    return {
        "cpu": _cpu_name(),
        "cores": machine.count_cores(),
        "system": platform.system(),
        "versions": machine.package_versions(),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
