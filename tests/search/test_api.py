"""Searches from Python."""

from __future__ import annotations

import io
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search
from runtime.errors import InputError
from search import Search, launch
from search.launching import shutdown
from search.study.trials import Trial

SPACE: dict[str, Any] = {
    "name": "toy",
    "trainable": "tests.search.toy_trainable:Toy",
    "dataset": {"kind": "matrices"},
    "search": {"x": {"uniform": [0.0, 1.0]}},
    "objectives": [{"metric": "score"}],
    "budget": {"trials": 3, "epochs": 2},
}


def test_importing_the_package_loads_no_heavy_package() -> None:
    import subprocess

    code = "import search, sys; search.Search; print(sorted({'torch', 'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        search.Serach  # noqa: B018


def test_the_plan_is_that_of_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["spaces/hnet.yaml", "--trials", "2", "--set", "budget.epochs=3", "--storage", str(tmp_path)]
    assert launch.main([*options, "--dry-run"]) == 0
    planned = Search("spaces/hnet.yaml", trials=2, overrides={"budget.epochs": 3}, storage=tmp_path).plan()
    without_time = [line.partition(", about")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line.partition(", about")[0] for line in planned.splitlines()] == without_time
    assert list(tmp_path.iterdir()) == []


def test_a_space_may_be_a_mapping_with_values_of_numpy(tmp_path: Path) -> None:
    space = SPACE | {"search": {"x": {"uniform": (np.float64(0.25), np.float32(0.5))}}}
    assert "x: 0.25 to 0.5" in Search(space, storage=tmp_path, name="second").plan()
    assert "second" in Search(space, storage=tmp_path, name="second").plan()


@pytest.mark.parametrize(
    ("space", "options", "place"),
    [
        (SPACE | {"budget": {"trials": 0, "epochs": 2}}, {}, "space: budget.trials"),
        (SPACE | {"seed": object()}, {}, "space.seed"),
        (SPACE, {"trials": 0}, "python -m search.launch"),
        (SPACE, {"trails": 3}, "python -m search.launch"),
        (SPACE, {"overrides": {"y": 3}}, "--set y"),
        ("missing.yaml", {}, "missing.yaml"),
    ],
)
def test_wrong_input_is_an_input_error(space: Any, options: dict[str, Any], place: str, tmp_path: Path) -> None:
    with pytest.raises(search.InputError) as caught:
        Search(space, storage=tmp_path, **options).plan()
    assert caught.value.place == place


def test_a_search_that_was_never_started_is_named_with_those_that_were(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the storage holds no search"):
        Search.open("toy", tmp_path)


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    outcome: list[str] = []

    def run() -> None:
        with shutdown.handle_signals():
            outcome.append("entered")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert outcome == ["entered"]


@pytest.mark.slow
def test_a_search_runs_resumes_and_is_read_in_one_process(tmp_path: Path) -> None:
    seen: list[tuple[int, str, int]] = []

    def note(trial: Trial) -> None:
        seen.append((trial.number, trial.outcome, len(trial.epochs)))

    first = Search(SPACE, storage=tmp_path, overrides={"stopping.rule": "none"})
    output = io.StringIO()
    with redirect_stdout(output):
        results = first.run(quiet=True, on_trial=note)
    assert results.status == 0
    assert output.getvalue() == ""
    assert {entry for entry in seen if entry[0] == 0} == {(0, "running", n) for n in range(3)} | {(0, "finished", 2)}
    with pytest.raises(InputError, match="resume"):
        first.run(quiet=True)
    kept = Search(tmp_path / "spaces" / "toy.yaml", storage=tmp_path, overrides={"stopping.rule": "none"})
    results = kept.with_options(trials=4).resume(quiet=True)

    table = results.trials()
    assert list(table.index) == [0, 1, 2, 3]
    assert list(table["outcome"]) == ["finished"] * 4
    assert table["score"].idxmax() == results.best.number
    assert results.epochs().shape[0] == 8
    assert results.epochs().loc[(0, 2), "score"] == table.loc[0, "score"]
    assert results.load_model().name.endswith("Toy")
    assert [trial.number for trial in Search.open("toy", tmp_path).watch()] == [0, 1, 2, 3]
    assert not results.is_running()
