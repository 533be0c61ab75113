"""Text about what a search has spent."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from runtime.console import Console
from search.reporting.progress import SearchProgress
from search.reporting.spending import format_amount, format_limits, format_spending, larger_budget_options
from search.study.spending import Spending, SpendingMeter
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space

SPENT = Spending({"finished": 3, "stopped": 8, "running": 1}, 96, 5400.0, 1800.0, 12.4, 480_000)


@pytest.mark.parametrize(
    ("value", "text"), [(96, "96"), (480_000.0, "480,000"), (12.4, "12.40"), (0.0123, "0.0123"), (1234.5, "1,234")]
)
def test_amounts_have_three_digits_or_all_of_an_integer(value: float, text: str) -> None:
    assert format_amount(value) == text


def test_the_limited_units_are_shown_with_their_limits() -> None:
    assert format_limits(SPENT, {}) == ""
    assert format_limits(SPENT, {"epochs_total": 100, "money": 25}) == "96/100 epochs, 12.40/25 in money"


def test_all_units_are_reported_also_without_limits() -> None:
    assert format_spending(SPENT, elapsed_s=3600) == [
        "Spent    12 trials: 3 finished, 8 stopped, 1 interrupted",
        "         96 epochs, 1:30:00 of training and validation, 480,000 presentations, 0.5 GPU-hours, 12.40 in money",
        "         this launch took 1:00:00",
    ]
    assert "0.5 of 20 GPU-hours" in format_spending(SPENT, {"gpu_hours": 20})[1]


def test_units_without_any_amount_are_left_out() -> None:
    assert format_spending(Spending({"failed": 1})) == [
        "Spent    1 trial: 1 failed",
        "         0 epochs, 0:00 of training and validation",
    ]


def test_a_larger_budget_is_twice_the_one_that_is_used_up() -> None:
    options = larger_budget_options({"epochs_total": 10_000_000, "money": 2.25})
    assert options == ("--set", "budget.epochs_total=20000000", "--set", "budget.money=4.5")


def test_the_status_line_shows_what_is_spent_and_the_time_that_the_budget_leaves(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=9, epochs_total=3))
    study, out = Study(tmp_path / "journal", searched), io.StringIO()
    progress = SearchProgress(Console(out), searched, 1, meter=SpendingMeter(searched))
    assert study.next_trial() is not None
    study.record_epoch(0, epoch(1, 0.5))
    progress.on_trial_start(study.get_trial(0))
    progress.on_trial_result(study.get_trial(0), epoch(1, 0.5))
    assert "spent 1/3 epochs" in out.getvalue()
    assert progress.remaining_s() == pytest.approx(2.0)
