"""A search whose budget of epochs is used up, and that continues with a larger one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from search.study.study import read_trials

ROOT = Path(__file__).resolve().parents[2]
TRAINABLE = """
import time
from tests.search.toy_trainable import Toy, ToyConfig

class Slow(Toy):
    def train_epoch(self):
        time.sleep(0.5)
        return super().train_epoch()
"""
SPACE = {
    "name": "spent",
    "trainable": "slow_toy:Slow",
    "dataset": {"kind": "matrices"},
    "search": {"x": {"uniform": [0.6, 1]}},
    "objectives": [{"metric": "score"}],
    "stopping": {"rule": "none"},
    "budget": {"trials": 6, "epochs": 4, "epochs_total": 7},
    "resources": {"price_per_hour": 3600},
}


def launch(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "search.launch", "space.yaml", "--storage", "runs", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_budget_ends_a_search_with_its_results_and_a_larger_one_continues_it(tmp_path: Path) -> None:
    (tmp_path / "slow_toy.py").write_text(TRAINABLE)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    journal = tmp_path / "runs" / "searches" / "spent" / "study.journal"
    output = launch(tmp_path)
    assert "budget   at most 7 epochs in all trials together" in output
    assert "The budget is used up (7/7 epochs)" in output
    assert "on the test splits" in output
    assert "7 of 7 epochs" in output
    assert "--resume --set budget.epochs_total=14" in output
    trials = read_trials(journal)
    assert sum(len(trial.epochs) for trial in trials) == 7
    paused = [trial for trial in trials if trial.outcome == "running" and trial.epochs]
    assert paused
    assert all(epoch.usage == {"price_per_hour": 3600} for trial in trials for epoch in trial.epochs)
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    assert client.get_run(paused[0].run_id or "").info.status == "KILLED"
    output = launch(tmp_path, "--resume", "--set", "budget.epochs_total=9")
    assert f"trial {paused[0].number}   starts" in output
    assert f"continues after epoch {len(paused[0].epochs)}" in output
    assert sum(len(trial.epochs) for trial in read_trials(journal)) == 9
