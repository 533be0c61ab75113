"""`python -m benchmarks.cluster`: CPU time of the driver of a search on a cluster of 50 nodes with 400 shares of a GPU.

400 processes that load torch do not fit on one machine, so the trials are simulated: their epochs end in the order of a virtual
clock. The work of the driver is real: the concurrency limit, the searcher and the scheduler that Tune calls, the study on its
journal, the sampler and successive halving. The result is CPU time, which does not depend on other load.
"""

from __future__ import annotations

import argparse
import cProfile
import heapq
import math
import pstats
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from benchmarks.measure import write_results
from runtime.machines import machine
from runtime.machines.nodes import Node
from search.execution.capacity import ConcurrencyLimit, count_slots
from search.execution.hooks import DatasetReadiness, TrialCallback
from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.execution.tune import _StudyScheduler, _StudySearcher
from search.study.study import Study
from search.study.trials import Epoch
from spaces.load import load_space
from spaces.schema import Resources, Space, Value

_NODES: Final = [Node(f"{n:02d}", f"10.0.0.{n}", {"CPU": 16.0, "GPU": 2.0}) for n in range(50)]
_TRIAL: Final = Resources(cpu=2.0, gpu=0.25)
_EPOCHS: Final = 9


class Silent(TrialCallback, DatasetReadiness):
    """Callback that ignores all events, and datasets that are always available."""

    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        """Return True."""
        del parameters
        return True


@dataclass
class Timed:
    """CPU time of the driver by activity, in seconds."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __call__(self, name: str, work: Any, *arguments: Any) -> Any:
        """Call a function and add its CPU time."""
        started = time.process_time()
        try:
            return work(*arguments)
        finally:
            self.seconds[name] += time.process_time() - started


def search_space(trials: int) -> Space:
    """Return the space of the README with the resources and the budget of the benchmark."""
    space = load_space(Path("spaces/rg_rep.yaml"), has_gpu=True, profile="full")
    stopping = space.stopping.model_copy(update={"first_rung": 1})
    budget = space.budget.model_copy(update={"trials": trials, "epochs": _EPOCHS, "hours": None})
    return replace(space, stopping=stopping, budget=budget, resources=_TRIAL)


def trial_quality(parameters: Any, epoch: int) -> float:
    """Return an artificial F1 that depends on the learning rate and grows with the epochs."""
    return math.exp(-((math.log10(parameters["optimizer.lr"]) + 2.5) ** 2)) * epoch / (epoch + 2)


class Simulation:
    """Simulated trials on nodes, with a clock that jumps from the end of one epoch to the next."""

    def __init__(self, space: Space, folder: Path) -> None:
        self._study = Study(folder / "study.journal", space)
        stopper = TrialStopper(self._study, space, TimeBudget(None))
        self._searcher = _StudySearcher(
            self._study, Silent(), stopper, Silent(), ConcurrencyLimit(space.resources, lambda: _NODES)
        )
        self._scheduler = _StudyScheduler(self._study, Silent(), stopper)
        self._free = {node.id: count_slots([node], space.resources) for node in _NODES}
        self._events: list[tuple[float, int, str, int]] = []
        self._running: dict[int, tuple[str, Any, float]] = {}
        self._random = random.Random(0)
        self.placed: Counter[str] = Counter()
        self.timed = Timed()
        self.epochs = 0

    def run_trials(self) -> Iterator[int]:
        """Yield the number of ended trials after each one."""
        ended, now = 0, 0.0
        self._fill_slots(now)
        while self._events:
            now, number, node, epoch = heapq.heappop(self._events)
            tune_id, trial, seconds = self._running[number]
            metrics = {"f1_mean": trial_quality(trial.config["parameters"], epoch), "loss": 1.0 / epoch}
            result = {"result": Epoch(epoch, metrics, {"threshold": 0.5}, seconds)}
            decision = self.timed("record and decide", self._scheduler.on_trial_result, None, trial, result)
            self.epochs += 1
            if decision == "STOP":
                self._searcher.on_trial_complete(tune_id)
                self._free[node] += 1
                del self._running[number]
                ended += 1
                self._fill_slots(now)
                yield ended
            else:
                heapq.heappush(self._events, (now + seconds, number, node, epoch + 1))

    def _fill_slots(self, now: float) -> None:
        """Request trials as Tune does, until there is none."""
        while True:
            tune_id = f"t{sum(self.placed.values())}"
            config = self.timed("propose", self._searcher.suggest, tune_id)
            if not isinstance(config, dict):
                return
            node = max(self._free, key=lambda name: self._free[name])
            self._free[node] -= 1
            self.placed[node] += 1
            trial = SimpleNamespace(config=config, run_metadata=SimpleNamespace(num_failures=0))
            seconds = self._random.uniform(50, 100)
            self._running[config["number"]] = (tune_id, trial, seconds)
            heapq.heappush(self._events, (now + seconds, config["number"], node, 1))


def measure_driver(trials: int, interval: int) -> dict[str, Any]:
    """Return the CPU time of each interval of `interval` ended trials of a simulated search."""
    space = search_space(trials)
    with tempfile.TemporaryDirectory() as name:
        simulation, profile = Simulation(space, Path(name)), cProfile.Profile()
        rows, before = [], dict.fromkeys(("propose", "record and decide"), 0.0)
        epochs = 0
        started = time.process_time()
        for ended in simulation.run_trials():
            if ended == trials - interval:
                profile.enable()
            if ended % interval == 0 or ended == trials:
                spent = simulation.timed.seconds
                rows.append(
                    {
                        "ended": ended,
                        "cpu_s": time.process_time() - started,
                        "propose_s": spent["propose"] - before["propose"],
                        "record_s": spent["record and decide"] - before["record and decide"],
                        "epochs": simulation.epochs - epochs,
                    }
                )
                print({key: round(value, 2) for key, value in rows[-1].items()}, flush=True)
                before, epochs, started = dict(spent), simulation.epochs, time.process_time()
        profile.disable()
        journal = (Path(name) / "study.journal").stat().st_size
    per_node = [simulation.placed[node.id] for node in _NODES]
    return {
        "nodes": len(_NODES),
        "side_by_side": count_slots(_NODES, _TRIAL),
        "trials": trials,
        "epochs": simulation.epochs,
        "stretches": rows,
        "trials_per_cpu_second": trials / sum(row["cpu_s"] for row in rows),
        "trials_per_node": {"least": min(per_node), "most": max(per_node)},
        "journal_bytes": journal,
        "top_of_the_last_stretch": top_functions(profile),
    }


def top_functions(profile: cProfile.Profile, lines: int = 15) -> list[dict[str, Any]]:
    """Return the functions of this project and of Optuna with the highest cumulative time."""
    stats = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    known = [
        (f"{Path(file).stem}.{name}", calls, total, below)
        for (file, _, name), (_, calls, total, below, _) in stats
        if "/search/" in file or "optuna" in file or name.startswith("<built-in method posix")
    ]
    ranked = sorted(known, key=lambda row: row[3], reverse=True)[:lines]
    return [{"function": n, "calls": c, "own_s": round(t, 2), "with_callees_s": round(b, 2)} for n, c, t, b in ranked]


def main() -> None:
    """Run the benchmark, print its result and store it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--stretch", type=int, default=250, help="ended trials per line of results")
    options = parser.parse_args()
    result = measure_driver(options.trials, options.stretch)
    print({key: value for key, value in result.items() if key != "stretches"})
    print(write_results("cluster", result), machine.git_commit())


if __name__ == "__main__":
    main()
