"""MLflow mirrors the study, also after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from datasets.registry import prepare_dataset
from datasets.rooms.spec import RoomSpec
from runtime.storage import storage_at
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.metrics import end_tags
from search.reporting.mlflow.store import MlflowStore, search_links
from search.reporting.mlflow.views import TableView
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space

pytestmark = pytest.mark.slow  # creating MLflow's database takes seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    return MlflowStore.from_uri(tmp_path_factory.mktemp("mlflow"), None)


def open_trials(logger: MlflowLogger, study: Study, count: int) -> None:
    parent_run_id = logger.open_run(study.parent_run_id(), "search", {"epochs": 9}, {"role": "search"})
    assert parent_run_id is not None
    study.set_parent_run_id(parent_run_id)
    for _ in range(count):
        trial = study.next_trial()
        assert trial is not None
        tags = {"trial": str(trial.number), "role": "trial"}
        run_id = logger.open_run(trial.run_id, f"trial {trial.number}", trial.parameters, tags, study.parent_run_id())
        assert run_id is not None
        study.set_run_id(trial.number, run_id)


def test_an_epoch_is_logged_with_its_inference_params_and_a_run_ends_with_a_reason(
    store: MlflowStore, tmp_path: Path
) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "one")
    open_trials(logger, study, 1)
    trial = study.get_trial(0)
    assert trial.run_id is not None
    logger.log_epoch(trial.run_id, epoch(1, 0.25))
    study.record_epoch(0, epoch(1, 0.25))
    study.end_trial(0, "stopped", "lost its rung")
    logger.end_run(trial.run_id, "FINISHED", end_tags(study.get_trial(0)))
    logger.close()
    assert logger.problems == []
    run = MlflowClient(store.uri).get_run(trial.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["f1_0.3m"] == 0.25
    assert run.data.metrics["setting.threshold"] == 0.6
    assert run.data.params["optimizer.lr"] == "0.0001"
    assert run.data.tags["reason"] == "lost its rung"
    assert run.data.tags["mlflow.parentRunId"] == study.parent_run_id()


def test_a_dataset_is_logged_with_its_digests_and_without_the_buckets_credentials(
    store: MlflowStore, tmp_path: Path
) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "data")
    open_trials(logger, study, 1)
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    source = prepare_dataset(RoomSpec.model_validate({"train": 8, "validate": 4, "tests": {"S0": 2}}), "tests")
    logger.log_dataset(run_id, storage_at("s3://key:secret@bucket/prefix?endpoint_override=host"), source)
    logger.close()
    assert logger.problems == []
    logged = MlflowClient(store.uri).get_run(run_id).inputs.dataset_inputs
    assert {(i.dataset.name, i.dataset.digest, i.tags[0].value) for i in logged} == {
        (split.name, split.digest, context)
        for split, context in zip(source.list_splits(), ("training", "validation", "test"), strict=True)
    }
    assert {i.dataset.source for i in logged} == {
        f'{{"uri": "s3://bucket/prefix/{split.folder}"}}' for split in source.list_splits()
    }


def test_reconciling_logs_missing_epochs_and_ends_running_runs(store: MlflowStore, tmp_path: Path) -> None:
    study, logger = Study(tmp_path / "journal", space(budget=Budget(trials=3, epochs=9))), MlflowLogger(store, "two")
    open_trials(logger, study, 2)
    orphan = logger.open_run(
        None, "orphan", {}, {}, study.parent_run_id()
    )  # killed before its id was recorded in the study
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    logger.log_epoch(run_id, epoch(1, 0.1))
    logger.close()  # as if killed here: epochs 2 and 3 and the outcome never reach MLflow
    for number, f1 in ((1, 0.1), (2, 0.2), (3, 0.3)):
        study.record_epoch(0, epoch(number, f1))
    study.end_trial(0, "finished", "")

    restarted = MlflowLogger(store, "two")
    restarted.reconcile(Study(tmp_path / "journal", space(budget=Budget(trials=3, epochs=9))))
    restarted.close()
    client = MlflowClient(store.uri)
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "f1_0.3m")] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert client.get_run(orphan).info.status == "KILLED"
    assert client.get_run(orphan).info.lifecycle_stage == "deleted"  # it has no epochs, and its trial gets another run


@pytest.mark.parametrize("outcome", ["finished", "paused"])
def test_reconciling_logs_what_a_trial_did_after_its_pause_while_mlflow_was_away(
    outcome: str, store: MlflowStore, tmp_path: Path
) -> None:
    searched = space(budget=Budget(trials=1, epochs=9))
    study, logger = Study(tmp_path / "journal", searched), MlflowLogger(store, f"pause {outcome}")
    open_trials(logger, study, 1)
    run_id = str(study.get_trial(0).run_id)
    study.record_epoch(0, epoch(1, 0.1))
    study.pause_trial(0, "waits, 2 of 2 after 1 epoch")
    logger.finish_trial(study.get_trial(0))
    logger.reconcile(study)
    logger.close()  # MLflow is away from here on
    continued = study.next_trial()
    assert continued is not None
    for number, f1 in ((2, 0.2), (3, 0.3)):
        study.record_epoch(0, epoch(number, f1))
    if outcome == "finished":
        study.end_trial(0, "finished", "")
    else:
        study.pause_trial(0, "waits, 2 of 2 after 3 epochs")

    restarted = MlflowLogger(store, f"pause {outcome}")
    restarted.reconcile(study)
    restarted.close()
    client = MlflowClient(store.uri)
    assert [metric.step for metric in client.get_metric_history(run_id, "f1_0.3m")] == [1, 2, 3]
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["outcome"], run.data.tags["epochs"]) == ("FINISHED", outcome, "3")


def test_an_interrupted_run_continues_under_its_id(store: MlflowStore, tmp_path: Path) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "three")
    open_trials(logger, study, 1)
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    logger.end_run(run_id, "KILLED", {"outcome": "interrupted"})
    logger.close()
    restarted = MlflowLogger(store, "three")
    assert restarted.open_run(run_id, "trial 0", {"optimizer.lr": 0.0001}, {}, study.parent_run_id()) == run_id
    restarted.close()
    assert MlflowClient(store.uri).get_run(run_id).info.status == "RUNNING"


def test_a_refused_request_is_recorded_and_does_not_raise(store: MlflowStore, tmp_path: Path) -> None:
    logger = MlflowLogger(store, "four")
    logger.log_artifact("no-such-run", tmp_path / "nothing")
    logger.close()
    assert len(logger.problems) == 1


VIEW = TableView.of_search((("f1@0.3", "maximize"),), ["S0"], ["optimizer.lr", "grid.cells"])


def read_view(store: MlflowStore, name: str, parent: str) -> dict[str, Any]:
    """Return the stored view of a search."""
    experiment = MlflowClient(store.uri).get_experiment_by_name(name)
    assert experiment is not None
    content: dict[str, Any] = json.loads(experiment.tags[f"mlflow.sharedViewState.{parent}"])
    return content


def test_the_table_of_a_search_has_its_trials_by_objective_with_their_parameters(
    store: MlflowStore, tmp_path: Path
) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "five")
    open_trials(logger, study, 2)
    parent = str(study.parent_run_id())
    logger.set_view(parent, VIEW)
    logger.close()
    [(name, link)] = search_links(store, parent, None)
    assert name == "five"
    assert link.endswith(f"/runs?workflowType=machine_learning&viewStateShareKey={parent}")
    view = read_view(store, "five", parent)
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`f1_x40_0.3`", False)
    assert {"metrics.`f1_x40_0.3`", "metrics.`test.S0.f1_x40_0.3`", "params.`optimizer.lr`"} <= set(
        view["selectedColumns"]
    )
    found = MlflowClient(store.uri).search_runs([link.split("/")[2]], view["searchFilter"])
    assert {run.info.run_id for run in found} == {study.get_trial(number).run_id for number in (0, 1)}


def test_a_search_of_an_earlier_version_gets_its_view_when_it_is_linked(store: MlflowStore, tmp_path: Path) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "older")
    open_trials(logger, study, 1)
    logger.close()
    parent = str(study.parent_run_id())
    assert "viewStateShareKey" not in dict(search_links(store, None, None))["older"]
    assert "viewStateShareKey" in dict(search_links(store, parent, VIEW))["older"]
    assert read_view(store, "older", parent)["orderByAsc"] is False
    assert search_links(store, "no such run", VIEW) == []


def test_a_view_of_very_many_dimensions_is_one_that_mlflow_accepts(store: MlflowStore, tmp_path: Path) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "many")
    open_trials(logger, study, 1)
    parent = str(study.parent_run_id())
    names = [f"group_{number}.a_rather_long_name" for number in range(500)]
    logger.set_view(parent, TableView.of_search((("loss", "minimize"),), [], names))
    logger.close()
    assert logger.problems == []
    view = read_view(store, "many", parent)
    assert view["orderByAsc"] is True
    assert 50 < len(view["selectedColumns"]) < 200


@pytest.mark.parametrize("reason", ["database is locked", "database or disk is full", "disk I/O error"])
def test_a_database_that_is_full_or_locked_is_a_problem_and_costs_no_result(
    reason: str, store: MlflowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, reason.replace("/", ""))
    open_trials(logger, study, 1)
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    asked: list[str] = []

    def fail(*_: object, **__: object) -> None:
        asked.append("a request")
        raise MlflowException(f"(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) {reason}")

    with monkeypatch.context() as patch:
        for method in ("get_run", "log_batch", "create_run", "update_run", "set_terminated"):
            patch.setattr(MlflowClient, method, fail)
        assert logger.open_run(run_id, "trial 0", {}, {}) is None  # no second run is created
        study.record_epoch(0, epoch(1, 0.5))
        logger.log_epoch(run_id, epoch(1, 0.5))
        study.end_trial(0, "stopped", "by a rung")
        logger.finish_trial(study.get_trial(0))
        logger.end_run(run_id, "FINISHED", {})
    assert len(asked) == 1  # a request for a locked database waits, so they pause
    assert logger.problems == [f"MlflowException: {reason}"]
    logger.reconcile(study)
    logger.close()
    assert [m.step for m in MlflowClient(store.uri).get_metric_history(run_id, "f1_0.3m")] == [1]
    assert MlflowClient(store.uri).get_run(run_id).info.status == "FINISHED"
    assert "Traceback" not in capfd.readouterr().err
