"""A search in awkward places: a long temporary folder, no home, modules that shadow others, and results that move."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from runtime.uris import sqlite_uri

ROOT = Path(__file__).resolve().parents[2]
STORAGE = "runs #1 100%20?"
SHADOWS = ["search", "datasets", "runtime", "random", "torch", "ray"]
MODEL = ROOT / "tests" / "search" / "path_model.py"
SPACE = """
name: places
trainable: places_model:Model
dataset: {kind: matrices}
search: {x: {uniform: [0, 1]}}
objectives: [{metric: score}]
budget: {trials: 2, epochs: 1}
stopping: {rule: none}
"""
SCRIPT = "import sys\nfrom search.launch import main\nsys.exit(main())\n"


def launch(folder: Path, storage: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a folder, as it is installed: the folder is not in the import path."""
    script = folder.parent / "bin" / "soundsweep-launch"
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    temporary = folder.parent / ("l" * 90)
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": "/proc/none", "TMPDIR": str(temporary)}
    command = [sys.executable, str(script), "space.yaml", "--storage", storage, *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_a_search_runs_in_awkward_places_and_continues_where_its_results_were_moved(tmp_path: Path) -> None:
    folder = tmp_path / "my project é"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} of the working directory')")
    (folder / "places_model.py").write_text(MODEL.read_text())
    (folder / "space.yaml").write_text(SPACE)
    (folder / "table.txt").write_text("2")
    started = launch(folder, STORAGE)
    assert started.returncode == 0, started.stdout + started.stderr
    assert started.stderr == ""
    (folder / STORAGE).rename(tmp_path / "moved")
    resumed = launch(folder, "../moved", "--resume", "--trials", "3")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert not (folder / STORAGE).exists()
    client = MlflowClient(sqlite_uri(tmp_path / "moved" / "mlflow.db"))
    experiment = client.get_experiment_by_name("places")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["role"] for run in runs) == ["baseline", "search", "trial", "winner"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    parent = next(run.info.run_id for run in runs if run.data.tags["role"] == "search")
    assert Path(client.download_artifacts(parent, "space.json", str(tmp_path))).is_file()
