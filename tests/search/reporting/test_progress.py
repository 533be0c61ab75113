"""Progress on the terminal, with a simulated clock."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from runtime.console import BuildProgress, Console, format_duration
from search.reporting.progress import SearchProgress, format_best_trials, format_table
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (-3, "0:00")]
)
def test_durations_are_formatted_as_a_clock(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_without_a_terminal_progress_is_printed_at_intervals() -> None:
    out, now = io.StringIO(), Clock()
    console = Console(out, now)
    for step in range(50):
        console.update_progress(f"step {step}")
        now.time += 1.0
    assert out.getvalue().split("\n")[:-1] == ["step 0", "step 20", "step 40"]


def test_on_a_terminal_progress_replaces_itself_and_is_cut_to_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    console = Console(out)
    console.update_progress("x" * 50)
    console.print_line("done")
    assert out.getvalue() == "\r\x1b[K" + "x" * 19 + "\r\x1b[Kdone\n"


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_output_that_cannot_be_written_ends_nothing() -> None:
    console = Console(FullDisk())
    console.print_line("a line")
    console.update_progress("a step", final=True)


def test_build_progress_estimates_the_remaining_time() -> None:
    out, now = io.StringIO(), Clock()
    progress = BuildProgress(Console(out, now), now)
    progress("samples", 0, 1000)
    now.time += 30.0
    progress("samples", 250, 1000)
    assert "250 of 1,000, 1:30 left" in out.getvalue()


def test_the_remaining_time_counts_running_and_waiting_trials(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=4, epochs=9))
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(io.StringIO()), searched, concurrency=2)
    for _ in range(2):
        trial = study.next_trial()
        assert trial is not None
        progress.on_trial_start(trial)
    for number in (1, 2, 3):
        study.record_epoch(1, epoch(number, 0.1))
        progress.on_trial_result(study.get_trial(1), epoch(number, 0.1))
    study.end_trial(1, "stopped", "rung")
    progress.on_trial_end(study.get_trial(1))
    # The baseline needs 9 epochs and each other trial 1 + 2/3 + 6/9, of which 3 have been trained. An epoch takes one second,
    # and two trials run at a time.
    assert progress.remaining_s() == pytest.approx((9 + 3 * (1 + 2 / 3 + 6 / 9) - 3) / 2)


def test_an_ended_trial_is_shown_with_reason_best_and_baseline(tmp_path: Path) -> None:
    out, searched = io.StringIO(), space()
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(out), searched, concurrency=2)
    for number, f1 in ((0, 0.2), (1, 0.6)):
        study.next_trial()
        study.record_epoch(number, epoch(1, f1))
        study.end_trial(number, "stopped", "not in the best 1/3 after epoch 1")
        progress.on_trial_end(study.get_trial(number))
    line = out.getvalue().splitlines()[-1]
    assert "trial 1" in line
    assert "(not in the best 1/3 after epoch 1)" in line
    assert "[best 0.600 (trial 1), baseline 0.200]" in line


def test_a_trial_that_continues_after_a_pause_is_shown_without_its_parameters(tmp_path: Path) -> None:
    out = io.StringIO()
    searched = space(budget=Budget(trials=6, epochs=9))
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(out), searched, concurrency=1)
    for number, f1 in enumerate((0.2, 0.5, 0.3)):
        trial = study.next_trial()
        assert trial is not None
        progress.on_trial_start(trial)
        study.record_epoch(number, epoch(1, f1))
        if number:
            study.pause_trial(number, "waits, 2 of 3 after 1 epoch")
            progress.on_trial_end(study.get_trial(number))
    continued = study.next_trial()
    assert continued is not None
    progress.on_trial_start(continued)
    lines = out.getvalue().splitlines()
    assert "paused    f1_0.3m 0.300" in lines[-2]
    assert "(waits, 2 of 3 after 1 epoch)" in lines[-2]
    assert lines[-1].endswith("trial 1   continues after epoch 1")


def test_a_lost_process_is_printed_with_the_epoch_to_continue_from(tmp_path: Path) -> None:
    out, searched = io.StringIO(), space()
    study = Study(tmp_path / "journal", searched)
    progress = SearchProgress(Console(out), searched, concurrency=2)
    study.next_trial()
    progress.on_trial_lost(study.get_trial(0), "The actor died.")
    study.record_epoch(0, epoch(1, 0.3))
    progress.on_trial_lost(study.get_trial(0), "The actor died." + 200 * "!")
    first, second = out.getvalue().splitlines()
    assert first.endswith("trial 0   lost its process, starts again (The actor died.)")
    assert "continues after epoch 1 (The actor died.!!!" in second
    assert len(second) < 200


def test_the_table_lists_the_best_trials_first_and_always_the_baseline_and_the_starts(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=9))
    study = Study(tmp_path / "journal", searched)
    for number in range(8):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.1 * number, f1_1m=0.5))
        study.end_trial(number, "finished", "")
    rows = format_best_trials(study.get_trials(), searched, ["f1_0.3m", "f1_1m"], max_trials=3).splitlines()
    assert [row.split()[0] for row in rows[2:]] == ["7", "6", "5", "1", "0"]
    assert "f1_1m" in rows[0]
    assert "(baseline)" in rows[-1]


def test_columns_are_aligned() -> None:
    lines = format_table([["a", "bb"], ["ccc", "d"]]).splitlines()
    assert lines == ["a    bb", "───  ──", "ccc  d"]
