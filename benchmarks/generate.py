"""`python -m benchmarks.generate`: complete runs of `datasets.generate` at three sizes, compared with pyroomacoustics.

The times include starting Ray, synthesizing music, rendering, checksums and writing; verification and reading in random
order are measured separately. The same run measures pyroomacoustics with one room object per sample on all cores, and
writing the same number of bytes to the same disk.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import write_results
from benchmarks.render import set_up_worker, simulate_free_field
from datasets import config_file
from datasets.rooms.dataset import build_dataset
from datasets.rooms.plan import RoomPlan
from datasets.rooms.spec import RoomSpec
from runtime.machines import machine

_SIZES = (10_000, 50_000, 100_000)
_ROUNDS = 2
_SCRATCH = Path("runs/benchmarks")
"""Scratch folder on the disk that searches use, excluded from version control."""
_STAGE = re.compile(r"^data +(\w+) [\d,]+ of [\d,]+ in ([\d.]+) s$", re.MULTILINE)


class PeakMemory:
    """Peak memory use above that at the start, not counting the page cache."""

    def __init__(self) -> None:
        self._first = self._least = available_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self._least = min(self._least, available_bytes())

    def peak_gb(self) -> float:
        """Stop the measurement and return the peak in GB."""
        self._stop.set()
        self._thread.join()
        return (self._first - self._least) / 1e9


def available_bytes() -> int:
    """Return the memory available to new processes, in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def run_generate(folder: Path, samples: int, *options: str) -> tuple[float, dict[str, float]]:
    """Run the command and return its total time and the time of each stage, in seconds."""
    spec = folder / "spec.yaml"
    spec.write_text(f"{{kind: room, train: {samples}, validate: 1, tests: {{S0: 1}}}}")
    command = [sys.executable, "-m", "datasets.generate", str(spec), "--storage", str(folder), *options]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, {what: float(spent) for what, spent in _STAGE.findall(done.stdout)}


def read_rate(folder: Path) -> float:
    """Return the samples per second that one process reads in random order, in batches of 64."""
    spec = config_file.read_specs(folder / "spec.yaml", has_gpu=False)[0]
    if not isinstance(spec, RoomSpec):
        raise TypeError(spec)
    split = build_dataset(RoomPlan.from_spec(spec, "spec.yaml"), folder / "datasets").open_split("train")
    order = np.random.default_rng(0).permutation(len(split))
    started = time.perf_counter()
    for first in range(0, len(order), 64):
        split.read_batch(order[first : first + 64])
    return len(order) / (time.perf_counter() - started)


def measure_generate(samples: int) -> dict[str, float]:
    """Measure one size: generation, verification, reading, and plain writing of the same number of bytes."""
    _SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as name:
        folder = Path(name)
        memory = PeakMemory()
        total, stages = run_generate(folder, samples)
        peak = memory.peak_gb()
        verified, _ = run_generate(folder, samples, "--verify")
        making = stages["samples"]
        reading = read_rate(folder)
        content = (next((folder / "datasets").glob("train-*")) / "00000.arrow").read_bytes()
        started = time.perf_counter()
        for number in range(samples // 1000):
            with (folder / f"plain{number}").open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        plain = time.perf_counter() - started
        shutil.rmtree(folder / "datasets")
    return {
        "samples": samples,
        "seconds": total,
        "seconds_music": stages["excerpts"],
        "seconds_samples": making,
        "seconds_verify_run": verified,
        "seconds_plain_write": plain,
        "samples_per_second_all": samples / total,
        "samples_per_second_made": samples / making,
        "samples_per_second_read": reading,
        "peak_memory_gb": peak,
    }


def main() -> None:
    """Measure, print and store the results."""
    cores = machine.count_cores()
    runs: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(cores, set_up_worker) as pool:
        pool.map(simulate_free_field, [160] * cores, chunksize=1)
        for _ in range(_ROUNDS):
            for samples in _SIZES:
                started = time.perf_counter()
                theirs = sum(pool.map(simulate_free_field, [160] * cores, chunksize=1)) / (
                    time.perf_counter() - started
                )
                run = measure_generate(samples)
                run |= {
                    "pyroomacoustics_samples_per_second": theirs,
                    "ratio_all": run["samples_per_second_all"] / theirs,
                    "ratio_made": run["samples_per_second_made"] / theirs,
                }
                runs.append(run)
                print({key: round(value, 2) for key, value in run.items()}, flush=True)
    print(write_results("generate", {"runs": runs}))


if __name__ == "__main__":
    main()
