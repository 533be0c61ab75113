"""Warm start: the best trials of earlier searches are evaluated after the starting points, and are recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InputError
from search import show
from search.launch import build_parser, launch, main
from search.launching.warm_start import convert_point
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Dimension
from tests.search.plain_search import SPACE, prepare, record, write
from tests.search.support import space

SEARCH: dict[str, Any] = SPACE["search"]
NEW: dict[str, Any] = {"name": "new", "search": SEARCH | {"y": {"uniform": [0, 1]}}, "fixed": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with a search of four trials, of which the last one is the best; x is 0.25, 0.1, 0.2 and 0.4."""
    record(prepare(tmp_path), [{"x": x, "kind": "b", "width": 4} for x in (0.1, 0.2, 0.4)])
    return tmp_path


def points(study: Study) -> list[tuple[str, Any, Any, Any]]:
    trials = [study.next_trial() for _ in range(3)]
    return [(t.role, t.parameters["x"], t.parameters["y"], t.parameters["kind"]) for t in trials if t is not None]


@pytest.mark.parametrize("name", ["edited", "runs/searches/edited"])
def test_the_best_trials_follow_the_baseline_with_their_fixed_values(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    experiment = prepare(folder, "--warm-start", name, **NEW)
    study = Study(folder / "journal", experiment.space)
    assert points(study) == [("baseline", 0.25, 0.25, "a"), ("warm 0", 0.4, 0.5, "b"), ("warm 1", 0.2, 0.5, "b")]


def test_values_outside_are_replaced_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = NEW | {
        "search": {"x": {"uniform": [0.3, 0.5]}, "kind": {"choice": ["b", "c"]}},
        "baseline": {"x": 0.1, "kind": "c"},
    }
    assert prepare(folder, "--warm-start", "edited", **narrow).space.warm_start[0].points == (
        {"x": 0.4, "kind": "b"},
        {"x": 0.3, "kind": "b"},
    )
    words = [str(write(folder, **narrow)), "--storage", str(folder / "runs"), "--warm-start", "edited", "--dry-run"]
    assert main(words) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warm"))
    assert line == (
        "warm     edited: trials 3 and 2, the best of 4, run after the starting points; "
        "x of trial 2 is outside of this space and replaced"
    )


def test_a_point_of_an_earlier_search_has_no_value_outside_of_the_new_one() -> None:
    searched = space(
        search=(
            Dimension("optimizer.lr", "log_uniform", 1e-3, 1e-2),
            Dimension("network.merge", "choice", choices=("concat", "sum")),
        ),
        baseline={"optimizer.lr": 1e-4, "network.merge": "sum"},
    )
    assert convert_point(searched, {"optimizer.lr": 2e-3}) == ({"optimizer.lr": 2e-3, "network.merge": "sum"}, ())
    assert convert_point(searched, {"optimizer.lr": 1.0, "network.merge": "concat"}) == (
        {"optimizer.lr": 1e-3, "network.merge": "concat"},
        ("optimizer.lr",),
    )


def test_points_that_run_anyway_are_not_repeated(folder: Path) -> None:
    start = [{"x": 0.4, "kind": "b", "width": 4, "y": 0.5}]
    new = NEW | {"start": start, "warm_start": ["edited"], "baseline": {"x": 0.2, "kind": "b", "width": 4, "y": 0.5}}
    study = Study(folder / "journal", prepare(folder, **new).space)
    assert [role for role, *_ in points(study)] == ["baseline", "start 0", "warm 0"]


def test_a_resumed_search_keeps_its_points_and_gets_those_of_further_searches(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = prepare(folder, warm_start=["edited"], **NEW)
    record(first, [])
    recorded = SearchFolder(folder / "runs", "new").read_identity()["warm_start"]
    assert [(search["search"], search["numbers"], search["trials"]) for search in recorded] == [("edited", [3, 2], 4)]
    record(prepare(folder, name="other"), [{"x": 0.33, "kind": "b", "width": 5}])
    (folder / "runs" / "searches" / "edited").rename(folder / "elsewhere")
    both = prepare(folder, "--resume", "--trials", "8", warm_start=["other"], **NEW)
    record(both, [])
    study = Study(both.study_location, both.space)
    while study.next_trial() is not None:
        pass
    trials = study.get_trials()
    assert [(t.role, t.parameters["x"]) for t in trials if t.role.startswith("warm")] == [
        ("warm 0", 0.4),
        ("warm 1", 0.2),
        ("warm 2", 0.33),
        ("warm 3", 0.25),
    ]
    study.close()
    capsys.readouterr()
    assert show.main(["new", "--storage", str(folder / "runs")]) == 0
    printed = capsys.readouterr().out
    assert "warm start edited: trials 3 and 2, the best of 4" in printed
    assert "warm start other: trials 1 and 0, the best of 2" in printed


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("eddited", {}, "did you mean 'edited'"),
    ("new", {}, "cannot start from itself"),
    ("./edited", {}, "must exist"),
    (
        "edited",
        {"objectives": [{"metric": "score", "direction": "minimize"}]},
        "its objectives: [['score', 'maximize']]",
    ),
    ("edited", {"trainable": "tests.search.plain_search:Other"}, "its trainable: tests.search.plain_search:Model"),
    ("edited", {"search": {"hidden": {"int": [8, 64]}}, "baseline": {}}, "none of the dimensions"),
    ("empty", {}, "none has a result"),
]


@pytest.mark.parametrize(("name", "changes", "says"), REFUSED, ids=[says for _, _, says in REFUSED])
def test_a_search_that_is_not_compatible_is_refused_with_the_reason(
    name: str, changes: dict[str, Any], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = prepare(folder, name="empty")
    empty.results.root_path.mkdir()
    Study(empty.study_location, empty.space).close()
    empty.results.write_identity(empty.space.identity())
    words = [str(write(folder, **NEW | changes | {"warm_start": [name]})), "--storage", str(folder / "runs")]
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {folder}/space.yaml: warm_start\n")
    assert says in printed
    with pytest.raises(InputError, match=r"^--warm-start"):
        launch([*words, "--warm-start", name], build_parser())
    assert not (folder / "runs" / "searches" / "new").exists()


def test_a_launch_without_the_key_records_nothing(folder: Path) -> None:
    content = json.loads((folder / "runs" / "searches" / "edited" / "space.json").read_text())
    assert content["warm_start"] == []
    assert prepare(folder, "--resume").space.warm_start == ()
