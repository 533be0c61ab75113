"""Searches side by side: what differs, values on the same data, and costs."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

import search.compare
from datasets.rooms.spec import RoomSpec
from search.execution.error_files import ModelErrors, write_errors
from search.results import SearchFolder
from tests.search.catalog.planted import plant_search
from tests.search.reporting.page.contents import make_analysis
from tests.search.support import SPACE


def compare(storage: Path, capsys: pytest.CaptureFixture[str], *entries: str) -> dict[str, Any]:
    """Return the output of `search.compare --json`."""
    assert search.compare.main([*entries, "--storage", str(storage), "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def set_fingerprint(folder: SearchFolder, fingerprint: str | None) -> None:
    """Change the recorded fingerprint of the data."""
    content = folder.read_identity() | {"data": fingerprint}
    folder.identity_path.write_text(json.dumps(content))


def test_differences_values_and_costs_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    plant_search(tmp_path, "wide", gain=0.1, fixed={**SPACE.fixed, "network.width": 32})
    content = compare(tmp_path, capsys, "toy", "wide", "toy#0")
    assert content["differences"] == {"fixed.network.width": [None, 32, None]}
    assert content["trials"] == [1, 1, 0]
    assert content["winners"]["optimizer.lr"] == [2e-3, 2e-3, 1e-4]
    assert content["validation"] == {"f1_0.3m": [0.6, pytest.approx(0.7), 0.3]}
    assert content["tests"]["S0"] == {"is_shared": True, "scores": {"f1_0.3m": [0.58, pytest.approx(0.68), None]}}
    assert [(cost["trials"], cost["epochs"], cost["seconds"]) for cost in content["costs"]] == [
        (4, 7, 7.0),
        (4, 7, 7.0),
        (1, 2, 2.0),
    ]


def test_ranges_that_differ_are_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    others = tuple(d for d in SPACE.search if d.name != "optimizer.lr")
    plant_search(tmp_path, "wide", search=(dataclasses.replace(SPACE.search[0], high=0.5), *others))
    assert SPACE.search[0].name == "optimizer.lr"
    assert search.compare.main(["toy", "wide", "--storage", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("search.optimizer.lr ")]
    assert re.split("  +", line.strip())[1:] == ["0.0001 to 0.01 (log_uniform)", "0.0001 to 0.5 (log_uniform)"]


def test_test_splits_of_different_data_are_not_comparable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_search(tmp_path)
    other = plant_search(tmp_path, "seeded", dataset=RoomSpec(seed=1))
    larger = plant_search(
        tmp_path, "larger", dataset=RoomSpec(train=RoomSpec().train.model_copy(update={"samples": 7}))
    )
    for number, each in enumerate((folder, other, larger)):
        set_fingerprint(each, str(number))
    assert not compare(tmp_path, capsys, "toy", "seeded")["tests"]["S0"]["is_shared"]
    assert compare(tmp_path, capsys, "toy", "larger")["tests"]["S0"]["is_shared"]  # only the training data differ
    assert search.compare.main(["toy", "seeded", "--storage", str(tmp_path)]) == 0
    assert "Test split S0 (different data, not comparable)" in capsys.readouterr().out


def test_a_comparison_in_markdown_has_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.compare.main(["toy#0", "toy#1", "--storage", str(tmp_path), "--markdown"]) == 0
    output = capsys.readouterr().out
    assert "## Validation\n\n| " in output
    assert "| f1_0.3m | 0.3   | 0.6   |" in output


@pytest.mark.parametrize("entries", [["toy"], ["toy", "toy#x"], ["toy", "toy#99"]])
def test_a_wrong_entry_is_refused(entries: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.compare.main([*entries, "--storage", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_page_compares_progress_and_errors_on_shared_splits_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [plant_search(tmp_path), plant_search(tmp_path, "wide", gain=0.1)]
    for number, folder in enumerate(folders):
        write_errors(folder, 1, ModelErrors({"S0": make_analysis(number)}))
    page = tmp_path / "page.html"
    assert search.compare.main(["toy", "wide", "--storage", str(tmp_path), "--html", str(page)]) == 0
    written = page.read_text(encoding="utf-8")
    assert all(
        title in written for title in ("Best so far", "Learning curves", "S0: distance", "Differences of the trials")
    )
    assert '"name":"toy"' in written
    set_fingerprint(folders[0], "1")
    plant_search(tmp_path, "seeded", dataset=RoomSpec(seed=1))
    write_errors(SearchFolder(tmp_path, "seeded"), 1, ModelErrors({"S0": make_analysis(2)}))
    assert search.compare.main(["toy", "seeded", "--storage", str(tmp_path), "--html", str(page)]) == 0
    written = page.read_text(encoding="utf-8")
    assert "S0: distance" not in written
    assert "Test split S0 (different data, not comparable)" in written
    assert "Differences of the spaces" in capsys.readouterr().out


def test_a_page_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    path = str(tmp_path / "no" / "page.html")
    assert search.compare.main(["toy#0", "toy#1", "--storage", str(tmp_path), "--html", path]) == 2
    assert "the page must be writable" in capsys.readouterr().err
