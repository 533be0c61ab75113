"""A search on a cluster of several nodes, on one machine, loses one of them and ends as if nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from datasets.matrices import MatricesSpec
from datasets.registry import prepare_dataset
from runtime.storage import storage_at
from search.execution.trial import TrialRunner
from search.experiment import Experiment
from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Trial
from spaces.load import load_space
from tests.e2e.killed import start_process
from tests.search.local_cluster import local_cluster

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
EPOCHS = 6
RATES = (0.001, 0.002, 0.003, 0.004)
SPACE: dict[str, Any] = {
    "name": "lossy",
    "trainable": "hnet",
    "dataset": {"kind": "matrices"},
    "fixed": {"data.matrices": 6000, "network.hidden": 16},
    "search": {"optimizer.lr": {"log_uniform": [0.001, 0.01]}},
    "objectives": [{"metric": "f1"}],
    "baseline": {"optimizer.lr": RATES[0]},
    "start": [{"optimizer.lr": rate} for rate in RATES[1:]],  # known beforehand: proposals depend on who reports first
    "stopping": {"rule": "none"},
    "budget": {"trials": len(RATES), "epochs": EPOCHS},
}


@pytest.fixture
def nodes() -> Iterator[Any]:
    with local_cluster([(1, 0), (1, 0)]) as cluster:
        yield cluster


def launch(nodes: Any, folder: Path, *options: str) -> subprocess.Popen[str]:
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
    command = [sys.executable, "-m", "search.launch", str(folder / "space.yaml"), "--address", nodes.address]
    where = ["--storage", str(folder / "runs")]
    return start_process([*command, *where, *options], env=os.environ | {"OMP_NUM_THREADS": "1"})


def trials(folder: Path) -> list[Trial]:
    """Return the trials of the study, read without disturbing the launch."""
    journal = SearchFolder(folder / "runs", "lossy").journal_path
    if not journal.is_file():
        return []
    copy = folder / "study.copy"
    lines = journal.read_bytes()
    copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
    return Study(copy, load_space(folder / "space.yaml", has_gpu=False)).get_trials()


def wait_until_half_done(process: subprocess.Popen[str], folder: Path) -> None:
    """Both nodes are in the middle of a trial."""
    for _ in range(1200):
        if sum(trial.outcome == "running" and 1 <= len(trial.epochs) < EPOCHS - 1 for trial in trials(folder)) == 2:
            return
        if process.poll() is not None:
            pytest.fail(process.communicate()[0])
        time.sleep(0.1)
    process.kill()
    pytest.fail(process.communicate()[0])


def undisturbed(folder: Path, trial: Trial) -> list[dict[str, float]]:
    """The same trial alone, in this process."""
    space = load_space(folder / "space.yaml", has_gpu=False)
    alone = SearchFolder(folder / "alone", "lossy")
    experiment = Experiment(
        space, prepare_dataset(MatricesSpec(), "tests"), alone, storage_at(str(folder / "alone" / "datasets"))
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = TrialRunner(experiment, trial.number, trial.parameters, 0, "cpu")
    metrics = [dict(run.next_epoch().metrics) for _ in range(EPOCHS)]
    torch.set_num_threads(threads)
    return metrics


def test_a_search_that_loses_a_node_ends_with_every_epoch_once_and_the_numbers_of_an_undisturbed_one(
    nodes: Any, tmp_path: Path
) -> None:
    process = launch(nodes, tmp_path)
    wait_until_half_done(process, tmp_path)
    nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    after = trials(tmp_path)
    assert [trial.parameters["optimizer.lr"] for trial in after] == list(RATES)
    for trial in after:
        assert trial.outcome == "finished", trial.reason
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, EPOCHS + 1))
        assert [dict(epoch.metrics) for epoch in trial.epochs] == undisturbed(tmp_path, trial)
