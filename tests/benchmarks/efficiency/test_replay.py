"""Replays are kept and not repeated; statistics and tables agree with computation by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.efficiency import __main__ as command
from benchmarks.efficiency import replay, report, statistics
from benchmarks.efficiency.replay import Replay, read_trace, run_replay
from benchmarks.efficiency.simulator import Trace
from benchmarks.efficiency.tasks.base import Scale


def trace(epochs: list[int], true: list[float]) -> Trace:
    seconds = [float(epoch) for epoch in epochs]
    return Trace(epochs, seconds, true, true, 3, 0, 100, 100.0, [0.001, 0.003], 0.2)


def test_finished_replays_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replays = [Replay("hartmann3", "random", 2, seed, 60) for seed in range(3)]
    for one in replays[:2]:
        run_replay(one, None, one.path(tmp_path))
    submitted: list[Replay] = []

    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def submit(self, work: Any, one: Replay, *rest: Any) -> Any:
            submitted.append(one)
            return work(one, *rest)

    monkeypatch.setattr(replay, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(replay, "as_completed", lambda _: ())
    for _ in range(2):
        replay.run_replays(replays, {"random": None}, tmp_path, 1, lambda _: None)
    assert submitted == replays[2:]
    assert read_trace(replays[2].path(tmp_path)).total_epochs == 60


def test_other_versions_budgets_and_workers_have_other_files(tmp_path: Path) -> None:
    paths = {
        Replay(task, method, workers, 0, budget).path(tmp_path)
        for task in ("hartmann3", "hartmann6")
        for method in ("ours", "random")
        for workers in (2, 8)
        for budget in (50, 60)
    }
    assert len(paths) == 16


def test_epochs_to_a_target_are_those_of_the_first_incumbent_that_reaches_it() -> None:
    traces = {seed: trace([1, 10, 50], [0.0, reached, 0.95]) for seed, reached in enumerate((0.5, 0.9, 0.9, 0.2))}
    assert [statistics.epochs_to(t, 0.9) for t in traces.values()] == [50, 10, 10, 50]
    found = statistics.summarise_target(traces, 0.9)
    assert found == {"low": 10, "median": 50, "high": 50, "reached": 1.0}
    never = statistics.summarise_target(traces, 0.99)
    assert never == {"low": None, "median": None, "high": None, "reached": 0.0}
    assert Scale(0.5, 1.0).threshold(0.01) == pytest.approx(0.995)


def test_differences_are_paired_by_seed() -> None:
    ours = {0: trace([1], [1.0]), 1: trace([1], [5.0]), 2: trace([1], [9.0]), 7: trace([1], [100.0])}
    peer = {0: trace([1], [0.0]), 1: trace([1], [3.0]), 2: trace([1, 60], [6.0, 8.0])}
    found = statistics.compare_paired(ours, peer, 50)
    assert found == {"difference": 2.0, "error": pytest.approx(1 / math.sqrt(3)), "seeds": 3}
    assert statistics.compare_paired(ours, peer, 100)["difference"] == pytest.approx(4 / 3)


def test_curves_are_medians_with_intervals_where_all_seeds_have_a_result() -> None:
    traces = {seed: trace([1 + seed, 40], [float(seed), 10.0]) for seed in range(5)}
    curve = statistics.make_curve(traces, [1.0, 4.0, 5.0, 39.0, 40.0])
    assert curve.positions == [5, 39, 40]
    assert curve.median == [2, 2, 10]
    assert curve.low[0] < 2 < curve.high[0]
    assert (curve.low[-1], curve.high[-1]) == (10, 10)


def make_results(tmp_path: Path) -> tuple[dict[str, Any], str]:
    options = command.build_parser().parse_args(
        [
            *("--tasks", "hartmann3", "--methods", "random", "random-asha", "--workers", "2", "--seeds", "3"),
            *("--budget", "90", "--reference", "random-asha", "--cache", str(tmp_path)),
        ]
    )
    for method in options.methods:
        for seed in range(3):
            one = Replay("hartmann3", method, 2, seed, 90)
            run_replay(one, None, one.path(tmp_path))
    results = command.collect_results(options, options.methods)
    return results, report.format_tables(results, options.reference)


def test_tables_and_figure_have_all_methods(tmp_path: Path) -> None:
    results, tables = make_results(tmp_path)
    assert "| random + ASHA | 3 |" in tables
    assert "| random + ASHA minus | at 50 |" in tables
    assert results["hartmann3"]["workers"]["2"]["random"]["seeds"] == 3
    assert set(results["hartmann3"]["workers"]["2"]["random"]["values"]) == {"50", "90"}
    report.draw_figure(tmp_path / "figure.png", results)
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "words", [["--methods", "randon"], ["--tasks", "hartman6"], ["--reference", "our"], ["--workers", "0"]]
)
def test_unknown_names_are_refused_with_a_suggestion(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert words[0] in capsys.readouterr().err
