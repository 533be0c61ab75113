"""State of a running search and its cluster, read from outside without disturbing them."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
from mlflow import MlflowClient

from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Trial
from spaces.load import load_space
from tests.cluster.lab import NETWORK, ROOT, SHARED, Lab
from tests.cluster.laptop import Laptop, exec_line

SPACE = ROOT / "spaces" / "rg_rep.yaml"
TRIALS = 6
DASHBOARD = "http://localhost:8265"
SMALL = (
    "confirm=null",
    "dataset.train=600",
    "dataset.validate=60",
    "dataset.tests={S0: 40, S1: 20, S2: 40}",
    "dataset.excerpts=8",
    "optimizer.epoch_samples=800",
    "network.width=8",
    "network.decoder_width=32",
    f"budget.trials={TRIALS}",
    "budget.epochs=10",
    "stopping.rule=none",  # the search must not end before the last host is lost
    "resources.cpu=2",
)
_NODES = """
import ray, time
ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
last = None
while True:
    alive = sorted(n["NodeManagerAddress"] + "/" + n["NodeID"] for n in ray.nodes() if n["Alive"])
    if alive != last:
        print(time.time(), *alive, flush=True)
        last = alive
    time.sleep(0.2)
"""


def until(holds: Callable[[], object], what: str, timeout_s: float = 600) -> float:
    """Wait for a condition, and return the seconds it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + timeout_s, f"timed out waiting for: {what}"
        time.sleep(0.2)
    return time.monotonic() - started


class Nodes:
    """Nodes of a cluster as reported by its head, updated continuously."""

    def __init__(self, lab: Lab, head: str) -> None:
        (lab.shared / "nodes.py").write_text(_NODES)
        self._log = lab.shared / "nodes.log"
        lab.start(head, f". ~/.soundsweep && python {SHARED}/nodes.py", self._log)

    def ids(self) -> dict[str, str]:
        """Return the addresses of all alive nodes, by node id."""
        lines = [line for line in self._log.read_text().splitlines() if NETWORK in line and line[0].isdigit()]
        entries = [word.split("/") for word in lines[-1].split()[1:]] if lines else []
        return {node: address for address, node in entries}

    def alive(self) -> set[str]:
        """Return the addresses of all alive nodes."""
        return set(self.ids().values())


class Search:
    """Small search started from the laptop, and its results so far.

    Args:
        process: Process that runs as long as the search.
        log: Output of the process.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def trials(self) -> list[Trial]:
        """Return the trials in the study, without disturbing the search."""
        raise NotImplementedError

    def runs(self) -> str:
        """Return the URI of MLflow's store, or of a copy."""
        raise NotImplementedError

    def epochs(self) -> int:
        """Return the number of recorded epochs."""
        return sum(len(trial.epochs) for trial in self.trials())

    def until(self, holds: Callable[[], object], what: str) -> float:
        """Wait for a condition while the search runs, and return the seconds it took."""

        def is_met() -> object:
            assert self._process.poll() is None, self._log.read_text()[-8000:]
            return holds()

        return until(is_met, what)

    def wait_for_epoch(self) -> float:
        """Wait for the next epoch, and return the seconds it took."""
        before = self.epochs()
        return self.until(lambda: self.epochs() > before, "recorded another epoch")

    def wait_for_end(self, timeout_s: float = 1200) -> None:
        """Wait until the search ends, and check its exit status."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(self._log.read_text()[-8000:]) from late
        assert self._process.returncode == 0, self._log.read_text()[-8000:]

    def assert_completes(self) -> None:
        """Wait until the search ends, and check that study and MLflow hold every epoch of every trial once."""
        self.wait_for_end()
        after = self.trials()
        assert [trial.number for trial in after] == list(range(TRIALS)), self._log.read_text()[-8000:]
        client = MlflowClient(self.runs())
        experiment = client.get_experiment_by_name("rg_rep")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * (TRIALS + 1)
        for trial in after:
            assert trial.outcome in ("finished", "paused"), trial
            assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))
            assert trial.run_id is not None
            logged = [metric.step for metric in client.get_metric_history(trial.run_id, "f1_0.3m")]
            assert sorted(logged) == [epoch.epoch for epoch in trial.epochs]


class InSharedFolder(Search):
    """Search started by `ray exec`, with results in the folder shared by all hosts."""

    def __init__(self, laptop: Laptop, lab: Lab) -> None:
        self._storage = lab.shared / "runs"
        log = lab.shared / "launch.log"
        super().__init__(laptop.start(exec_line(launch(f"--storage {SHARED}/runs")), log), log)

    def trials(self) -> list[Trial]:
        """Return the trials in a copy of the study."""
        folder = SearchFolder(self._storage, "rg_rep")
        if not folder.journal_path.is_file():
            return []
        copy = self._storage / "study.copy"
        lines = folder.journal_path.read_bytes()
        copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
        return Study(copy, load_space(SPACE, has_gpu=False, overrides=SMALL)).get_trials()

    def runs(self) -> str:
        """Return the URI of MLflow's store, or of a copy."""
        return f"sqlite:///{self._storage / 'mlflow.db'}"


class Submitted(Search):
    """Search started by `ray job submit` as in docs/cluster.md, with study and runs in the services of the head.

    Args:
        laptop: Host on which `ray dashboard` runs.
        lab: Lab of the host.
        head: Name of the head.
        job: New submission id.
        options: Further options of `search.launch`.
    """

    def __init__(self, laptop: Laptop, lab: Lab, head: str, job: str, *options: str) -> None:
        where = "--storage $SOUNDSWEEP_STORAGE --study grpc://localhost:13000 --tracking-uri http://localhost:5000"
        command = shlex.quote(f"cd ~/soundsweep && {launch(where, *options)}")
        laptop.run_checked(f"ray job submit --no-wait --submission-id {job} --address {DASHBOARD} -- bash -c {command}")
        self.job = job
        self._laptop = laptop
        self._state = lab.home(head) / "state"
        self._copies = lab.shared
        log = lab.shared / f"{job}.log"
        super().__init__(laptop.start(f"ray job logs {job} --follow --address {DASHBOARD}", log), log)

    def stop(self) -> None:
        """Run `ray job stop`."""
        self._laptop.run_checked(f"ray job stop {self.job} --address {DASHBOARD}")

    def status(self) -> str:
        """Return the output of `ray job status`."""
        return self._laptop.run_checked(f"ray job status {self.job} --address {DASHBOARD}")

    def trials(self) -> list[Trial]:
        """Return the trials in a copy of the study."""
        if not (self._state / "study.db").exists():
            return []
        where = f"sqlite:///{self._copied('study')}"
        names = [summary.study_name for summary in optuna.get_all_study_summaries(where)]
        if not names:
            return []
        with closing(Study(where, load_space(SPACE, has_gpu=False, overrides=SMALL), names[0], joins=True)) as study:
            return study.get_trials()

    def runs(self) -> str:
        """Return the URI of MLflow's store, or of a copy."""
        return f"sqlite:///{self._copied('mlflow')}"

    def _copied(self, name: str) -> Path:
        """Return the path of a consistent copy of one of the databases of the head."""
        copy = self._copies / f"{name}.copy.db"
        with (
            closing(sqlite3.connect(f"file:{self._state / name}.db?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy


def launch(where: str, *options: str) -> str:
    """Return the command line of the small search."""
    sets = [f'--set "{override}"' for override in SMALL]
    return " ".join(
        ["python -m search.launch spaces/rg_rep.yaml --address auto --profile laptop", where, *sets, *options]
    )
