"""The examples run as the documentation shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples import make_arrays
from search.study.study import read_trials
from search.study.trials import Trial

ROOT = Path(__file__).resolve().parent.parent.parent


def run_search(space: str, storage: Path, *options: str) -> tuple[str, list[Trial]]:
    """Run a search; return its output and its trials."""
    command = [sys.executable, "-m", "search.launch", f"examples/{space}.yaml", "--storage", str(storage), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, read_trials(storage / "searches" / space / "study.journal")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 70


@pytest.mark.slow
def test_a_search_over_own_arrays(tmp_path: Path) -> None:
    make_arrays.main()
    _, trials = run_search("my_space", tmp_path, "--trials", "4")
    assert len(trials) == 4
    assert max(trial.epochs[-1].metrics["f1"] for trial in trials) > 0.7
    resumed, more = run_search("my_space", tmp_path, "--trials", "5", "--resume")
    assert [trial.parameters for trial in more[:4]] == [trial.parameters for trial in trials]
    assert len(more) == 5, resumed


def logged_splits(storage: Path, search: str) -> dict[str, tuple[str, str]]:
    """Return digest and profile of the splits that the run of a search has in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    experiment = client.get_experiment_by_name(search)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.role = 'search'")
    return {i.dataset.name: (i.dataset.digest, i.dataset.profile) for i in run.inputs.dataset_inputs}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "metric", "bound", "splits"),
    [
        ("mlp_space", "accuracy", 0.8, {"train": 640, "validate": 160, "test": 200}),
        ("my_data_space", "accuracy", 0.8, {"train": 720, "validate": 240, "test": 240}),
        ("no_data_space", "height", -6, {}),
    ],
)
def test_a_search_over_own_data_or_none(
    tmp_path: Path, space: str, metric: str, bound: float, splits: dict[str, int]
) -> None:
    make_arrays.main()
    output, trials = run_search(space, tmp_path, "--trials", "2")
    sign = -1 if bound < 0 else 1
    assert max(sign * trial.epochs[-1].metrics[metric] for trial in trials) > bound
    assert ("\ntests    " in output) == bool(splits)
    logged = logged_splits(tmp_path, space)
    assert {name: next(iter(json.loads(profile).values())) for name, (_, profile) in logged.items()} == splits
    assert len({digest for digest, _ in logged.values()}) == len(splits)


@pytest.mark.slow
def test_a_search_over_a_function(tmp_path: Path) -> None:
    output, trials = run_search("function_space", tmp_path, "--trials", "2")
    assert [len(trial.epochs) for trial in trials] == [5, 5]
    assert all(trial.epochs[0].metrics["error"] > trial.epochs[-1].metrics["error"] for trial in trials)
    assert "tests " not in output


SMALL_ROOM = [
    "dataset.train=600",
    "dataset.validate=100",
    "dataset.tests={one: 100}",
    "dataset.excerpts=8",
    "budget.epochs=3",
]


@pytest.mark.slow
@pytest.mark.parametrize("space", ["delay_space", "tcn_space"])
def test_a_search_over_room_data(space: str, tmp_path: Path) -> None:
    changes = [word for change in SMALL_ROOM for word in ("--set", change)]
    _, trials = run_search(space, tmp_path, "--trials", "3", *changes)
    errors = [trial.epochs[-1].metrics["error_m"] for trial in trials if trial.epochs]
    assert min(errors) < 2.2  # a constant guess at the centre of the room is off by 2.3 m on average
