"""Edits of a space at `--resume`: sound ones are listed before the start, and others are refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search import show
from search.launch import main
from search.results import SearchFolder
from search.study.edits import EDITS
from tests.search.plain_search import SPACE, prepare, record, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with a search of four trials: x is 0.25, 0.1, 0.2 and 0.4."""
    record(prepare(tmp_path), [{"x": x, "kind": "b", "width": 4} for x in (0.1, 0.2, 0.4)])
    return tmp_path


def resume(folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[int, str]:
    """Dry-run a launch that resumes the search with changed keys; return its status and what it prints about the edit."""
    capsys.readouterr()
    status = main([str(write(folder, **changes)), "--storage", str(folder / "runs"), "--resume", "--dry-run"])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("resume")), len(lines))
    edit = "\n".join(line[9:] for line in lines[first:] if line[:9].strip() in ("", "resume"))
    return status, printed.err or edit


SEARCH: dict[str, Any] = SPACE["search"]
SOUND = [
    ({"search": SEARCH | {"x": {"uniform": [0, 1]}}}, "x: 0 … 0.5 → 0 … 1; none of 4 trials is outside"),
    ({"search": SEARCH | {"x": {"uniform": [0.2, 0.3]}}}, "x: 0 … 0.5 → 0.2 … 0.3; 2 of 4 trials are outside"),
    (
        {"search": SEARCH | {"x": {"uniform": [0.1, 0.3]}, "width": {"choice": [8, 16]}}},
        "x: 0 … 0.5 → 0.1 … 0.3; 1 of 4 trials is outside\n"
        "width: 4 to 8 (int) → 8, 16; 3 of 4 trials are outside\n"
        "in all, 3 of 4 trials are outside",
    ),
    (
        {"search": SEARCH | {"kind": {"choice": ["b", "c"]}}, "baseline": {"x": 0.25}},
        "kind: a, b → b, c; 1 of 4 trials is",
    ),
    (
        {"search": SEARCH | {"y": {"uniform": [0, 1]}}, "fixed": {}},
        "y: 0.5 in all trials → 0 … 1; none of 4 trials is outside",
    ),
    (
        {"search": SEARCH | {"y": {"uniform": [0, 0.4]}}, "fixed": {}},
        "y: 0.5 in all trials → 0 … 0.4; 4 of 4 trials are outside",
    ),
    (
        {"search": {"x": SEARCH["x"], "kind": SEARCH["kind"]}, "fixed": {"y": 0.5, "width": 4}},
        "width: 4 … 8 → 4 in all trials; 1 of 4 trials is outside",
    ),
    ({"search": {"x": SEARCH["x"], "width": SEARCH["width"]}}, "kind: a, b → not searched; 3 of 4 trials are outside"),
    ({"stopping": {"rule": "asha", "reduction": 4}}, "stopping.reduction: 3 → 4"),
    ({"start": [{"x": 0.3}, {"x": 0.35}]}, "start: 2 more to be evaluated"),
    ({"budget": {"trials": 40, "epochs": 9}, "confirm": {"top": 1}}, ""),
    ({"fixed": {"y": 0.5, "table": "table.txt"}}, ""),  # its default
]


@pytest.mark.parametrize(("changes", "says"), SOUND, ids=[says for _, says in SOUND])
def test_a_sound_edit_is_listed_before_the_start(
    changes: dict[str, Any], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "runs" / "searches" / "edited" / "study.journal").read_bytes()
    status, printed = resume(folder, capsys, **changes)
    assert status == 0, printed
    assert printed.startswith(says)
    assert bool(printed) == bool(says)
    assert (folder / "runs" / "searches" / "edited" / "study.journal").read_bytes() == before


UNSOUND: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"budget": {"trials": 4, "epochs": 27}}, ("budget.epochs", "9 → 27", "schedules")),
    ({"trainable": "tests.search.path_model:Model", "search": {"x": SEARCH["x"]}, "fixed": {}, "dataset": {
        "kind": "arrays", "train": "a.npz", "validate": 0.5}}, ("trainable", "another trainable")),
    ({"objectives": [{"metric": "score", "direction": "minimize"}]}, ("objectives", "minimize")),
    ({"seed": 1}, ("seed", "0 → 1")),
    ({"vary_seeds": True}, ("vary_seeds", "seeds of their own")),
    ({"fixed": {"y": 0.6}}, ("fixed.y", "0.5 → 0.6", "or search y over both values")),
    ({"fixed": {"y": 0.5, "hidden": 32}}, ("fixed.hidden", "null → 32")),  # the default of one width only
    ({"baseline": {"x": 0.3}}, ("baseline.x", "0.25 → 0.3", "add the point to start")),
    ({"search": SEARCH | {"hidden": {"int": [8, 64]}}}, ("search.hidden", "default", "other values")),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), UNSOUND, ids=[says[0] for _, says in UNSOUND])
def test_an_unsound_edit_is_refused_with_key_values_reason_and_remedy(
    changes: dict[str, Any], says: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = resume(folder, capsys, **changes)
    assert status == 2
    assert printed.startswith(f"error: {folder}/space.yaml: {says[0]}\n")
    assert all(text in printed for text in (*says, "a resumed search keeps", "--fresh or --name"))


def test_seeds_that_are_not_varied_any_more_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(prepare(tmp_path, vary_seeds=True), [])
    status, printed = resume(tmp_path, capsys)
    assert (status, "vary_seeds" in printed) == (2, True)


def test_edits_are_recorded_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = prepare(folder, "--resume", search=SEARCH | {"x": {"uniform": [0.2, 0.5]}})
    record(narrow, [])
    again = prepare(folder, "--resume", search={"x": {"uniform": [0.2, 0.5]}, "kind": SEARCH["kind"]})
    record(again, [])
    content = SearchFolder(folder / "runs", "edited").read_identity()
    assert [(edit["trial"], edit["outside"]) for edit in content[EDITS]] == [(4, [1]), (4, [1, 2, 3])]
    assert content[EDITS][0]["changes"]["search.x"] == [
        ["uniform", 0, 0.5, [], []],
        ["uniform", 0.2, 0.5, [], []],
    ]
    assert content["search"]["x"] == ["uniform", 0.2, 0.5, [], []]
    capsys.readouterr()
    assert show.main(["edited", "--storage", str(folder / "runs")]) == 0
    printed = capsys.readouterr().out
    assert "edit       from trial 4 on (20" in printed
    assert "x: 0 … 0.5 → 0.2 … 0.5" in printed
    assert "width: 4 … 8 → not searched" in printed
    outside = [line.split()[:3] for line in printed.splitlines() if "outside" in line]
    assert outside[:3] == [[number, "trial,", "outside"] for number in "321"]
    assert show.main(["edited", "2", "--json", "--storage", str(folder / "runs")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["outside"], shown["config"]["width"], shown["config"]["x"]) == (True, 4, 0.2)
