"""Checks of one machine by the doctor."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from runtime.machines import machine
from search.doctor import __main__ as doctor


def test_differing_versions_are_errors_with_the_command_that_installs_the_pinned_ones(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    versions = machine.package_versions() | {"optuna": "0.0.1"}
    pins.write_text("# pins\n" + "\n".join(f"{name}=={versions[name].partition('+')[0]}" for name in machine.PACKAGES))
    [result] = doctor.check_versions(pins)
    assert result.state == "error"
    assert "optuna" in result.message
    assert result.remedy.endswith("optuna==0.0.1")


def test_a_foreign_datasets_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_datasets_package().state == "ok"
    foreign = tmp_path / "datasets"
    foreign.mkdir()
    (foreign / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "datasets")
    result = doctor.check_datasets_package()
    assert result.state == "error"
    assert str(foreign) in result.message


def test_a_small_disk_and_little_memory_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_bytes", lambda _: 10**9)
    assert [result.state for result in doctor.check_storage(str(tmp_path))] == ["error"]
    monkeypatch.setattr(doctor, "_available_gb", lambda: 1.0)
    assert doctor.check_memory().state == "error"


def test_storage_that_cannot_be_written_is_an_error() -> None:
    [result] = doctor.check_storage("/proc/runs")
    assert result.state == "error"


def test_running_runs_and_a_corrupt_store_are_found(tmp_path: Path) -> None:
    assert doctor.check_store(str(tmp_path)).state == "ok"
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("create table runs (status text)")
        connection.execute("insert into runs values ('FINISHED'), ('RUNNING')")
    assert doctor.check_store(str(tmp_path)).message.startswith("1 of 2 MLflow runs are RUNNING")
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    assert doctor.check_store(str(tmp_path)).state == "error"


def test_the_command_prints_ready_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--storage", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.endswith("ready\n")


def test_the_command_counts_the_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_available_gb", lambda: 1.0)
    assert doctor.main(["--storage", str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("\n1 problem found\n")


def test_a_wrong_command_line_returns_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--storag", "x"]) == 2
    assert "did you mean '--storage'" in capsys.readouterr().err
