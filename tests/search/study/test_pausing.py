"""Paused trials of a study: they wait with their epochs, continue once they are among the better ones, and survive a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.study.confirmations import choose_confirmed
from search.study.study import Study
from search.study.trials import Trial
from spaces.schema import Budget, Confirm, Space, Stopping, StoppingName
from tests.search.support import epoch, space


def searched(trials: int = 6) -> Space:
    return space(budget=Budget(trials=trials, epochs=9), stopping=Stopping(rule="asha", reduction=3, first_rung=1))


def start(study: Study, *values: float) -> None:
    """Train new trials for an epoch each, and pause those that may not continue."""
    for value in values:
        trial = study.next_trial()
        assert trial is not None
        assert not trial.epochs
        study.record_epoch(trial.number, epoch(1, value))
        if not study.may_continue(trial.number):
            study.pause_trial(trial.number, "waits")


def continue_paused(study: Study, number: int) -> Trial:
    trial = study.next_trial()
    assert trial is not None
    assert (trial.number, trial.outcome) == (number, "running")
    return trial


def outcomes(study: Study) -> list[str]:
    return [trial.outcome for trial in study.get_trials()]


def test_a_paused_trial_continues_from_its_epochs_once_it_is_among_the_better_third(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searched())
    start(study, 0.2, 0.5, 0.3)
    assert outcomes(study) == ["running", "paused", "paused"]
    assert study.get_trial(1).reason == "waits"
    assert continue_paused(study, 1).reason == ""
    start(study, 0.1, 0.1, 0.1)
    assert len(continue_paused(study, 2).epochs) == 1  # the second of six, of which two may continue
    study.record_epoch(2, epoch(2, 0.6))
    assert [e.epoch for e in study.get_trial(2).epochs] == [1, 2]


def test_paused_trials_wait_and_continue_in_a_later_process(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searched())
    start(study, 0.2, 0.5, 0.3)
    continue_paused(study, 1)
    start(study, 0.1)
    study.end_trial(0, "finished", "")
    study = Study(tmp_path / "journal", searched())
    assert outcomes(study) == ["finished", "running", "paused", "paused"]
    trial = study.next_trial()
    assert trial is not None
    assert trial.number == 1  # was interrupted
    start(study, 0.1, 0.1)
    assert [e.metrics["f1_0.3m"] for e in continue_paused(study, 2).epochs] == [0.3]


def train_in_full(study: Study, number: int, value: float) -> None:
    for count in range(len(study.get_trial(number).epochs) + 1, 10):
        assert study.may_continue(number)
        study.record_epoch(number, epoch(count, value))
    study.end_trial(number, "finished", "")


def test_at_the_end_one_trial_is_trained_in_full_and_the_others_remain_paused(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searched(3))
    start(study, 0.2, 0.1, 0.25)
    train_in_full(study, 0, 0.2)
    train_in_full(study, 2, 0.3)
    assert study.next_trial() is None
    assert not study.has_unfinished()
    assert outcomes(study) == ["finished", "paused", "finished"]


def test_paused_trials_remain_for_a_larger_budget(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searched(3))
    start(study, 0.2, 0.15, 0.25)
    train_in_full(study, 0, 0.2)
    train_in_full(study, 2, 0.3)
    study = Study(tmp_path / "journal", searched(6))
    start(study, 0.05, 0.05, 0.05)
    assert study.list_paused()[-1] == 1  # the most promising one
    study = Study(tmp_path / "journal", searched(9))
    start(study, 0.05, 0.05, 0.05)
    continue_paused(study, 1)  # the third of nine


def test_a_paused_trial_that_is_stopped_does_not_continue(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searched(7))
    start(study, 0.2, 0.5, 0.3)
    study.stop_paused(2, "no space")
    assert (study.get_trial(2).outcome, study.get_trial(2).reason) == ("stopped", "no space")
    continue_paused(study, 1)
    start(study, 0.1, 0.1, 0.1, 0.1)
    assert outcomes(study) == ["running", "running", "stopped", "paused", "paused", "paused", "paused"]


@pytest.mark.parametrize("rule", ["asha", "hyperband", "pasha", "median"])
def test_trials_that_are_confirmed_have_been_trained_in_full_since_each_may_win(
    rule: StoppingName, tmp_path: Path
) -> None:
    stopping = Stopping(rule=rule, reduction=3, first_rung=1)
    confirming = replace(searched(12), confirm=Confirm(top=3), stopping=stopping)
    curves = np.random.default_rng(0).normal(size=(12, 9)).cumsum(axis=1)  # that cross each other
    study = Study(tmp_path / "journal", confirming)
    while (trial := study.next_trial()) is not None:
        for count in range(len(trial.epochs) + 1, 10):
            study.record_epoch(trial.number, epoch(count, float(curves[trial.number, count - 1])))
            if count < 9 and not study.may_continue(trial.number):
                study.pause_trial(trial.number, "waits")
                break
        else:
            study.end_trial(trial.number, "finished", "")
    confirmed = choose_confirmed(study.get_trials(), confirming)
    assert [trial.outcome for trial in confirmed] == ["finished"] * len(confirmed)
    assert len(confirmed) >= 3
    assert "paused" in outcomes(study)
