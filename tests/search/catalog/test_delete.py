"""A search is deleted completely, only after confirmation, and never while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import search.delete
from search.launching.lease import Lease, StoredRecord
from tests.search.catalog.planted import plant_search


def test_a_search_is_deleted_and_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, other = plant_search(tmp_path), plant_search(tmp_path, "other")
    folder.model_path(1).parent.mkdir(parents=True)
    folder.model_path(1).write_bytes(b"0" * 5000)
    assert search.delete.main(["toy", "--storage", str(tmp_path), "--yes"]) == 0
    assert "3 files" in capsys.readouterr().out
    assert not folder.root_path.exists()
    assert folder.list_searches() == ["other"]
    assert other.journal_path.is_file()
    assert [path.name for path in (tmp_path / "searches").iterdir() if path.is_dir()] == ["other"]


def test_a_deletion_must_be_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_search(tmp_path)
    assert search.delete.main(["toy", "--storage", str(tmp_path)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert folder.journal_path.is_file()


def test_a_running_search_is_not_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_search(tmp_path)
    lease = Lease(StoredRecord.of_search(folder), "toy", sleep=lambda _: None)
    lease.acquire(print)
    assert search.delete.main(["toy", "--storage", str(tmp_path), "--yes"]) == 2
    assert "one launch at a time" in capsys.readouterr().err
    assert folder.journal_path.is_file()


@pytest.mark.parametrize("name", ["../searches/toy", "", "."])
def test_only_names_of_searches_are_deleted(name: str, tmp_path: Path) -> None:
    folder = plant_search(tmp_path)
    assert search.delete.main([name, "--storage", str(tmp_path), "--yes"]) == 2
    assert folder.journal_path.is_file()
