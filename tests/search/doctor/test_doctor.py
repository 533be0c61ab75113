"""The doctor finds what it is there to find."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from runtime import machine
from search.doctor import __main__ as doctor


def test_versions_that_differ_from_the_pins_are_named_with_the_command(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    versions = machine.package_versions() | {"optuna": "0.0.1"}
    pins.write_text("# pins\n" + "\n".join(f"{name}=={versions[name].partition('+')[0]}" for name in machine.PACKAGES))
    [finding] = doctor.check_versions(pins)
    assert finding.state == "bad"
    assert "optuna" in finding.what
    assert finding.remedy.endswith("optuna==0.0.1")


def test_a_foreign_datasets_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_datasets_package().state == "ok"
    foreign = tmp_path / "datasets"
    foreign.mkdir()
    (foreign / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "datasets")
    found = doctor.check_datasets_package()
    assert found.state == "bad"
    assert str(foreign) in found.what


def test_a_small_disk_and_little_memory_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.machine, "free_bytes", lambda _: 10**9)
    assert [finding.state for finding in doctor.check_storage(str(tmp_path))] == ["bad"]
    monkeypatch.setattr(doctor, "_available_gb", lambda: 1.0)
    assert doctor.check_memory().state == "bad"


def test_storage_that_cannot_be_written_is_bad() -> None:
    [finding] = doctor.check_storage("/proc/runs")
    assert finding.state == "bad"


def test_runs_left_running_and_a_broken_store_are_found(tmp_path: Path) -> None:
    assert doctor.check_store(str(tmp_path)).state == "ok"
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("create table runs (status text)")
        connection.execute("insert into runs values ('FINISHED'), ('RUNNING')")
    assert doctor.check_store(str(tmp_path)).what.startswith("1 of 2 MLflow runs are RUNNING")
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    assert doctor.check_store(str(tmp_path)).state == "bad"


def test_the_command_says_ready_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--storage", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.endswith("ready\n")


def test_a_wrong_command_line_is_answered_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--storag", "x"]) == 2
    assert "did you mean '--storage'" in capsys.readouterr().err
