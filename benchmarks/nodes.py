"""`python -m benchmarks.nodes`: a search on a Ray of 50 simulated nodes with 2 GPUs each, all on this machine.

Nodes, placement and actors are Ray's own, and the search is complete except for the training, which sleeps. 400 processes do
not fit on one machine, so `--at-once` of them run concurrently; `benchmarks.cluster` measures the driver with all 400.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from datasets.registry import prepare_dataset

os.environ |= {
    "RAY_prestart_worker_first_driver": "0",  # otherwise every node starts a process per core
    "RAY_worker_register_timeout_seconds": "600",  # processes of fifty nodes on one machine start slowly
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(Path.cwd()),
}

import ray
from ray.cluster_utils import Cluster

from benchmarks.cluster import Silent
from benchmarks.measure import write_results
from runtime.machines import ray_cluster
from runtime.storage import storage_at
from search.execution.capacity import count_slots
from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.execution.tune import run_trials
from search.experiment import Experiment
from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Epoch, Trial
from spaces.load import load_space
from spaces.schema import Space

_CPUS: Final = 16
_GPUS: Final = 2
_AT_A_TIME: Final = 4
"""Number of processes that start and load torch concurrently; on fifty machines all would."""
_SPACE: Final = """
name: idle
trainable: benchmarks.idle:Idle
dataset: {kind: matrices}
fixed: {epoch_s: %g}
search: {lr: {log_uniform: [1.0e-4, 1.0e-1]}}
objectives: [{metric: f1}]
stopping: {rule: asha, reduction: 3, first_rung: 1}
budget: {trials: %d, epochs: 9}
resources: {cpu: 2, gpu: 0.25}
"""


class Watch(Silent):
    """Callback that records when trials start and report."""

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}
        self.first: dict[int, float] = {}
        self.last: dict[int, float] = {}
        self.late: list[float] = []
        self.epochs = 0

    def on_trial_start(self, trial: Trial) -> None:
        """Record the time of the first start."""
        self.begun.setdefault(trial.number, time.monotonic())

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """Record the time of an epoch."""
        now = time.monotonic()
        self.epochs += 1
        if trial.number in self.last:
            self.late.append(now - self.last[trial.number] - epoch.seconds)
        self.first.setdefault(trial.number, now)
        self.last[trial.number] = now


class NodeMemory:
    """Peak memory and number of processes of this machine within a block, relative to its start."""

    def __init__(self) -> None:
        self._before = bytes_taken()
        self.most_bytes = 0
        self.processes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> NodeMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> tuple[int, int]:
        """Return the current increase of memory, in bytes, and of the number of processes."""
        size, count = bytes_taken()
        return size - self._before[0], count - self._before[1]

    def _look(self) -> None:
        while not self._over.wait(3):
            size, count = self.now()
            if size > self.most_bytes:
                self.most_bytes, self.processes = size, count


def bytes_taken() -> tuple[int, int]:
    """Return the bytes of memory in use and the number of processes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    size = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    return size["MemTotal"] - size["MemAvailable"], sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


def benchmark_space(folder: Path, trials: int, epoch_s: float) -> Space:
    """Return the space of the benchmark."""
    file = folder / "idle.yaml"
    file.write_text(_SPACE % (epoch_s, trials))
    return load_space(file, has_gpu=True)


def measure_nodes(nodes: int, trials: int, at_once: int, epoch_s: float) -> dict[str, Any]:
    """Start the nodes, run the search, and return what both took."""
    result: dict[str, Any] = {"nodes": nodes, "trials": trials, "at_once": at_once, "epoch_s": epoch_s}
    started = time.monotonic()
    fake = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    with tempfile.TemporaryDirectory() as name, NodeMemory() as memory:
        try:
            for _ in range(nodes):
                fake.add_node(wait=False, num_cpus=_CPUS, num_gpus=_GPUS, object_store_memory=80 << 20)
            fake.wait_for_nodes(timeout=600)
            result["nodes_up_s"] = time.monotonic() - started
            result["megabytes_a_node"] = memory.now()[0] / nodes / 1e6
            ray.init(address=fake.address, logging_level="ERROR", log_to_driver=False)
            searched = benchmark_space(Path(name), trials, epoch_s)
            result["slots"] = count_slots(ray_cluster.alive_nodes(), searched.resources)
            result |= run_benchmark_search(searched, Path(name), at_once)
        finally:
            ray.shutdown()
            fake.shutdown()
    result["megabytes_in_all"] = memory.most_bytes / 1e6
    result["processes"] = memory.processes
    return result


def run_benchmark_search(searched: Space, folder: Path, at_once: int) -> dict[str, Any]:
    """Run the trials; return the CPU time of the driver and the time that trials waited for it."""
    source = prepare_dataset(searched.dataset, "benchmark")
    experiment = Experiment(searched, source, SearchFolder(folder, "idle"), storage_at(str(folder)))
    study, watch = Study(folder / "study.journal", searched), Watch()
    started, cpu = time.monotonic(), time.process_time()
    run_trials(
        experiment,
        study,
        watch,
        TrialStopper(study, searched, TimeBudget(None)),
        Silent(),
        lambda: min(at_once, len(watch.first) + _AT_A_TIME),
    )
    wall, spent = time.monotonic() - started, time.process_time() - cpu
    first_wave = sorted(watch.first.values())[:at_once]
    late = sorted(watch.late)
    return {
        "search_s": wall,
        "epochs": watch.epochs,
        "driver_cpu_s": spent,
        "all_places_taken_s": max(first_wave) - started,
        "between_epochs_beside_the_epoch_s": {"median": late[len(late) // 2], "nine_in_ten": late[len(late) * 9 // 10]},
        "outcomes": dict(Counter(trial.outcome for trial in study.get_trials())),
    }


def main() -> None:
    """Run the benchmark, print its result and store it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--epoch", type=float, default=5.0, help="length of an epoch, in seconds")
    options = parser.parse_args()
    result = measure_nodes(options.nodes, options.trials, options.at_once, options.epoch)
    print(result)
    print(write_results("nodes", result))


if __name__ == "__main__":
    main()
