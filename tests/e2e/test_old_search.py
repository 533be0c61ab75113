"""A search that an earlier version started can be read, and resumed with the same results."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from search import saved_models
from search.results import SearchFolder
from search.study.study import read_trials
from search.study.trials import Trial

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "tests" / "old_search" / "search_ba0ef5e.tar.xz"
EXPECTED = ROOT / "tests" / "old_search" / "resumed_by_ba0ef5e.json"
OLD_STORAGE = "/runs-of-ba0ef5e"
CHANGES = [
    "dataset.train=16",
    "dataset.validate=8",
    "dataset.tests={S0: 4, S1: 4}",
    "dataset.excerpts=8",
    "dataset.excerpt_s=1",
    "optimizer.epoch_samples=16",
    "network.width=4",
    "network.decoder_width=16",
    "confirm=null",
    "budget.trials=4",
    "budget.epochs=6",
]
OUTCOMES = {"COMPLETE": "finished", "PRUNED": "paused"}
"""Outcomes by the states of the earlier version, which ended trials that now wait."""


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Storage folder of the earlier version, moved to this test's folder."""
    folder = tmp_path / "runs"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"update {table} set {column} = replace({column}, ?, ?)", (OLD_STORAGE, str(folder)))
    return folder


def expected_trials() -> list[dict[str, Any]]:
    """Return the trials as the earlier version finished them."""
    content: list[dict[str, Any]] = json.loads(EXPECTED.read_text())
    return content


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return modification time and content of all files in a folder, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def resume(storage: Path) -> subprocess.CompletedProcess[str]:
    """Resume the search with the space and the options it was started with."""
    space = yaml.safe_load((ROOT / "spaces" / "rg_rep.yaml").read_text())
    del space["profiles"]["laptop"]["search"]["features.kind"]  # which that version did not search
    path = storage.parent / "rg_rep.yaml"
    path.write_text(yaml.safe_dump(space, sort_keys=False))
    sets = [word for change in CHANGES for word in ("--set", change)]
    command = [sys.executable, "-m", "search.launch", str(path), "--storage", str(storage)]
    return subprocess.run(
        [*command, "--profile", "laptop", *sets, "--resume"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def statuses(storage: Path) -> list[str]:
    """Return the statuses of all MLflow runs of the search."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rg_rep")
    assert experiment is not None
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def assert_same_losses(own: Mapping[str, float], expected: Mapping[str, float]) -> None:
    """Compare the metrics that are continuous in the weights.

    Processors round differently. Losses follow by that much; counts of keypoints do not: with four samples, another threshold may
    be the best one on another processor, and all counts change with it.
    """
    names = [name for name in expected if name.endswith("loss") or name == "learning_rate"]
    assert names
    assert {name: own[name] for name in names} == pytest.approx({name: expected[name] for name in names}, rel=1e-2)


def test_the_study_and_models_of_an_earlier_version_can_be_read(storage: Path) -> None:
    folder = SearchFolder(storage, "rg_rep")
    baseline, first = read_trials(folder.journal_path)
    expected = expected_trials()
    assert (baseline.is_baseline, len(baseline.epochs), baseline.outcome) == (True, 0, "running")
    assert (first.is_baseline, len(first.epochs), first.outcome) == (False, 2, "running")
    assert [trial.parameters for trial in (baseline, first)] == [trial["parameters"] for trial in expected[:2]]
    for epoch, content in zip(first.epochs, expected[1]["epochs"], strict=False):
        assert (epoch.epoch, epoch.metrics, epoch.setting) == (content["epoch"], content["metrics"], content["setting"])
    assert saved_models.find_model(folder.root_path) == folder.model_path(1)
    for trial in (baseline, first):
        model = saved_models.read_model(folder.model_path(trial.number))
        assert model.name == "localizer"
        assert model.inference_params == expected[trial.number]["epochs"][0]["setting"]
        assert model.load_predictor("cpu").sound.channels == 8


@pytest.mark.slow
def test_a_search_of_an_earlier_version_is_resumed_with_the_same_results(storage: Path) -> None:
    folder = SearchFolder(storage, "rg_rep")
    datasets = files(storage / "datasets")
    before = read_trials(folder.journal_path)
    resumed = resume(storage)
    assert resumed.returncode == 0, resumed.stdout
    assert "already built" in resumed.stdout
    assert "Traceback" not in resumed.stdout
    assert {path: state for path, state in files(storage / "datasets").items() if not path.startswith(".")} == datasets
    after = read_trials(folder.journal_path)
    expected = expected_trials()
    assert [trial.number for trial in after] == [trial["number"] for trial in expected]
    for trial, old in zip(after, expected, strict=True):
        assert_equal_trials(trial, old)
    for trial in before:
        assert after[trial.number].epochs[: len(trial.epochs)] == trial.epochs
        assert after[trial.number].run_id == trial.run_id
    assert statuses(storage) == ["FINISHED"] * 5


def assert_equal_trials(trial: Trial, old: Mapping[str, Any]) -> None:
    """Compare a trial with that of the earlier version."""
    assert trial.outcome == OUTCOMES[old["state"]], trial
    assert dict(trial.parameters) == old["parameters"]
    assert [epoch.epoch for epoch in trial.epochs] == [epoch["epoch"] for epoch in old["epochs"]]
    for epoch, expected in zip(trial.epochs, old["epochs"], strict=True):
        assert_same_losses(epoch.metrics, expected["metrics"])
        assert set(epoch.setting) == set(expected["setting"])
    assert set(trial.test_scores) >= set(old["tests"])  # this version also scores the starting points and the runner-up
    for split, scores in old["tests"].items():
        assert_same_losses(trial.test_scores[split], scores)
