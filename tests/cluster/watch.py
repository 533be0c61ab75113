"""What a running search and its cluster say, read from beside them."""

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
    "dataset.train=600",
    "dataset.validate=60",
    "dataset.tests={S0: 40, S1: 20, S2: 40}",
    "dataset.excerpts=8",
    "optimizer.epoch_samples=800",
    "network.width=8",
    "network.decoder_width=32",
    f"budget.trials={TRIALS}",
    "budget.epochs=10",
    "stopping.rule=none",  # so that it is not over before the last host is lost
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


def until(holds: Callable[[], object], what: str, patience_s: float = 600) -> float:
    """Wait; returns the seconds that it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + patience_s, f"never {what}"
        time.sleep(0.2)
    return time.monotonic() - started


class Nodes:
    """What the head says of its nodes, as it changes."""

    def __init__(self, lab: Lab, head: str) -> None:
        (lab.shared / "nodes.py").write_text(_NODES)
        self._log = lab.shared / "nodes.log"
        lab.start(head, f". ~/.soundsweep && python {SHARED}/nodes.py", self._log)

    def ids(self) -> dict[str, str]:
        """Address of each node that is there, by Ray's id of it."""
        lines = [line for line in self._log.read_text().splitlines() if NETWORK in line and line[0].isdigit()]
        entries = [word.split("/") for word in lines[-1].split()[1:]] if lines else []
        return {node: address for address, node in entries}

    def alive(self) -> set[str]:
        """Addresses of the nodes that are there."""
        return set(self.ids().values())


class Search:
    """A small search that was started from the laptop, and what it has written so far.

    Args:
        process: Runs as long as the search does.
        log: What the process says.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def trials(self) -> list[Trial]:
        """What the study says, read without disturbing the launch."""
        raise NotImplementedError

    def runs(self) -> str:
        """URI of what MLflow has, likewise."""
        raise NotImplementedError

    def epochs(self) -> int:
        """How many are recorded."""
        return sum(len(trial.epochs) for trial in self.trials())

    def until(self, holds: Callable[[], object], what: str) -> float:
        """Wait while it runs; returns the seconds that it took."""

        def either() -> object:
            assert self._process.poll() is None, self._log.read_text()[-8000:]
            return holds()

        return until(either, what)

    def goes_on(self) -> float:
        """Wait for the next epoch; returns the seconds that it took."""
        seen = self.epochs()
        return self.until(lambda: self.epochs() > seen, "went on")

    def ends(self, patience_s: float = 1200) -> None:
        """Wait for its end, which has to be a good one."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(self._log.read_text()[-8000:]) from late
        assert self._process.returncode == 0, self._log.read_text()[-8000:]

    def ends_well(self) -> None:
        """Wait for its end; every trial is there, each of its epochs once, in the study and in MLflow."""
        self.ends()
        after = self.trials()
        assert [trial.number for trial in after] == list(range(TRIALS)), self._log.read_text()[-8000:]
        client = MlflowClient(self.runs())
        experiment = client.get_experiment_by_name("rg_rep")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * (TRIALS + 1)
        for trial in after:
            assert trial.outcome in ("finished", "stopped"), trial
            assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))
            assert trial.run_id is not None
            logged = [metric.step for metric in client.get_metric_history(trial.run_id, "f1_0.3m")]
            assert sorted(logged) == [epoch.epoch for epoch in trial.epochs]


class InSharedFolder(Search):
    """Started by `ray exec`; its results lie in the folder that all hosts share."""

    def __init__(self, laptop: Laptop, lab: Lab) -> None:
        self._storage = lab.shared / "runs"
        log = lab.shared / "launch.log"
        super().__init__(laptop.starts(exec_line(launch(f"--storage {SHARED}/runs")), log), log)

    def trials(self) -> list[Trial]:
        """See the base class."""
        folder = SearchFolder(self._storage, "rg_rep")
        if not folder.journal_path.is_file():
            return []
        copy = self._storage / "study.copy"
        lines = folder.journal_path.read_bytes()
        copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
        return Study(copy, load_space(SPACE, has_gpu=False, overrides=SMALL)).get_trials()

    def runs(self) -> str:
        """See the base class."""
        return f"sqlite:///{self._storage / 'mlflow.db'}"


class Submitted(Search):
    """Started by `ray job submit` as docs/cluster.md says; its study and its runs are with the head's services.

    Args:
        laptop: Where `ray dashboard` runs.
        lab: Its host.
        head: Name of the head.
        job: A name for it that is new.
        options: Of `search.launch`.
    """

    def __init__(self, laptop: Laptop, lab: Lab, head: str, job: str, *options: str) -> None:
        where = "--storage $SOUNDSWEEP_STORAGE --study grpc://localhost:13000 --tracking-uri http://localhost:5000"
        command = shlex.quote(f"cd ~/soundsweep && {launch(where, *options)}")
        laptop.says(f"ray job submit --no-wait --submission-id {job} --address {DASHBOARD} -- bash -c {command}")
        self.job = job
        self._laptop = laptop
        self._state = lab.home(head) / "state"
        self._copies = lab.shared
        log = lab.shared / f"{job}.log"
        super().__init__(laptop.starts(f"ray job logs {job} --follow --address {DASHBOARD}", log), log)

    def stop(self) -> None:
        """`ray job stop`."""
        self._laptop.says(f"ray job stop {self.job} --address {DASHBOARD}")

    def status(self) -> str:
        """What `ray job status` says."""
        return self._laptop.says(f"ray job status {self.job} --address {DASHBOARD}")

    def trials(self) -> list[Trial]:
        """See the base class."""
        if not (self._state / "study.db").exists():
            return []
        where = f"sqlite:///{self._copied('study')}"
        names = [summary.study_name for summary in optuna.get_all_study_summaries(where)]
        if not names:
            return []
        with closing(Study(where, load_space(SPACE, has_gpu=False, overrides=SMALL), names[0], joins=True)) as study:
            return study.get_trials()

    def runs(self) -> str:
        """See the base class."""
        return f"sqlite:///{self._copied('mlflow')}"

    def _copied(self, name: str) -> Path:
        """A copy of one of the head's databases, as it is at one moment."""
        copy = self._copies / f"{name}.copy.db"
        with (
            closing(sqlite3.connect(f"file:{self._state / name}.db?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy


def launch(where: str, *options: str) -> str:
    """The command line of the small search."""
    sets = [f'--set "{override}"' for override in SMALL]
    return " ".join(
        ["python -m search.launch spaces/rg_rep.yaml --address auto --profile laptop", where, *sets, *options]
    )
