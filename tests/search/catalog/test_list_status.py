"""Lists and states of searches are read from their records, which stay unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import search.list
import search.status
from search.launching.lease import Lease, StoredRecord
from search.results import SearchFolder
from tests.search.catalog.planted import plant_search


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return modification time and content of all files."""
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def rows(storage: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the rows of `search.list --json`."""
    assert search.list.main(["--storage", str(storage), "--json"]) == 0
    content: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return content


def test_a_list_has_counts_and_the_best_value_of_each_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_search(tmp_path)
    before = snapshot(tmp_path)
    (row,) = rows(tmp_path, capsys)
    assert (row["name"], row["state"], row["ended"], row["total"], row["failed"]) == ("toy", "interrupted", 3, 8, 1)
    assert (row["best"], row["best_trial"]) == ({"f1_0.3m": 0.6}, 1)
    assert search.list.main(["--storage", str(tmp_path)]) == 0
    assert "f1_0.3m 0.6" in capsys.readouterr().out
    assert snapshot(tmp_path) == before


def test_a_corrupt_search_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    broken = SearchFolder(tmp_path, "broken")
    broken.write_identity({"trainable": "localizer"})
    assert [(row["name"], row["state"]) for row in rows(tmp_path, capsys)] == [
        ("broken", "unreadable"),
        ("toy", "interrupted"),
    ]


def test_a_search_whose_lease_is_held_is_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_search(tmp_path)
    lease = Lease(StoredRecord.of_search(folder), "toy", sleep=lambda _: None)
    lease.acquire(print)
    assert rows(tmp_path, capsys)[0]["state"] == "running"
    lease.release()
    assert rows(tmp_path, capsys)[0]["state"] == "interrupted"


def test_a_status_has_outcomes_open_trials_and_an_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.status.main(["toy", "--storage", str(tmp_path), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["outcomes"] == {"finished": 2, "failed": 1, "running": 1}
    assert [(trial["trial"], trial["epoch"]) for trial in status["running"]] == [(3, 1)]
    assert (status["epochs"], status["seconds_per_epoch"]) == (7, 1.0)
    assert status["seconds_left_at_most"] == 4 * 9 + 8  # four trials are missing, and eight epochs of trial 3
    assert search.status.main(["toy", "--storage", str(tmp_path)]) == 0
    assert "trial 1 (start 0), epoch 3: f1_0.3m 0.6 in epoch 2" in capsys.readouterr().out


def test_an_unknown_search_is_refused_with_those_that_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.status.main(["tox", "--storage", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'toy'" in error
    assert "Traceback" not in error
