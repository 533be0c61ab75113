"""A search confirms its best trials on fresh seeds, survives being killed meanwhile, and gives a verdict."""

from __future__ import annotations

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
    "name": "planted",
    "trainable": "tests.search.planted_trainable:Planted",
    "dataset": {"kind": "matrices"},
    "fixed": {"epoch_seconds": 0.3},
    "search": {"x": {"uniform": [0, 1]}},
    "baseline": {"x": 0.0},
    "start": [{"x": 0.1}, {"x": 0.9}],
    "objectives": [{"metric": "recall"}],
    "stopping": {"rule": "none"},
    "budget": {"trials": 3, "epochs": 3},
    "confirm": {"top": 1, "seeds": 2},
}


def read_confirmations(folder: SearchFolder) -> list[Trial]:
    return read_trials(folder.journal_path, confirming=True) if folder.journal_path.is_file() else []


@pytest.mark.slow
def test_a_killed_confirmation_continues_and_the_planted_better_trial_wins(tmp_path: Path) -> None:
    space = tmp_path / "planted.yaml"
    space.write_text(yaml.safe_dump(SPACE))
    folder = SearchFolder(tmp_path / "runs", "planted")
    launched = start_command("search.launch", space)
    kill_when(lambda: any(t.epochs for t in read_confirmations(folder)), launched, "a confirmation has an epoch")
    resumed = start_command("search.launch", space, "--resume")
    output = resumed.communicate()[0]
    assert resumed.returncode == 0, output
    confirmations = read_confirmations(folder)
    assert sorted((c.confirms, c.seed) for c in confirmations) == [(n, s) for n in (0, 1, 2) for s in (1001, 1002)]
    assert all(c.outcome == "finished" and len(c.epochs) == 3 for c in confirmations)
    assert all({e.metrics["trained_seed"] for e in c.epochs} == {c.seed} for c in confirmations)
    assert len(read_trials(folder.journal_path)) == 3
    assert all(folder.scenes_path(c.number).is_file() for c in confirmations)
    assert "Start 1 wins with recall on test 0.8" in output
    assert_nested_in_their_trials(tmp_path / "runs" / "mlflow.db", confirmations)


def assert_nested_in_their_trials(database: Path, confirmations: list[Trial]) -> None:
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("planted")
    assert experiment is not None
    runs = {run.data.tags["trial"]: run for run in client.search_runs([experiment.experiment_id], "tags.trial != ''")}
    for trial in confirmations:
        run = runs[str(trial.number)]
        assert run.data.tags["role"] == "confirmation"
        assert run.data.tags["mlflow.parentRunId"] == runs[str(trial.confirms)].info.run_id
        assert run.info.status == "FINISHED"
        assert "test.test.recall" in run.data.metrics
    (parent,) = client.search_runs([experiment.experiment_id], "tags.role = 'search'")
    assert "wins" in parent.data.tags["verdict"]
