"""MLflow's store may be deleted: `search.record` writes all runs of a search anew from its study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from mlflow import MlflowClient

from search import export
from search.launching.lock import hold_lock
from search.record import main
from search.results import SearchFolder
from search.study.study import read_trials
from tests.e2e.killed import start_command
from tests.e2e.test_confirm import SPACE

NOT_REBUILT: Final = ("system/", "data_seconds")
"""Metrics of a launch, of which the study knows nothing."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Storage folder of a search with two confirmed starts that has ended."""
    folder = tmp_path_factory.mktemp("recorded")
    space = folder / "planted.yaml"
    space.write_text(yaml.safe_dump(SPACE | {"fixed": {"epoch_seconds": 0.0}}))
    launched = start_command("search.launch", space, "--set", "budget.trials=4")
    output = launched.communicate()[0]
    assert launched.returncode == 0, output
    return folder / "runs"


def read_runs(storage: Path) -> dict[str, dict[str, Any]]:
    """Return everything that MLflow holds about the active runs of the search, by their names."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("planted")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    assert len(set(names.values())) == len(names)
    return {
        run.info.run_name: {
            "status": run.info.status,
            "above": names.get(run.data.tags.get("mlflow.parentRunId", "")),
            "params": run.data.params,
            "tags": {
                name: value.replace(str(storage), "STORAGE")
                for name, value in run.data.tags.items()
                if name != "mlflow.parentRunId"
            },
            "metrics": {
                name: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
                if not name.startswith(NOT_REBUILT)
            },
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
            "data": sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
            "started": run.info.start_time // 60_000,
        }
        for run in runs
    }


def require_same(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> None:
    assert now.keys() == before.keys()
    for name, run in before.items():
        started, again = run.pop("started"), now[name].pop("started")
        assert abs(started - again) <= 1, name
        assert now[name] == run, name


@pytest.mark.slow
def test_a_search_has_named_and_described_runs_with_roles_and_files(finished: Path) -> None:
    runs = read_runs(finished)
    proposed = next(name for name in runs if name.startswith("#3 x="))
    confirmations = [f"confirm #{number} seed {seed}" for number in range(4) for seed in (1001, 1002)]
    assert {name: run["tags"]["role"] for name, run in runs.items()} == {
        "search planted": "search",
        "#0 baseline": "baseline",
        "#1 start 0": "start",
        "#2 start 1": "winner",
        proposed: "trial",
        **dict.fromkeys(confirmations, "confirmation"),
    }
    assert runs["confirm #2 seed 1001"]["above"] == "#2 start 1"
    assert runs["#2 start 1"]["above"] == "search planted"
    assert {"space.yaml", "winner.yaml", "report.html", "result.json"} <= set(runs["search planted"]["files"])
    for name in ("#0 baseline", "#1 start 0", "#2 start 1"):
        assert "model.pt" in runs[name]["files"]
    assert "report.html" in runs["search planted"]["tags"]["mlflow.note.content"]
    assert "Baseline" in runs["#0 baseline"]["tags"]["mlflow.note.content"]
    assert all(run["tags"]["mlflow.user"] and run["tags"]["git.commit"] for run in runs.values())


@pytest.mark.slow
def test_the_file_of_the_winner_is_that_of_an_export(finished: Path, tmp_path: Path) -> None:
    exported = tmp_path / "winner.yaml"
    assert export.main(["planted", "--storage", str(finished), "-o", str(exported)]) == 0
    written = SearchFolder(finished, "planted").winner_path
    assert yaml.safe_load(written.read_text()) == yaml.safe_load(exported.read_text())


@pytest.mark.slow
def test_a_deleted_store_is_written_anew_and_equals_the_former_one(finished: Path, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    shutil.copytree(finished, storage, ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts"))
    before = read_runs(finished)
    journal = SearchFolder(storage, "planted").journal_path
    former = {trial.run_id for trial in read_trials(journal)}
    assert main(["planted", "--storage", str(storage)]) == 0
    require_same({name: dict(run) for name, run in before.items()}, read_runs(storage))
    assert not former & {trial.run_id for trial in read_trials(journal)}
    assert main(["planted", "--storage", str(storage)]) == 0  # nothing is missing, and nothing is written twice
    require_same(before, read_runs(storage))


@pytest.mark.slow
def test_a_store_is_rebuilt_without_what_was_changed_in_it(finished: Path, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    shutil.copytree(finished, storage)
    before = read_runs(finished)
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    baseline = str(read_trials(SearchFolder(storage, "planted").journal_path)[0].run_id)
    client.set_tag(baseline, "role", "changed")
    client.log_metric(baseline, "recall", 9.0, step=1)
    assert main(["planted", "--rebuild", "--storage", str(storage)]) == 0
    require_same(before, read_runs(storage))
    assert client.get_run(baseline).info.lifecycle_stage == "deleted"


@pytest.mark.slow
def test_runs_are_not_recorded_while_the_search_runs(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = tmp_path / "runs"
    shutil.copytree(finished / "searches", storage / "searches")
    with hold_lock(SearchFolder(storage, "planted")):
        assert main(["planted", "--storage", str(storage)]) == 2
    assert "one launch at a time may run a search" in capsys.readouterr().err
