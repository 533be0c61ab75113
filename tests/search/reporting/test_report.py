"""Reports of failures and interruptions."""

from __future__ import annotations

import dataclasses
from io import StringIO
from pathlib import Path

import pytest
from mlflow import MlflowClient

from datasets.registry import prepare_dataset
from runtime.console import Console
from runtime.storage import storage_at
from runtime.uris import sqlite_uri
from search.experiment import Experiment
from search.reporting import report
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.store import MlflowStore
from search.reporting.next_steps import list_result_commands
from search.reporting.progress import format_best_trials
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space

CAUSE = "NameError: lamda is not defined at toy.py:22 (see runs/log.txt)"
SPACE = space(budget=Budget(trials=6, epochs=9))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    dataset = prepare_dataset(SPACE.dataset, "tests")
    return Experiment(SPACE, dataset, SearchFolder(tmp_path, "toy"), storage_at(str(tmp_path)))


def study_with(folder: Path, *outcomes: str) -> Study:
    """Return a study with a trial per outcome; those that are not failed have an epoch."""
    study = Study(folder / "journal", SPACE)
    for number, outcome in enumerate(outcomes):
        study.next_trial()
        if outcome != "failed":
            study.record_epoch(number, epoch(1, 0.1 * number))
        if outcome == "failed":
            study.end_trial(number, "failed", CAUSE)
        elif outcome != "running":
            study.end_trial(number, "finished", "")
    return study


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [((), 0), (("running",), 0), (("failed", "failed"), 1), (("failed", "finished"), 0), (("failed", "running"), 0)],
)
def test_the_status_is_1_when_nothing_has_a_result(tmp_path: Path, outcomes: tuple[str, ...], status: int) -> None:
    assert report.exit_status(study_with(tmp_path, *outcomes), SPACE.objectives) == status


def test_failures_are_counted_and_named_with_their_log(experiment: Experiment, tmp_path: Path) -> None:
    out = StringIO()
    trials = study_with(tmp_path, "finished", "failed", "finished", "failed").get_trials()
    report.print_failures(experiment, trials, Console(out))
    assert "Failed: 2 of 4 trials" in out.getvalue()
    assert "trials 1, 3: NameError: lamda is not defined at toy.py:22\n" in out.getvalue()
    assert str(experiment.results.log_path(3)) in out.getvalue()


def test_without_failures_nothing_is_printed(experiment: Experiment, tmp_path: Path) -> None:
    out = StringIO()
    report.print_failures(experiment, study_with(tmp_path, "finished").get_trials(), Console(out))
    assert out.getvalue() == ""


def final_report(experiment: Experiment, study: Study, folder: Path) -> str:
    """Return what the end of a search prints; the trials have no models to score."""
    store = MlflowStore(sqlite_uri(folder / "mlflow.db"), (folder / "artifacts").as_uri())
    logger, out = MlflowLogger(store, "toy"), StringIO()
    try:
        report.write_final_report(experiment, study, logger, Console(out), lambda *_: {})
    finally:
        logger.close()
    assert not logger.problems
    return out.getvalue()


def without_predictor(experiment: Experiment) -> Experiment:
    """Return the experiment with a trainable that predicts nothing from recordings."""
    return dataclasses.replace(experiment, space=dataclasses.replace(SPACE, trainable="hnet"))


def test_the_end_of_a_search_is_kept_in_its_folder(experiment: Experiment, tmp_path: Path) -> None:
    study = study_with(tmp_path, "finished", "finished", "finished", "failed")
    for number in (0, 1, 2):
        study.set_test_scores(number, {"S0": {"f1_0.3m": 0.2 * number}})
    printed = final_report(experiment, study, tmp_path)
    assert "Trial 2 against start 0, the best of baseline and starts on validation" in printed
    assert "f1_0.3m on validation 0.200 : 0.100 (0.100 better); S0 0.400 : 0.200 (0.200 better)." in printed
    assert len(printed.splitlines()) <= 40
    page = (experiment.results.root_path / "result.md").read_text()
    assert all(line in page for line in printed.splitlines())
    assert "Spent    4 trials: 3 finished, 1 failed" in page
    assert f"-m search.predict {experiment.results.root_path} recording.wav" in page
    assert not any("predict" in command for command in list_result_commands(without_predictor(experiment), 2))
    assert "-m search.export toy --trial 2" in page
    content = experiment.results.read_result()
    assert content is not None
    assert (content["winner"], content["runner_up"], content["reference"]) == (2, 1, 1)
    assert [trial["role"] for trial in content["trials"]] == ["trial", "start 0", "baseline"]
    assert content["trials"][0]["setting"] == {"threshold": 0.6}
    assert content["spent"]["outcomes"] == {"finished": 3, "failed": 1}


def test_the_run_of_the_winner_is_tagged_until_another_trial_wins(experiment: Experiment, tmp_path: Path) -> None:
    store = MlflowStore(sqlite_uri(tmp_path / "mlflow.db"), (tmp_path / "artifacts").as_uri())
    logger, study = MlflowLogger(store, "toy"), study_with(tmp_path, "finished", "finished", "finished")
    runs = []
    try:
        for number in range(4):
            if number == 3:
                report.write_final_report(experiment, study, logger, Console(StringIO()), lambda *_: {})
                study.next_trial()
                study.record_epoch(3, epoch(1, 0.9))
                study.end_trial(3, "finished", "")
            run_id = logger.open_run(None, f"trial {number}", {}, {"role": "trial"})
            assert run_id is not None
            study.set_run_id(number, run_id)
            runs.append(run_id)
        report.write_final_report(experiment, study, logger, Console(StringIO()), lambda *_: {})
    finally:
        logger.close()
    client = MlflowClient(tracking_uri=store.uri)
    assert [client.get_run(run_id).data.tags["role"] for run_id in runs] == ["trial", "trial", "trial", "winner"]


def test_a_result_of_another_version_is_not_read(experiment: Experiment) -> None:
    path = experiment.results.root_path / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for text in ('{"version": 0}', "{", "[]"):
        path.write_text(text)
        assert experiment.results.read_result() is None


def test_a_failed_baseline_is_in_the_table(tmp_path: Path) -> None:
    table = format_best_trials(study_with(tmp_path, "failed", "finished").get_trials(), SPACE, [])
    rows = [line.split() for line in table.splitlines()]
    assert rows[-1][:5] == ["0", "(baseline)", "–", "0", "failed"]


def test_an_interruption_lists_what_continues_and_the_missing_baseline(experiment: Experiment, tmp_path: Path) -> None:
    out = StringIO()
    study = study_with(tmp_path, "failed", "finished", "running")
    report.write_interim_report(experiment, study, Console(out), made_progress=False)
    printed = out.getvalue()
    assert "2 of 6 trials have ended, 1 interrupted and will continue (2 after epoch 1)" in printed
    assert "give the next one more --hours" in printed
    assert "interim" in printed
    assert "no baseline to compare with: trial 0 failed (NameError" in printed


def test_a_common_failure_is_explained_with_log_and_command(experiment: Experiment, tmp_path: Path) -> None:
    out = StringIO()
    trials = study_with(tmp_path, "failed", "failed", "failed").get_trials()
    report.print_common_failure(experiment, ("NameError: lamda", trials), Console(out), ["toy.yaml"])
    for words in (
        "failed alike (trials 0 (baseline), 1, 2)",
        "NameError: lamda",
        "log.txt",
        "toy.yaml --resume --retry failed",
    ):
        assert words in out.getvalue()
