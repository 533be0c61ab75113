"""Causes of failures: grouping, the common cause of all trials, and trials that take up failed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.study.failures import find_common_failure, group_failures
from search.study.study import Study, read_trials
from search.study.trials import Outcome, Trial
from spaces.schema import Budget
from tests.search.support import epoch, space

CAUSE = "NameError: lamda is not defined at toy.py:22 (see runs/{}/log.txt)"


def trial(number: int, outcome: Outcome = "failed", reason: str = "", epochs: int = 0) -> Trial:
    results = tuple(epoch(n + 1, 0.1) for n in range(epochs))
    return Trial(number, {}, outcome, reason or CAUSE.format(number), results, None, number == 0, {})


def test_failures_are_grouped_by_cause_whatever_the_log_and_the_numbers() -> None:
    trials = [
        trial(0, reason="OutOfMemoryError: tried to allocate 20.00 MiB at a.py:3 (see 0/log.txt)"),
        trial(1),
        trial(2, reason="OutOfMemoryError: tried to allocate 1.5e3 MiB at a.py:3 (see 2/log.txt)"),
        trial(3, "finished", "no failure"),
        trial(4, reason="OutOfMemoryError: tried to allocate 20.00 MiB at a.py:4 (see 4/log.txt)"),
    ]
    groups = [(cause, [t.number for t in group]) for cause, group in group_failures(trials)]
    assert groups[0] == ("OutOfMemoryError: tried to allocate 20.00 MiB at a.py:3", [0, 2])
    assert [numbers for _, numbers in groups] == [[0, 2], [1], [4]]


@pytest.mark.parametrize(
    ("trials", "budget", "numbers"),
    [
        ([trial(0), trial(1), trial(2)], 64, [0, 1, 2]),
        ([trial(0, epochs=1), trial(1, epochs=1), trial(2, epochs=1), trial(3, "running", epochs=1)], 64, [0, 1, 2]),
        ([trial(0), trial(1)], 64, None),  # may be bad luck
        ([trial(0), trial(1)], 2, [0, 1]),
        ([trial(0)], 1, [0]),
        ([trial(0), trial(1), trial(2, reason="another")], 64, None),
        ([trial(0, "finished"), trial(1), trial(2), trial(3)], 64, None),
        ([trial(0, "stopped"), trial(1), trial(2), trial(3)], 64, None),
        ([trial(0, "running", epochs=1), trial(1), trial(2), trial(3)], 64, None),  # comes further than the others
        ([], 64, None),
    ],
)
def test_a_search_is_hopeless_if_all_that_ended_failed_alike(
    trials: list[Trial], budget: int, numbers: list[int] | None
) -> None:
    found = find_common_failure(trials, budget)
    assert (found and [t.number for t in found[1]]) == numbers
    if found is not None:
        assert found[0] == "NameError: lamda is not defined at toy.py:22"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def failed_study(journal: Path, trials: int = 4) -> Study:
    """Return a study of which trials 0 and 2 have failed after an epoch, and the others are finished."""
    study = Study(journal, space(budget=Budget(trials=trials, epochs=9)))
    for number in range(trials):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.1 * number))
        study.set_run_id(number, f"run {number}")
        study.end_trial(number, "failed" if number in (0, 2) else "finished", CAUSE.format(number))
    return study


def test_the_stopper_interrupts_when_all_fail_alike_and_not_before(journal: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=9))
    study = Study(journal, searched)
    stopper = TrialStopper(study, searched, TimeBudget(None))
    states = []
    for number in range(3):
        study.next_trial()
        study.end_trial(number, "failed", CAUSE.format(number))
        states.append(stopper.must_interrupt())
    assert states == [False, False, True]
    assert stopper.common_failure is not None


def test_failed_trials_are_taken_up_with_their_parameters_and_epochs_at_no_cost(journal: Path) -> None:
    study = failed_study(journal)
    before = study.get_trials()
    assert not study.has_unfinished()
    assert study.retry_failed() == {0: 4, 2: 5}
    assert study.has_unfinished()
    assert study.count_started() == 4
    taken = [study.next_trial(), study.next_trial()]
    assert study.next_trial() is None
    for new, old in zip(taken, (before[0], before[2]), strict=True):
        assert new is not None
        assert new.retry_of == old.number
        assert new.outcome == "running"
        assert (new.parameters, new.epochs, new.is_baseline) == (old.parameters, old.epochs, old.is_baseline)
        assert (new.reason, new.run_id) == ("", None)
    assert [t.number for t in study.get_trials()] == [1, 3, 4, 5]
    assert study.record_epoch(4, epoch(2, 0.9))
    study.end_trial(4, "finished", "")
    assert [t.number for t in read_trials(journal)] == [1, 3, 4, 5]
    assert study.get_trial(4).best_objectives_until(2, space().objectives) == (0.9,)


def test_a_retry_survives_a_crash_and_is_made_once(journal: Path) -> None:
    failed_study(journal).retry_failed()
    restarted = Study(journal, space(budget=Budget(trials=4, epochs=9)))
    assert restarted.retry_failed() == {}
    assert [t.number for t in restarted.get_trials() if t.outcome == "running"] == [4, 5]
    first = restarted.next_trial()
    assert first is not None
    assert first.is_baseline


def test_a_retry_that_fails_can_be_retried(journal: Path) -> None:
    study = failed_study(journal)
    study.retry_failed()
    study.end_trial(5, "failed", "again")
    assert study.retry_failed() == {5: 6}
    assert study.get_trial(6).retry_of == 5
    assert study.count_started() == 4


def test_a_failed_baseline_alone_is_taken_up_on_request(journal: Path) -> None:
    study = failed_study(journal)
    assert study.retry_failed(only_baseline=True) == {0: 4}
    assert study.get_trial(2).outcome == "failed"


def test_new_trials_follow_a_retry_until_the_budget_is_used(journal: Path) -> None:
    failed_study(journal).retry_failed()
    study = Study(journal, space(budget=Budget(trials=6, epochs=9)))
    numbers = []
    while (started := study.next_trial()) is not None:
        numbers.append(started.number)
    assert numbers == [4, 5, 6, 7]
    assert study.count_started() == 6


def test_a_trial_that_failed_with_all_its_epochs_starts_again(journal: Path) -> None:
    searched = space(budget=Budget(trials=2, epochs=1), objectives=(("rmse_1m", "minimize"),))
    study = Study(journal, searched)
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.5))
    study.end_trial(0, "finished", "")
    assert study.get_trial(0).outcome == "failed"
    (number,) = study.retry_failed().values()
    assert study.get_trial(number).epochs == ()


def test_several_objectives_can_be_retried(journal: Path) -> None:
    both = space(objectives=(("f1_0.3m", "maximize"), ("rmse_1m", "minimize")), budget=Budget(trials=2, epochs=9))
    study = Study(journal, both)
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.5, rmse_1m=0.1))
    study.end_trial(0, "failed", "a reason")
    (number,) = study.retry_failed().values()
    study.end_trial(number, "finished", "")
    assert study.get_trial(number).outcome == "finished"
