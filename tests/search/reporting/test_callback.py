"""Models that may be removed when a trial has ended, and the tags of a run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from datasets.registry import prepare_dataset
from runtime.console import Console
from runtime.machines import machine
from runtime.storage import storage_at
from search.execution.dataset_provider import DatasetSupplier
from search.experiment import Experiment
from search.reporting.callback import KEPT_MODELS, SearchCallback, prunable_models
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.runs import provenance_tags
from search.reporting.mlflow.store import MlflowStore
from search.reporting.progress import SearchProgress
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget, Stopping
from tests.search.support import epoch, space


def test_weights_of_the_best_the_baseline_and_what_runs_are_kept(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=12, epochs=9))
    study = Study(tmp_path / "journal", searched)
    for number in range(12):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.01 * number))
        if number != 1:
            study.end_trial(number, "failed" if number == 11 else "stopped", "")
    gone = prunable_models(study.get_trials(), searched)
    best = list(range(11 - KEPT_MODELS, 11))
    assert set(gone) == set(range(12)) - {0, 1, 11, *best}  # 11 may be taken up again


def test_checkpoints_that_a_killed_launch_left_are_removed_when_the_search_ends(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=3, epochs=9))
    study = Study(tmp_path / "journal", searched)
    results = SearchFolder(tmp_path, "toy")
    for number in range(3):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.01 * number))
        with results.write_file(results.checkpoint_path(number)) as temporary:
            temporary.write_bytes(b"state")
    study.end_trial(0, "finished", "")
    study.end_trial(1, "failed", "")  # and the process was killed before it removed their files
    experiment = Experiment(searched, prepare_dataset(searched.dataset, "tests"), results, storage_at(str(tmp_path)))
    console = Console(StringIO())
    logger = MlflowLogger(MlflowStore.from_uri(tmp_path, None), "toy")
    progress = SearchProgress(console, searched, 1)
    callback = SearchCallback(experiment, study, logger, progress, DatasetSupplier.in_process(experiment, console))
    callback.on_search_end()
    logger.close()
    assert results.checkpointed_trials() == {1, 2}  # of which 1 may be taken up again, and 2 is still running


def test_the_files_of_a_failed_trial_move_to_the_one_that_takes_it_up(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=1, epochs=9))
    study = Study(tmp_path / "journal", searched)
    results = SearchFolder(tmp_path, "toy")
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.1))
    paths = (results.checkpoint_path(0), results.model_path(0))
    for path in paths:
        with results.write_file(path) as temporary:
            temporary.write_text(path.name)
    experiment = Experiment(searched, prepare_dataset(searched.dataset, "tests"), results, storage_at(str(tmp_path)))
    console = Console(StringIO())
    logger = MlflowLogger(MlflowStore.from_uri(tmp_path, None), "toy")
    progress = SearchProgress(console, searched, 1)
    callback = SearchCallback(experiment, study, logger, progress, DatasetSupplier.in_process(experiment, console))
    study.end_trial(0, "failed", "a reason")
    callback.on_trial_end(study.get_trial(0))
    callback.on_search_end()
    assert all(path.is_file() for path in paths)
    (number,) = study.retry_failed().values()
    callback.on_search_end()
    assert all(path.is_file() for path in paths)  # the retry has not begun
    for _ in range(2):  # a crash in between does no harm
        callback.on_trial_start(study.get_trial(number))
    assert not any(path.exists() for path in paths)
    assert results.checkpoint_path(number).read_text() == "checkpoint.pt"
    assert results.model_path(number).read_text() == "model.pt"
    study.end_trial(number, "finished", "")
    callback.on_trial_end(study.get_trial(number))
    logger.close()
    assert results.checkpointed_trials() == set()


def test_the_tags_of_a_run_name_what_its_results_depend_on(tmp_path: Path) -> None:
    searched = space()
    dataset = prepare_dataset(searched.dataset, "tests")
    tags = provenance_tags(Experiment(searched, dataset, SearchFolder(tmp_path, "toy"), storage_at(str(tmp_path))))
    assert tags["dataset"] == dataset.fingerprint
    assert tags["version.torch"] == machine.package_versions()["torch"]
    assert tags["version.project"] == machine.project_digest()  # also where there is no repository
    assert tags["git.commit"] == machine.git_commit()


def test_paused_trials_are_stopped_once_their_files_exceed_the_space_for_them(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=9, epochs=9), stopping=Stopping(disk_gb=2.5e-6))
    study = Study(tmp_path / "journal", searched)
    results = SearchFolder(tmp_path, "toy")
    experiment = Experiment(searched, prepare_dataset(searched.dataset, "tests"), results, storage_at(str(tmp_path)))
    console = Console(StringIO())
    logger = MlflowLogger(MlflowStore.from_uri(tmp_path, None), "toy")
    progress = SearchProgress(console, searched, 1)
    callback = SearchCallback(experiment, study, logger, progress, DatasetSupplier.in_process(experiment, console))
    for number, f1 in enumerate((0.9, 0.3, 0.2, 0.4)):
        trial = study.next_trial()
        assert trial is not None
        callback.on_trial_start(trial)
        study.record_epoch(number, epoch(1, f1))
        if number:
            with results.write_file(results.checkpoint_path(number)) as temporary:
                temporary.write_bytes(bytes(1000))
            study.pause_trial(number, "waits")
            callback.on_trial_end(study.get_trial(number))
    logger.close()
    assert [trial.outcome for trial in study.get_trials()] == ["running", "paused", "stopped", "paused"]
    assert study.get_trial(2).reason == "waited, and its files exceed the 2.5e-06 GB for waiting trials"
    assert results.checkpointed_trials() == {1, 3}
