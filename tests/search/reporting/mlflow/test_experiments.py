"""Runs and experiments that were deleted, renamed or archived, and values that MLflow takes in another form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from runtime.errors import InputError
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.store import MlflowStore
from search.study.study import Study, read_parent_run_id
from search.study.trials import Epoch
from spaces.schema import Budget
from tests.search.support import epoch, space

pytestmark = pytest.mark.slow  # creating MLflow's database takes seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    return MlflowStore.from_uri(tmp_path_factory.mktemp("mlflow"), None)


@pytest.fixture
def client(store: MlflowStore) -> MlflowClient:
    return MlflowClient(store.uri)


def run_search(store: MlflowStore, name: str, folder: Path) -> Study:
    """Run a search of two trials, of which the first has ended."""
    study = Study(folder / "journal", space(budget=Budget(trials=3, epochs=2)))
    logger = MlflowLogger(store, name)
    parent = logger.open_run(None, "search", {}, {"role": "search"})
    assert parent is not None
    study.set_parent_run_id(parent)
    for _ in range(2):
        trial = study.next_trial()
        assert trial is not None
        run_id = logger.open_run(None, f"trial {trial.number}", trial.parameters, {"trial": str(trial.number)}, parent)
        assert run_id is not None
        study.set_run_id(trial.number, run_id)
        study.record_epoch(trial.number, epoch(1, 0.5))
        logger.log_epoch(run_id, epoch(1, 0.5))
    study.end_trial(0, "finished", "")
    logger.finish_trial(study.get_trial(0))
    logger.close()
    assert logger.problems == []
    return study


def resume(store: MlflowStore, name: str, study: Study) -> MlflowLogger:
    """Resume a search as a launch does; return its logger, closed."""
    logger = MlflowLogger(store, name, study.parent_run_id())
    parent = logger.open_run(study.parent_run_id(), "search", {}, {"role": "search"})
    assert parent is not None
    study.set_parent_run_id(parent)
    logger.reconcile(study, lambda trial: logger.open_run(None, f"trial {trial.number}", {}, {}, parent))
    running = study.get_trial(1)
    run_id = logger.open_run(running.run_id, "trial 1", {}, {}, parent)
    assert run_id is not None
    study.set_run_id(1, run_id)
    logger.close()
    assert logger.problems == []
    return logger


def assert_complete(client: MlflowClient, study: Study, logger: MlflowLogger) -> None:
    """Check that all runs of a search are active, in one experiment, nested, and have each point once."""
    parent = study.parent_run_id()
    assert parent is not None
    for run_id in (parent, *(str(trial.run_id) for trial in study.get_trials())):
        run = client.get_run(run_id)
        assert (run.info.lifecycle_stage, run.info.experiment_id) == ("active", logger.experiment_id)
        assert run.data.tags.get("mlflow.parentRunId", parent) == parent
    ended = str(study.get_trial(0).run_id)
    assert [metric.step for metric in client.get_metric_history(ended, "f1_0.3m")] == [1]
    assert client.get_run(ended).info.status == "FINISHED"


def test_a_deleted_experiment_is_restored(store: MlflowStore, client: MlflowClient, tmp_path: Path) -> None:
    study = run_search(store, "deleted", tmp_path)
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    logger = resume(store, "deleted", study)
    assert_complete(client, study, logger)
    assert logger.notices == ["the deleted experiment 'deleted' and its runs are restored"]


def test_deleted_runs_are_restored(store: MlflowStore, client: MlflowClient, tmp_path: Path) -> None:
    study = run_search(store, "deleted runs", tmp_path)
    runs = [study.parent_run_id(), *(trial.run_id for trial in study.get_trials())]
    for run_id in runs:
        client.delete_run(run_id)
    logger = resume(store, "deleted runs", study)
    assert_complete(client, study, logger)
    assert [study.parent_run_id(), *(trial.run_id for trial in study.get_trials())] == runs
    assert len(logger.notices) == 3


def test_runs_that_were_removed_for_good_are_written_anew(
    store: MlflowStore, client: MlflowClient, tmp_path: Path
) -> None:
    study = run_search(store, "removed", tmp_path)
    database = SqlAlchemyStore(store.uri, str(store.artifacts))
    database._hard_delete_run(study.parent_run_id())
    assert_complete(client, study, resume(store, "removed", study))
    database._hard_delete_run(study.get_trial(0).run_id)
    assert_complete(client, study, resume(store, "removed", study))
    experiment = client.get_experiment_by_name("removed").experiment_id
    client.delete_experiment(experiment)
    database._hard_delete_experiment(experiment)
    logger = resume(store, "removed", study)
    assert_complete(client, study, logger)


def test_a_renamed_experiment_remains_that_of_its_search(
    store: MlflowStore, client: MlflowClient, tmp_path: Path
) -> None:
    study = run_search(store, "before", tmp_path)
    client.rename_experiment(client.get_experiment_by_name("before").experiment_id, "after")
    assert_complete(client, study, resume(store, "before", study))
    assert client.get_experiment_by_name("before") is None


def test_a_new_search_does_not_mix_with_the_archived_one(
    store: MlflowStore, client: MlflowClient, tmp_path: Path
) -> None:
    study = run_search(store, "fresh", tmp_path)
    archived = client.get_experiment_by_name("fresh").experiment_id
    parent = read_parent_run_id(tmp_path / "journal")
    assert parent == study.parent_run_id()
    new = MlflowLogger(store, "fresh", None, {str(parent): "fresh.old1"})
    new.close()
    assert new.experiment_id != archived
    assert client.get_experiment(archived).name == "fresh.old1"
    assert client.get_experiment(new.experiment_id).name == "fresh"
    assert client.get_run(parent).info.run_name == "search fresh.old1"
    assert_complete(client, study, resume(store, "fresh.old1", study))


def test_a_search_of_another_storage_keeps_its_experiment(
    store: MlflowStore, client: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    archived = run_search(store, "shared", tmp_path)
    other = run_search(store, "shared", tmp_path / "other")
    new = MlflowLogger(store, "shared", None, {str(archived.parent_run_id()): "shared.old1"})
    new.close()
    assert client.get_run(other.parent_run_id()).info.experiment_id == new.experiment_id


def test_a_new_search_does_not_bring_back_a_deleted_experiment(
    store: MlflowStore, client: MlflowClient, tmp_path: Path
) -> None:
    run_search(store, "over", tmp_path)
    deleted = client.get_experiment_by_name("over").experiment_id
    client.delete_experiment(deleted)
    new = MlflowLogger(store, "over")
    new.close()
    assert new.experiment_id != deleted
    assert client.get_experiment(deleted).lifecycle_stage == "deleted"


def test_an_epoch_without_loss_is_logged_once(store: MlflowStore, client: MlflowClient, tmp_path: Path) -> None:
    study, logger = Study(tmp_path / "journal", space()), MlflowLogger(store, "no loss")
    study.next_trial()
    run_id = logger.open_run(None, "trial 0", {}, {})
    assert run_id is not None
    study.set_run_id(0, run_id)
    for number in (1, 2):
        study.record_epoch(0, Epoch(number, {"f1_0.3m": 0.5}, {}, 1.0))
    logger.log_epoch(run_id, Epoch(1, {"f1_0.3m": 0.5}, {}, 1.0))
    study.end_trial(0, "finished", "")
    logger.finish_trial(study.get_trial(0))
    logger.close()
    assert [metric.step for metric in client.get_metric_history(run_id, "f1_0.3m")] == [1, 2]


def test_odd_names_and_values_lose_nothing(store: MlflowStore, client: MlflowClient) -> None:
    logger = MlflowLogger(store, "odd")
    parameters = {f"p{n}": n for n in range(150)} | {"a@b": "x" * 9000, "lines": "1\n2", "": 1, "x" * 300: 2}
    run_id = logger.open_run(None, "odd", parameters, {"tag @": "1", "/": "2"})
    assert run_id is not None
    metrics = {"MAP@10": 0.25, "F1 (macro)": 0.5, "a:b": 1.0, "": 2.0, "y" * 300: 3.0, "nan": math.nan, "inf": math.inf}
    logger.log_epoch(run_id, Epoch(1, metrics | {f"m{n}": n for n in range(1100)}, {}, 1.0))
    logger.end_run(run_id, "FINISHED", {"why?": "done", "long": "z" * 9000})
    logger.close()
    assert logger.problems == []
    data = client.get_run(run_id).data
    assert len(data.metrics) == len(metrics) + 1101
    assert (data.metrics["MAP_x40_10"], data.metrics["F1 _x28_macro_x29_"]) == (0.25, 0.5)
    assert len(data.params) == 154
    assert data.tags["why_x3f_"] == "done"


def test_a_metric_that_a_store_rejects_does_not_take_others_with_it(
    store: MlflowStore, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.reporting.mlflow.metrics.encode_metric", lambda name: name)  # as for a stricter server
    logger = MlflowLogger(store, "strict")
    run_id = logger.open_run(None, "strict", {}, {})
    assert run_id is not None
    logger.log_values(run_id, {"good": 1.0, "bad@": 2.0, "also good": 3.0})
    logger.close()
    assert len(logger.problems) == 1
    assert client.get_run(run_id).data.metrics == {"good": 1.0, "also good": 3.0}


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="move the file away"):
        MlflowLogger(MlflowStore.from_uri(tmp_path, None), "any")
