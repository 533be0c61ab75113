"""What is said, with a clock that is told the time."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from runtime.cli import BuildProgress, Console, format_duration
from search.reporting.progress import SearchProgress, format_best_trials, format_table
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (-3, "0:00")]
)
def test_times_read_as_a_clock(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_progress_is_rationed_where_lines_cannot_move() -> None:
    out, now = io.StringIO(), Clock()
    line = Console(out, now)
    for step in range(50):
        line.update_progress(f"step {step}")
        now.time += 1.0
    assert out.getvalue().split("\n")[:-1] == ["step 0", "step 20", "step 40"]


def test_on_a_terminal_progress_replaces_itself_and_is_cut_to_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = Screen()
    line = Console(out)
    line.update_progress("x" * 50)
    line.print_line("done")
    assert out.getvalue() == "\r\x1b[K" + "x" * 19 + "\r\x1b[Kdone\n"


def test_data_progress_says_the_time_left_from_the_pace_so_far() -> None:
    out, now = io.StringIO(), Clock()
    progress = BuildProgress(Console(out, now), now)
    progress("samples", 0, 1000)
    now.time += 30.0
    progress("samples", 250, 1000)
    assert "250 of 1,000, 1:30 left" in out.getvalue()


def test_time_left_counts_what_runs_and_what_waits(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=4, epochs=9))
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(io.StringIO()), searched, at_once=2)
    for _ in range(2):
        trial = study.next_trial()
        assert trial is not None
        progress.on_trial_start(trial)
    for number in (1, 2, 3):
        study.record_epoch(1, epoch(number, 0.1))
        progress.on_trial_result(study.get_trial(1), epoch(number, 0.1))
    study.end_trial(1, "stopped", "rung")
    progress.on_trial_end(study.get_trial(1))
    # The baseline needs its 9 epochs; two trials wait that take, on average, what halving should cost (1 + 2/3 + 6/9, three
    # times over) and what the one that ended did (3). A second each, two at once.
    typical = (3 * (1 + 2 / 3 + 6 / 9) + 3) / 4
    assert progress.remaining_s() == pytest.approx((9 + 2 * typical) / 2)


def test_an_ended_trial_is_shown_with_reason_best_and_baseline(tmp_path: Path) -> None:
    out, searched = io.StringIO(), space()
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(out), searched, at_once=2)
    for number, f1 in ((0, 0.2), (1, 0.6)):
        study.next_trial()
        study.record_epoch(number, epoch(1, f1))
        study.end_trial(number, "stopped", "not in the best 1/3 after epoch 1")
        progress.on_trial_end(study.get_trial(number))
    last = out.getvalue().splitlines()[-1]
    assert "trial 1" in last
    assert "(not in the best 1/3 after epoch 1)" in last
    assert "[best 0.600 (trial 1), baseline 0.200]" in last


def test_a_lost_process_is_told_with_where_its_trial_goes_on(tmp_path: Path) -> None:
    out, searched = io.StringIO(), space()
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(out), searched, at_once=2)
    study.next_trial()
    progress.on_trial_lost(study.get_trial(0), "The actor died.")
    study.record_epoch(0, epoch(1, 0.3))
    progress.on_trial_lost(study.get_trial(0), "The actor died." + 200 * "!")
    first, second = out.getvalue().splitlines()
    assert first.endswith("trial 0   lost its process, begins again (The actor died.)")
    assert "goes on after epoch 1 (The actor died.!!!" in second
    assert len(second) < 200


def test_the_table_shows_the_best_first_and_always_the_baseline(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=9))
    study = Study(tmp_path / "journal", searched)
    for number in range(8):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.1 * number, f1_1m=0.5))
        study.end_trial(number, "finished", "")
    rows = format_best_trials(study.get_trials(), searched, ["f1_0.3m", "f1_1m"], most=3).splitlines()
    assert [row.split()[0] for row in rows[2:]] == ["7", "6", "5", "0"]
    assert "f1_1m" in rows[0]
    assert "(baseline)" in rows[-1]


def test_columns_are_in_line() -> None:
    lines = format_table([["a", "bb"], ["ccc", "d"]]).splitlines()
    assert lines == ["a    bb", "───  ──", "ccc  d"]
