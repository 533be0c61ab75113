"""A table trains each row on each seed, survives being killed, and is written as files and to MLflow."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from search.results import SearchFolder
from search.study.study import read_trials
from search.study.trials import Trial
from tests.e2e.killed import kill_when, start_command

SPACE: dict[str, Any] = {
    "name": "rows",
    "trainable": "tests.search.planted_trainable:Planted",
    "dataset": {"kind": "matrices"},
    "fixed": {"epoch_seconds": 0.3},
    "rows": {"low": {"set": {"x": 0.1}, "paper": {"test.recall": 0.55}}, "high": {"set": {"x": 0.9}}},
    "seeds": [4, 9],
    "table": {"protocol": ["The data is made up."]},
    "objectives": [{"metric": "recall"}],
    "budget": {"epochs": 3},
}


def read_trainings(folder: SearchFolder) -> list[Trial]:
    if not folder.journal_path.is_file():
        return []
    return [t for confirming in (False, True) for t in read_trials(folder.journal_path, confirming=confirming)]


@pytest.mark.slow
def test_a_killed_table_continues_and_has_a_value_of_each_row_and_seed(tmp_path: Path) -> None:
    space = tmp_path / "rows.yaml"
    space.write_text(yaml.safe_dump(SPACE, sort_keys=False))
    folder = SearchFolder(tmp_path / "runs", "rows")
    launched = start_command("search.table", space)
    kill_when(lambda: any(t.epochs and t.seed == 9 for t in read_trainings(folder)), launched, "the second seed trains")
    assert not (folder.root_path / "table.csv").exists()
    resumed = start_command("search.table", space, "--resume")
    output = resumed.communicate()[0]
    assert resumed.returncode == 0, output
    trainings = read_trainings(folder)
    assert sorted((t.parameters["x"], t.seed or 4) for t in trainings) == [(0.1, 4), (0.1, 9), (0.9, 4), (0.9, 9)]
    assert all({e.metrics["trained_seed"] for e in t.epochs} == {t.seed or 4} for t in trainings)
    lines = list(csv.DictReader((folder.root_path / "table.csv").read_text().splitlines()))
    assert [(line["row"], line["seed"]) for line in lines] == [("low", "4"), ("low", "9"), ("high", "4"), ("high", "9")]
    assert "high − low: +0.3" in output
    assert "high − low" in (folder.root_path / "table.md").read_text()
    assert "<td>high − low</td>" in (folder.root_path / "table.html").read_text()
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rows")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["row"] for run in runs if "row" in run.data.tags) == ["high", "high", "low", "low"]
    assert any("table.high.test.recall" in run.data.metrics for run in runs)
