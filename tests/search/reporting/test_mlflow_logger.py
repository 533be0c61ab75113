"""MLflow mirrors the study, also after the mirror was broken off."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from datasets import sources
from datasets.rooms.spec import RoomSpec
from runtime.storage import Store as DataStore
from search.reporting.mlflow_logger import MlflowLogger, MlflowStore, comparison_links, end_tags
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space

pytestmark = pytest.mark.slow  # creating MLflow's database takes seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    return MlflowStore.from_uri(tmp_path_factory.mktemp("mlflow"), None)


def open_trials(tracker: MlflowLogger, study: Study, how_many: int) -> None:
    study.set_parent_run_id(tracker.open_run(study.parent_run_id(), "search", {"epochs": 9}, {"role": "search"}))
    for _ in range(how_many):
        trial = study.next_trial()
        assert trial is not None
        tags = {"trial": str(trial.number)}
        run_id = tracker.open_run(trial.run_id, f"trial {trial.number}", trial.parameters, tags, study.parent_run_id())
        study.set_run_id(trial.number, run_id)


def test_an_epoch_is_logged_with_its_setting_and_a_run_ends_with_its_reason(store: MlflowStore, tmp_path: Path) -> None:
    study, tracker = Study(tmp_path / "journal", space()), MlflowLogger(store, "one")
    open_trials(tracker, study, 1)
    trial = study.get_trial(0)
    assert trial.run_id is not None
    tracker.log_epoch(trial.run_id, epoch(1, 0.25))
    study.record_epoch(0, epoch(1, 0.25))
    study.end_trial(0, "stopped", "lost its rung")
    tracker.end_run(trial.run_id, "FINISHED", end_tags(study.get_trial(0)))
    tracker.close()
    assert tracker.problems == []
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
    study, tracker = Study(tmp_path / "journal", space()), MlflowLogger(store, "data")
    open_trials(tracker, study, 1)
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    source = sources.prepare_dataset(RoomSpec.model_validate({"train": 8, "validate": 4, "tests": {"S0": 2}}), "tests")
    tracker.log_data(run_id, DataStore("s3://key:secret@bucket/prefix?endpoint_override=host"), source)
    tracker.close()
    assert tracker.problems == []
    logged = MlflowClient(store.uri).get_run(run_id).inputs.dataset_inputs
    assert {(i.dataset.name, i.dataset.digest, i.tags[0].value) for i in logged} == {
        (split.name, split.digest, context)
        for split, context in zip(source.list_splits(), ("training", "validation", "test"), strict=True)
    }
    assert {i.dataset.source for i in logged} == {
        f'{{"uri": "s3://bucket/prefix/{split.folder}"}}' for split in source.list_splits()
    }


def test_reconciling_logs_what_was_lost_and_ends_what_was_left_running(store: MlflowStore, tmp_path: Path) -> None:
    study, tracker = Study(tmp_path / "journal", space(budget=Budget(trials=3, epochs=9))), MlflowLogger(store, "two")
    open_trials(tracker, study, 2)
    orphan = tracker.open_run(None, "orphan", {}, {}, study.parent_run_id())  # killed before the study learned its id
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    tracker.log_epoch(run_id, epoch(1, 0.1))
    tracker.close()  # as if killed here: epochs 2 and 3 and the end never reach MLflow
    for number, f1 in ((1, 0.1), (2, 0.2), (3, 0.3)):
        study.record_epoch(0, epoch(number, f1))
    study.end_trial(0, "finished", "")

    again = MlflowLogger(store, "two")
    again.reconcile(Study(tmp_path / "journal", space(budget=Budget(trials=3, epochs=9))))
    again.close()
    client = MlflowClient(store.uri)
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "f1_0.3m")] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert client.get_run(orphan).info.status == "KILLED"


def test_an_interrupted_run_goes_on_under_its_old_id(store: MlflowStore, tmp_path: Path) -> None:
    study, tracker = Study(tmp_path / "journal", space()), MlflowLogger(store, "three")
    open_trials(tracker, study, 1)
    run_id = study.get_trial(0).run_id
    assert run_id is not None
    tracker.end_run(run_id, "KILLED", {"outcome": "interrupted"})
    tracker.close()
    again = MlflowLogger(store, "three")
    assert again.open_run(run_id, "trial 0", {"optimizer.lr": 0.0001}, {}, study.parent_run_id()) == run_id
    again.close()
    assert MlflowClient(store.uri).get_run(run_id).info.status == "RUNNING"


def test_a_store_that_refuses_is_reported_and_does_not_raise(store: MlflowStore, tmp_path: Path) -> None:
    tracker = MlflowLogger(store, "four")
    tracker.log_file("no-such-run", tmp_path / "nothing")
    tracker.close()
    assert len(tracker.problems) == 1


def test_the_trials_of_a_search_are_linked_side_by_side(store: MlflowStore, tmp_path: Path) -> None:
    study, tracker = Study(tmp_path / "journal", space()), MlflowLogger(store, "five")
    open_trials(tracker, study, 2)
    tracker.close()
    [(name, link)] = comparison_links(store, "five")
    assert name == "five"
    assert link.startswith("#/compare-runs?runs=")
    for number in (0, 1):
        assert str(study.get_trial(number).run_id) in link
    assert str(study.parent_run_id()) not in link
