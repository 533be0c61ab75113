"""Sums of what trials have spent."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from search.study.spending import LIMITS, Spending, SpendingMeter, add_spending, epoch_usage, trial_spending
from search.study.study import Study, read_trials
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Budget, Resources
from tests.search.support import space


def trial(number: int, *epochs: Epoch, outcome: Outcome = "finished") -> Trial:
    return Trial(number, {}, outcome, "", epochs, None, number == 0, {})


def timed(number: int, hours: float, **usage: float) -> Epoch:
    return Epoch(number, {}, {}, hours * 3600, usage)


def test_epochs_are_summed_in_every_unit() -> None:
    resources = Resources(gpu=0.5, price_per_hour=2)
    trials = [
        trial(0, timed(1, 1, gpus=0.5, price_per_hour=2), timed(2, 2, gpus=0.5, price_per_hour=2)),
        trial(1, timed(1, 1, gpus=2, price_per_hour=8), outcome="running"),
        trial(2, outcome="failed"),
    ]
    total = add_spending(trial_spending(t, resources, lambda _: 100) for t in trials)
    assert total.outcomes == {"finished": 1, "running": 1, "failed": 1}
    assert (total.epochs, total.seconds, total.presentations) == (3, 4 * 3600, 300)
    assert total.gpu_seconds == pytest.approx((3 * 0.5 + 1 * 2) * 3600)
    assert total.money == pytest.approx(3 * 2 + 8)
    assert [total.amount_of(limit) for limit in LIMITS] == pytest.approx([3, 300, 3.5, 14])


def test_epochs_without_a_record_count_at_the_present_resources() -> None:
    old = trial(0, timed(1, 1), timed(2, 1, gpus=1.0, price_per_hour=10))
    spent = trial_spending(old, Resources(gpu=0.25, price_per_hour=4), lambda _: None)
    assert spent.gpu_seconds == pytest.approx(1.25 * 3600)
    assert spent.money == pytest.approx(4 + 10)
    assert spent.presentations is None


def test_without_a_price_there_is_no_amount_of_money() -> None:
    assert trial_spending(trial(0, timed(1, 1)), Resources(), lambda _: None).money is None
    assert add_spending([]) == Spending()
    assert epoch_usage(Resources()) == {}
    assert epoch_usage(Resources(gpu=2, price_per_hour=3)) == {"gpus": 2, "price_per_hour": 3}


def test_the_study_keeps_the_usage_of_an_epoch(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", space())
    study.next_trial()
    study.record_epoch(0, dataclasses.replace(timed(1, 1, gpus=0.5), metrics={"f1_0.3m": 0.5}))
    study.record_epoch(0, dataclasses.replace(timed(2, 1), metrics={"f1_0.3m": 0.5}))
    study.close()
    assert [dict(epoch.usage) for epoch in read_trials(tmp_path / "journal")[0].epochs] == [{"gpus": 0.5}, {}]
    assert (tmp_path / "journal").read_text().count("usage") == 1


def test_a_meter_counts_an_update_that_is_repeated_once() -> None:
    meter = SpendingMeter(space(budget=Budget(trials=2, epochs=9, epochs_total=4)), trials=[trial(0, timed(1, 1))])
    for _ in range(2):
        meter.update(trial(1, timed(1, 1), timed(2, 1), outcome="running"))
    assert meter.total().epochs == 3
    assert meter.exhausted_limits() == ()
    assert meter.remaining_epochs() == pytest.approx(1)
    meter.update(trial(1, timed(1, 1), timed(2, 1), timed(3, 1), outcome="running"))
    assert meter.exhausted_limits() == ("epochs_total",)
    assert meter.remaining_epochs() == 0


def test_the_presentations_of_a_trial_are_looked_up_once() -> None:
    asked = []

    def count(parameters: object) -> int:
        asked.append(parameters)
        return 10

    meter = SpendingMeter(space(), count)
    for epochs in (1, 2, 3):
        meter.update(trial(0, *(timed(number + 1, 1) for number in range(epochs))))
    assert meter.total().presentations == 30
    assert len(asked) == 1
    assert meter.remaining_epochs() is None


def test_an_epoch_that_is_repeated_after_a_crash_counts_once(tmp_path: Path) -> None:
    for seconds in (2.0, 3.0):  # the second process has an older checkpoint, and repeats the epoch
        study = Study(tmp_path / "journal", space())
        study.next_trial()
        study.record_epoch(0, Epoch(1, {"f1_0.3m": 0.5}, {}, seconds))
        study.close()
    total = SpendingMeter(space(), trials=read_trials(tmp_path / "journal")).total()
    assert (total.epochs, total.seconds) == (1, 2.0)
