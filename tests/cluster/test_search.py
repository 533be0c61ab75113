"""A search over three hosts: one is cut off and one loses its power, and it ends as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.records import Trial
from search.study import Study
from spaces.load import load
from tests.cluster.configs import cluster_yaml, on_premise
from tests.cluster.lab import NETWORK, ROOT, SHARED, Lab
from tests.cluster.laptop import Laptop, exec_line

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

SPACE = ROOT / "spaces" / "rg_rep.yaml"
TRIALS = 6
SMALL = [
    "dataset.train=600",
    "dataset.validate=60",
    "dataset.tests={S0: 40, S1: 20, S2: 40}",
    "dataset.excerpts=8",
    "optimizer.epoch_samples=400",
    "network.width=8",
    "network.decoder_width=32",
    f"budget.trials={TRIALS}",
    "budget.epochs=8",
    "resources.cpu=2",
]
HOSTS = {"laptop": 1, "head": 4, "w1": 5, "w2": 6}
NOTICED_S = 20.0
"""What cluster.yaml's health check promises: three times two seconds and four seconds, and what polling adds."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab", HOSTS) as running:
        yield running


class Cluster:
    """What the head says of its nodes, noted with the time as it changes."""

    def __init__(self, lab: Lab) -> None:
        program = lab.shared / "nodes.py"
        program.write_text(
            "import ray, time\n"
            "ray.init(address='auto', logging_level='ERROR', log_to_driver=False)\n"
            "last = None\n"
            "while True:\n"
            "    alive = sorted(n['NodeManagerAddress'] for n in ray.nodes() if n['Alive'])\n"
            "    if alive != last:\n"
            "        print(time.time(), *alive, flush=True)\n"
            "        last = alive\n"
            "    time.sleep(0.2)\n"
        )
        self._log = lab.shared / "nodes.log"
        lab.start("head", f". ~/.soundsweep && python {SHARED}/nodes.py", self._log)

    def alive(self) -> set[str]:
        """Addresses of the nodes that are there."""
        lines = [line for line in self._log.read_text().splitlines() if NETWORK in line]
        return set(lines[-1].split()[1:]) if lines else set()


def until(holds: Callable[[], object], what: str, patience_s: float = 400) -> float:
    """Wait; returns the seconds that it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + patience_s, f"never {what}"
        time.sleep(0.2)
    return time.monotonic() - started


def trials(storage: Path) -> list[Trial]:
    """What the study says, read without disturbing the launch."""
    folder = SearchFolder(storage, "rg_rep")
    if not folder.journal.is_file():
        return []
    copy = storage / "study.copy"
    lines = folder.journal.read_bytes()
    copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
    return Study(copy, load(SPACE, has_gpu=False, overrides=SMALL)).trials()


def epochs(storage: Path) -> int:
    return sum(len(trial.epochs) for trial in trials(storage))


def test_a_search_survives_a_cut_link_and_a_power_cut(lab: Lab) -> None:
    workers = [f"{NETWORK}.{HOSTS[name]}" for name in ("w1", "w2")]
    laptop = Laptop(
        lab,
        on_premise(cluster_yaml(), f"{NETWORK}.{HOSTS['head']}", workers, SHARED),
        {"RAY_UP_enable_autoscaler_v2": "0"},  # version 2 counts the head among a local cluster's workers
    )
    print(f"\nray up: {laptop.up():.0f} s")
    cluster = Cluster(lab)
    print(f"three nodes: {until(lambda: len(cluster.alive()) == 3, 'three nodes'):.0f} s later")

    sets = " ".join(f'--set "{override}"' for override in SMALL)
    storage = lab.shared / "runs"
    log = lab.shared / "launch.log"
    launch = (
        f"python -m search.launch spaces/rg_rep.yaml --address auto --profile laptop --storage {SHARED}/runs {sets}"
    )
    search = laptop.starts(exec_line(launch), log)

    def still(holds: Callable[[], object]) -> Callable[[], object]:
        def either() -> object:
            assert search.poll() is None, log.read_text()[-8000:]
            return holds()

        return either

    until(still(lambda: epochs(storage) >= 4), "an epoch")
    lab.cut("w1")
    noticed = until(still(lambda: workers[0] not in cluster.alive()), "noticed the cut link")
    seen = epochs(storage)
    recovered = noticed + until(still(lambda: epochs(storage) > seen), "went on after the cut")
    print(f"cut link: noticed after {noticed:.1f} s, next epoch recorded after {recovered:.1f} s")

    lab.mend("w1")
    back = until(still(lambda: workers[0] in cluster.alive()), "took the node back")
    print(f"mended link: a node again after {back:.1f} s")

    lab.kill("w2")
    lost = until(still(lambda: workers[1] not in cluster.alive()), "noticed the power cut")
    seen = epochs(storage)
    recovered = lost + until(still(lambda: epochs(storage) > seen), "went on after the power cut")
    print(f"power cut: noticed after {lost:.1f} s, next epoch recorded after {recovered:.1f} s")

    search.wait(timeout=900)
    said = log.read_text()
    assert search.returncode == 0, said[-8000:]
    assert_nothing_lost_or_doubled(storage)
    assert noticed < NOTICED_S
    assert lost < NOTICED_S

    laptop.down()
    for name in ("head", "w1"):
        assert "raylet" not in lab.run(name, "ps -eo args").stdout


def assert_nothing_lost_or_doubled(storage: Path) -> None:
    after = trials(storage)
    assert [trial.number for trial in after] == list(range(TRIALS))
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
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
