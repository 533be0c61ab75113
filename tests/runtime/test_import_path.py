"""Modules in the working directory replace neither those of the project nor those of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.import_path import ROOT, find_shadowing_modules

SHADOWS = ["datasets", "runtime", "trainables", "spaces", "random", "yaml", "torch", "pydantic"]


@pytest.mark.parametrize("command", ["search.launch", "datasets.generate"])
def test_a_command_starts_in_a_folder_with_modules_of_the_same_names(tmp_path: Path, command: str) -> None:
    # A datasets.py hides datasets.generate from Python itself; soundsweep-generate starts there.
    for name in set(SHADOWS) - {command.partition(".")[0]}:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the working directory')")
    run = [sys.executable, "-m", command, f"{ROOT}/spaces/rg_rep.yaml"]
    done = subprocess.run(
        [*run, "--profle", "laptop"], cwd=tmp_path, env={"PYTHONPATH": ROOT}, capture_output=True, check=False
    )
    assert (done.returncode, b"did you mean '--profile'" in done.stderr) == (2, True), done.stderr


def test_another_package_of_the_same_name_that_is_already_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import datasets; sys.path.append({ROOT!r}); import search"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"ImportError: {tmp_path}/datasets/__init__.py replaces the package 'datasets'" in done.stderr


def test_shadowing_modules_of_a_folder_are_found(tmp_path: Path) -> None:
    for name in ("search.py", "random.py", "my_model.py", "notes.txt", "a-b.py"):
        (tmp_path / name).touch()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "numpy").mkdir()  # a folder without __init__.py replaces no package
    assert find_shadowing_modules(str(tmp_path)) == ["random", "search", "torch"]
    assert find_shadowing_modules(ROOT) == []
