"""Decisions on running trials, without running any."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.study.spending import SpendingMeter
from search.study.study import Study
from spaces.schema import Budget, Resources, Space
from tests.search.support import epoch, space


def study_at_a_rung(folder: Path, searched: Space, values: list[float]) -> tuple[Study, TrialStopper]:
    study = Study(folder / "journal", searched)
    for number, value in enumerate(values):
        study.next_trial()
        study.record_epoch(number, epoch(1, value))
    return study, TrialStopper(study, searched, TimeBudget(searched.budget.hours))


def test_a_rung_pauses_the_worse_and_never_the_baseline(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    assert stopper(0, epoch(1, 0.1)) is None
    assert stopper(1, epoch(1, 0.5)) is None
    assert stopper(2, epoch(1, 0.3)) == ("paused", "waits, 2 of 3 after 1 epoch")


def test_between_rungs_everything_goes_on_and_at_full_length_it_finishes(tmp_path: Path) -> None:
    study, stopper = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    study.record_epoch(2, epoch(2, 0.3))
    assert stopper(2, epoch(2, 0.3)) is None
    assert stopper(2, epoch(9, 0.3)) == ("finished", "")


def test_when_time_is_up_trials_are_interrupted_and_none_ends_or_starts(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(budget=Budget(trials=8, epochs=9, hours=1e-9)), [0.1])
    assert stopper.must_interrupt()
    assert not stopper.may_start()
    assert stopper(0, epoch(2, 0.1)) is None
    assert stopper(0, epoch(9, 0.1)) == ("finished", "")


def test_without_a_limit_nothing_is_interrupted(tmp_path: Path) -> None:
    _, stopper = study_at_a_rung(tmp_path, space(), [0.1])
    assert not stopper.must_interrupt()
    assert stopper.may_start()


PRICED = Resources(gpu=0.5, price_per_hour=4)
LIMITS: list[tuple[dict[str, Any], str, float]] = [
    ({"epochs_total": 7}, "epochs_total", 1),
    ({"presentations": 6_500}, "presentations", 1_000),
    ({"gpu_hours": 3.4}, "gpu_hours", 0.5),
    ({"money": 27}, "money", 4),
]
"""Budgets that seven epochs of an hour reach, and what an epoch spends of them."""


def run_trials(study: Study, searched: Space, stopper: TrialStopper, at_once: int) -> int:
    """Train some trials in turn, an hour per epoch, until the policy interrupts them; return the recorded epochs."""
    usage = {"gpus": searched.resources.gpu_share, "price_per_hour": 4.0}
    running: list[int] = []
    recorded = 0
    while not stopper.must_interrupt():
        while len(running) < at_once and stopper.may_start() and (trial := study.next_trial()) is not None:
            running.append(trial.number)
        number = running.pop(0)
        result = dataclasses.replace(epoch(len(study.get_trial(number).epochs) + 1, 0.5), seconds=3600.0, usage=usage)
        study.record_epoch(number, result)
        recorded += 1
        decision = stopper(number, result)
        if decision is None:
            running.append(number)
        else:
            study.end_trial(number, *decision)
    return recorded


def budget_stopper(folder: Path, limits: dict[str, Any]) -> tuple[Study, Space, SpendingMeter, TrialStopper]:
    searched = space(budget=Budget(trials=8, epochs=9, **limits), resources=PRICED)
    study = Study(folder / "journal", searched)
    meter = SpendingMeter(searched, lambda _: 1_000, study.get_trials())
    return study, searched, meter, TrialStopper(study, searched, TimeBudget(None), meter)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(("limits", "key", "per_epoch"), LIMITS)
def test_a_budget_interrupts_the_trials_within_one_epoch(
    limits: dict[str, Any], key: str, per_epoch: float, at_once: int, tmp_path: Path
) -> None:
    study, searched, meter, stopper = budget_stopper(tmp_path, limits)
    assert run_trials(study, searched, stopper, at_once) == 7
    assert stopper.exhausted_budget == limits
    assert not stopper.may_start()
    assert limits[key] <= meter.total().amount_of(key) < limits[key] + per_epoch
    paused = [trial for trial in study.get_trials() if trial.outcome == "running"]
    assert paused
    study.close()


def test_a_budget_counts_over_launches_and_a_larger_one_continues_the_trials(tmp_path: Path) -> None:
    study, searched, _, stopper = budget_stopper(tmp_path, {"epochs_total": 7})
    run_trials(study, searched, stopper, 2)
    study.close()
    study, searched, _, stopper = budget_stopper(tmp_path, {"epochs_total": 7})
    assert stopper.must_interrupt()
    assert run_trials(study, searched, stopper, 2) == 0
    study.close()
    before = {trial.number: len(trial.epochs) for trial in study.get_trials() if trial.outcome == "running"}
    study, searched, _, stopper = budget_stopper(tmp_path, {"epochs_total": 12})
    assert run_trials(study, searched, stopper, 2) == 5
    assert all(len(study.get_trial(number).epochs) > epochs for number, epochs in before.items())


def test_a_budget_that_the_last_epoch_of_a_search_uses_up_interrupts_nothing(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=1, epochs=2, epochs_total=2))
    study = Study(tmp_path / "journal", searched)
    stopper = TrialStopper(study, searched, TimeBudget(None))
    study.next_trial()
    for number in (1, 2):
        study.record_epoch(0, epoch(number, 0.5))
        decision = stopper(0, epoch(number, 0.5))
    assert decision == ("finished", "")
    study.end_trial(0, *decision)
    assert not stopper.must_interrupt()
    assert not stopper.may_start()
