"""Failures of a user's trainable: a search that stops with the cause, and failed trials that are taken up again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from search.results import SearchFolder
from search.study.study import read_trials

ROOT = Path(__file__).resolve().parent.parent.parent
TRAINABLE = """
import os, pathlib
from pydantic import Field
from trainables.contract import Metric, Trainable, TrainableConfig

class Config(TrainableConfig):
    x: float = Field(0.5, ge=0, le=1)

class Toy(Trainable):
    Config = Config
    metrics = (Metric("score", "maximize", "a score"),)
    inner = ()
    def __init__(self, config, data, *, device, seed, epochs): self.config, self.epoch = config, 0
    def train_epoch(self):
        print("training epoch", self.epoch + 1)
        if self.epoch == 1 and not pathlib.Path(__file__).with_name("fixed").exists():
            if self.config.x == 0.5: raise NameError("lamda is not defined")
            os._exit(7)
        self.epoch += 1
        return {"train_loss": 1.0 / self.epoch}
    def evaluate(self, split, settings): return [{"score": self.epoch - self.config.x} for _ in settings]
    def state(self): return {"epoch": self.epoch}
    def load_state(self, state): self.epoch = state["epoch"]
    def weights(self): return {}
    def load_weights(self, weights): pass
    def predict(self, audio, settings): return None
"""

pytestmark = pytest.mark.slow


def launch(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    space = {
        "name": "toy",
        "trainable": "failing_toy:Toy",
        "dataset": {"kind": "matrices"},
        "search": {"x": {"uniform": [0, 1]}},
        "start": [{"x": 0.25}],
        "objectives": [{"metric": "score"}],
        "budget": {"trials": 2, "epochs": 3},
        "stopping": {"rule": "none"},
    }
    (folder / "failing_toy.py").write_text(TRAINABLE)
    (folder / "toy.yaml").write_text(yaml.safe_dump(space))
    return subprocess.run(
        [sys.executable, "-m", "search.launch", str(folder / "toy.yaml"), "--storage", str(folder / "runs"), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_failed_trials_are_named_with_cause_and_log_and_go_on_from_their_checkpoints(tmp_path: Path) -> None:
    failed = launch(tmp_path)
    printed = failed.stdout + failed.stderr
    assert failed.returncode == 1, printed
    assert "Traceback" not in printed
    assert "No trial has a result" in printed
    assert "Failed: 2 of 2 trials" in printed
    assert "trial 0 (baseline): NameError: lamda is not defined at failing_toy.py:17" in printed
    assert "ended twice without completing an epoch: os._exit(7) at failing_toy.py:18" in printed
    results = SearchFolder(tmp_path / "runs", "toy")
    logs = [results.log_path(number).read_text() for number in (0, 1)]
    assert "Traceback" in logs[0]
    assert logs[1].count("── attempt started") == 2
    assert results.checkpointed_trials() == {0, 1}

    (tmp_path / "fixed").touch()
    retried = launch(tmp_path, "--resume", "--retry", "failed")
    assert retried.returncode == 0, retried.stdout + retried.stderr
    trials = read_trials(results.journal_path)
    assert [(t.number, t.retry_of, t.is_baseline, t.outcome, len(t.epochs)) for t in trials] == [
        (2, 0, True, "finished", 3),
        (3, 1, False, "finished", 3),
    ]
    assert "training epoch 1" not in results.log_path(2).read_text()  # it was in the checkpoint
    assert results.checkpointed_trials() == set()
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    run = client.get_run(str(trials[1].run_id))
    assert run.data.tags["retry_of"] == "1"
    steps = {metric.step for metric in client.get_metric_history(run.info.run_id, "score")}
    assert steps >= {1, 2, 3}
    assert "log.txt" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert "nothing to retry" in launch(tmp_path, "--resume", "--retry", "failed").stdout
