"""Replays of methods on tasks, kept in files so that none is repeated."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.efficiency.methods.registry import METHODS
from benchmarks.efficiency.methods.remote import Environment
from benchmarks.efficiency.simulator import Simulation, Trace
from benchmarks.efficiency.tasks.registry import load_task
from runtime.files import write_text_atomic

_VERSION: Final = 1
"""Raised when the simulator changes results."""


@dataclass(frozen=True)
class Replay:
    """One replay.

    Attributes:
        task: Name of the task.
        method: Name of the method.
        workers: Number of trials that train at a time.
        seed: Seed of the noise and of the method.
        budget: Number of epochs.
    """

    task: str
    method: str
    workers: int
    seed: int
    budget: int

    def path(self, cache: Path) -> Path:
        """Return the file of its result, which another version of task or method does not share."""
        task = f"{self.task}-{load_task(self.task).digest}"
        method = f"{self.method}-{METHODS[self.method].digest}"
        case = f"{self.workers}-workers-{self.budget}-epochs-{_VERSION}"
        return cache / "replays" / task / method / case / f"{self.seed:04d}.json"


def run_replay(replay: Replay, environment: Environment | None, path: Path) -> None:
    """Run a replay and write its trace.

    Args:
        replay: What is replayed.
        environment: Environment of the method, if it is not this one.
        path: File to be written.
    """
    session = load_task(replay.task).open_session(replay.seed)
    method = METHODS[replay.method].create(session.problem, replay.seed, environment)
    trace = Simulation(session, method, replay.workers, replay.budget).run()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, json.dumps(asdict(trace)) + "\n")


def read_trace(path: Path) -> Trace:
    """Return the trace of a replay."""
    return Trace(**json.loads(path.read_text(encoding="utf-8")))


def run_replays(
    replays: Sequence[Replay],
    environments: dict[str, Environment | None],
    cache: Path,
    processes: int,
    report: Callable[[str], None],
) -> None:
    """Run the replays that have no file yet, in several processes.

    Args:
        replays: What is replayed.
        environments: Environments by method.
        cache: Folder of the files.
        processes: Number of processes.
        report: Receives a line now and then.
    """
    missing = [(replay, path) for replay in replays if not (path := replay.path(cache)).is_file()]
    report(f"{len(replays) - len(missing)} of {len(replays)} replays are there")
    if not missing:
        return
    every = max(1, len(missing) // 50)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        futures = [pool.submit(run_replay, replay, environments[replay.method], path) for replay, path in missing]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if done % every == 0 or done == len(missing):
                    report(f"{done} of {len(missing)} replays")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
