"""Decisions on running trials, without running any."""

from __future__ import annotations

from pathlib import Path

from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.study.study import Study
from spaces.schema import Budget, Space
from tests.search.support import epoch, space


def study_at_a_rung(folder: Path, searched: Space, values: list[float]) -> tuple[Study, TrialStopper]:
    study = Study(folder / "journal", searched)
    for number, value in enumerate(values):
        study.next_trial()
        study.record_epoch(number, epoch(1, value))
    return study, TrialStopper(study, searched, TimeBudget(searched.budget.hours))


def test_a_rung_stops_the_worse_and_never_the_baseline(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    assert stopper(0, epoch(1, 0.1)) is None
    assert stopper(1, epoch(1, 0.5)) is None
    assert stopper(2, epoch(1, 0.3)) == ("stopped", "not in the best 1/3 after epoch 1")


def test_between_rungs_everything_goes_on_and_at_full_length_it_finishes(tmp_path: Path) -> None:
    study, stopper = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    study.record_epoch(2, epoch(2, 0.3))
    assert stopper(2, epoch(2, 0.3)) is None
    assert stopper(2, epoch(9, 0.3)) == ("finished", "")


def test_when_time_is_up_trials_are_interrupted_and_none_ends_or_starts(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(budget=Budget(trials=8, epochs=9, hours=1e-9)), [0.1])
    assert stopper.must_pause()
    assert not stopper.may_start()
    assert stopper(0, epoch(2, 0.1)) is None
    assert stopper(0, epoch(9, 0.1)) == ("finished", "")


def test_without_a_limit_nothing_is_interrupted(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(), [0.1])
    assert not stopper.must_pause()
    assert stopper.may_start()
