"""Searches from the command line: null and lists as values, impossible points, an outside baseline, an exhausted space."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from search.study.study import read_trials

ROOT = Path(__file__).resolve().parents[2]
SPACE: dict[str, Any] = {
    "name": "points",
    "trainable": "tests.spaces.config_model:Model",
    "dataset": {"kind": "matrices"},
    "search": {
        "net.hidden": {"choice": [None, [64, 64]]},
        "net.heads": {"choice": [1, 3], "when": {"net.hidden": [[64, 64]]}},
        "x": {"uniform": [0, 0.2], "step": 0.1},
    },
    "baseline": {"x": 0.9},
    "start": [{"net.hidden": None, "x": 0.2}],
    "objectives": [{"metric": "score"}],
    "budget": {"trials": 40, "epochs": 1},
}


def launch(folder: Path, space: dict[str, Any], *options: str) -> str:
    """Launch a search; return what it prints."""
    path = folder / f"{space['name']}.yaml"
    path.write_text(yaml.safe_dump(space))
    command = [sys.executable, "-m", "search.launch", str(path), "--storage", str(folder / "runs"), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_small_space_of_null_and_lists_runs_every_possible_point_once(tmp_path: Path) -> None:
    output = launch(tmp_path, SPACE)
    assert "baseline outside of the searched range: x 0.9" in output
    assert "random points are impossible, and are drawn again: net: width is a multiple of heads" in output
    assert "7 × up to 1 epochs; trial 0 is the baseline; the space has 7 distinct points" in output
    assert "The search ends after 7 of 40 trials" in output
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("points")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.trial != ''")
    found = {tuple(run.data.params.get(name) for name in SPACE["search"]) for run in runs}
    possible = {
        (hidden, heads, x) for hidden, heads in (("null", None), ("[64, 64]", "1")) for x in ("0.0", "0.1", "0.2")
    }
    assert found == possible | {("[64, 64]", "1", "0.9")}
    assert len(runs) == 7
    again = launch(tmp_path, SPACE, "--resume")
    assert "starting Ray" not in again
    assert len(read_trials(tmp_path / "runs" / "searches" / "points" / "study.journal")) == 7


@pytest.mark.slow
def test_a_search_of_nothing_is_one_training(tmp_path: Path) -> None:
    output = launch(tmp_path, SPACE | {"name": "nothing", "search": {}, "baseline": "paper", "start": []})
    assert "1 training of 1 epochs" in output
    assert "test split  metric  value" in output
    for phrase in ("No trial beat", "Importance", "more trials", "continues after"):
        assert phrase not in output
    assert len(read_trials(tmp_path / "runs" / "searches" / "nothing" / "study.journal")) == 1
