"""Reports of failures and interruptions."""

from __future__ import annotations

import dataclasses
from io import StringIO
from pathlib import Path

import pytest

from datasets.registry import prepare_dataset
from runtime.console import Console
from runtime.storage import storage_at
from search.experiment import Experiment
from search.reporting import report
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


@pytest.mark.parametrize(
    ("winner", "title", "columns"),
    [
        (0, "No trial beat the baseline.\n\nThe baseline, on the test splits", ["value"]),
        (1, "Trial 1 and the baseline, on the test splits", ["winner", "baseline"]),
    ],
)
def test_test_scores_are_printed_also_if_the_baseline_is_best(
    tmp_path: Path, winner: int, title: str, columns: list[str]
) -> None:
    out, study = StringIO(), study_with(tmp_path, "finished", "finished")
    for number in (0, 1):
        study.set_test_scores(number, {"test": {"score": 0.25}})
    report.print_test_scores(Console(out), SPACE, study.get_trial(winner), study.get_trial(0), ["score"])
    lines = out.getvalue().strip().splitlines()
    assert "\n".join(lines).startswith(title)
    assert [line.split()[3:] for line in lines if line.startswith("test split")] == [columns]
    assert "0.250" in lines[-1]


def test_the_title_mentions_inference_parameters_only_if_there_are_any(tmp_path: Path) -> None:
    study = study_with(tmp_path, "finished")
    study.set_test_scores(0, {"test": {"score": 0.25}})
    with_inner = dataclasses.replace(SPACE, inner={"threshold": (0.1, 0.5)})
    for used, mentioned in ((dataclasses.replace(SPACE, inner={}), False), (with_inner, True)):
        out = StringIO()
        report.print_test_scores(Console(out), used, study.get_trial(0), study.get_trial(0), ["score"])
        assert ("(inference parameters chosen on validation)" in out.getvalue()) is mentioned


def test_a_failed_baseline_is_in_the_table(tmp_path: Path) -> None:
    table = format_best_trials(study_with(tmp_path, "failed", "finished").get_trials(), SPACE, [])
    rows = [line.split() for line in table.splitlines()]
    assert rows[-1][:5] == ["0", "(baseline)", "–", "0", "failed"]


def test_an_interruption_lists_what_continues_and_the_missing_baseline(experiment: Experiment, tmp_path: Path) -> None:
    out = StringIO()
    study = study_with(tmp_path, "failed", "finished", "running")
    report.write_interim_report(experiment, study, Console(out), made_progress=False)
    printed = out.getvalue()
    assert "2 of 6 trials have ended, 1 paused and will continue (2 after epoch 1)" in printed
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
