"""What a running search and its cluster say, read from beside them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from mlflow import MlflowClient

from search.folder import SearchFolder
from search.records import Trial
from search.study import Study
from spaces.load import load
from tests.cluster.lab import NETWORK, ROOT, SHARED, Lab
from tests.cluster.laptop import Laptop, exec_line

SPACE = ROOT / "spaces" / "rg_rep.yaml"
TRIALS = 4
SMALL = (
    "dataset.train=600",
    "dataset.validate=60",
    "dataset.tests={S0: 40, S1: 20, S2: 40}",
    "dataset.excerpts=8",
    "optimizer.epoch_samples=400",
    "network.width=8",
    "network.decoder_width=32",
    f"budget.trials={TRIALS}",
    "budget.epochs=5",
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
    """A small search, started from the laptop; its results lie in the folder that all hosts share."""

    def __init__(self, laptop: Laptop, lab: Lab, *options: str) -> None:
        self._storage = lab.shared / "runs"
        self._log = lab.shared / "launch.log"
        sets = [f'--set "{override}"' for override in SMALL]
        where = f"--address auto --profile laptop --storage {SHARED}/runs"
        command = " ".join(["python -m search.launch spaces/rg_rep.yaml", where, *sets, *options])
        self._process = laptop.starts(exec_line(command), self._log)

    def trials(self) -> list[Trial]:
        """What the study says, read without disturbing the launch."""
        folder = SearchFolder(self._storage, "rg_rep")
        if not folder.journal.is_file():
            return []
        copy = self._storage / "study.copy"
        lines = folder.journal.read_bytes()
        copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
        return Study(copy, load(SPACE, has_gpu=False, overrides=SMALL)).trials()

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

    def ends_well(self, patience_s: float = 1200) -> None:
        """Wait for its end; every trial is there, each of its epochs once, in the study and in MLflow."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(self._log.read_text()[-8000:]) from late
        assert self._process.returncode == 0, self._log.read_text()[-8000:]
        after = self.trials()
        assert [trial.number for trial in after] == list(range(TRIALS))
        client = MlflowClient(f"sqlite:///{self._storage / 'mlflow.db'}")
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
