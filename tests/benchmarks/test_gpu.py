"""The measurements of a GPU, in miniature on the CPU, without the packages that a machine with a GPU may lack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu import run
from benchmarks.gpu.determinism import first_difference
from benchmarks.gpu.feeding import FEEDS, random_batches
from benchmarks.gpu.measurements import MEASUREMENTS, Measurement
from benchmarks.gpu.ratios import compute_ratios
from benchmarks.gpu.run import Report, run_all
from benchmarks.gpu.session import Session
from benchmarks.gpu.table import format_results
from benchmarks.gpu.workloads import LOCALIZERS, localizer_config
from spaces.load import load_space
from spaces.schema import nest_names
from tests.datasets.small import made
from trainables.localizer.config import LocalizerConfig

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("ray", "optuna", "mlflow", "pyroomacoustics", "soundfile", "matplotlib", "sofar", "yaml")
HIDDEN = f"""
import importlib.metadata, sys
ABSENT = {ABSENT}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Absent())
found = importlib.metadata.version
def version(name):
    if name in ABSENT:
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
importlib.metadata.version = version
"""
"""Content of a `sitecustomize.py`, which also acts on processes that a command starts."""


def bare_environment(folder: Path) -> dict[str, str]:
    """Environment in which packages are missing that a machine with a GPU may lack."""
    (folder / "sitecustomize.py").write_text(HIDDEN)
    return os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "CUDA_VISIBLE_DEVICES": ""}


def test_trainables_and_anechoic_data_need_neither_search_nor_sound_packages(tmp_path: Path) -> None:
    modules = [
        "trainables.localizer.trainable",
        "trainables.doanet.trainable",
        "trainables.hnet.trainable",
        "trainables.acceleration",
        "datasets.rooms.synthesis",
        "datasets.rooms.provider",
        "search.execution.gpu_memory",
        *(f"benchmarks.gpu.{path.stem}" for path in sorted((ROOT / "benchmarks/gpu").glob("[a-z]*.py"))),
    ]
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare_environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    hidden = subprocess.run(
        [sys.executable, "-c", "import soundfile"], env=bare_environment(tmp_path), capture_output=True, check=False
    )
    assert hidden.returncode == 1


@pytest.mark.slow
def test_every_measurement_runs_without_those_packages(tmp_path: Path) -> None:
    names = [
        "card",
        "datasets",
        "training",
        "graphs",
        "data",
        "evaluation",
        "gpu_memory_rg_paper",
        "determinism",
        "full",
    ]
    (tmp_path / "run.py").write_text(
        f"""
import torch
from pathlib import Path
from benchmarks.gpu.measurements import MEASUREMENTS
from benchmarks.gpu.session import Session
if __name__ == "__main__":
    torch.set_num_threads(1)
    data = Path({str(tmp_path)!r})
    for known in MEASUREMENTS:
        if known.name in {names}:
            session = Session(data / (known.name + ".json"), data, miniature=True)
            session.attempt("all", known.run, session)
"""
    )
    command = [sys.executable, str(tmp_path / "run.py")]
    done = subprocess.run(command, env=bare_environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in names}
    assert [text for text in list_errors(results) if "CUDA graphs need a GPU" not in text] == []
    assert results["evaluation"]["rg_paper"]["settings"] == 68
    assert results["determinism"]["rg_laptop/deterministic"]["resumed"] == "equal"
    assert results["training"]["rg_paper/bf16"]["items_per_second"] > 0
    assert results["full"]["training"]["curve"]


def test_the_command_runs_a_measurement_in_its_own_process_and_prints_a_table(tmp_path: Path) -> None:
    out = tmp_path / "results" / "out.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--miniature", "--out", str(out), "--only", "card"]
    done = subprocess.run(
        command, env=bare_environment(tmp_path), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert content["measurements"]["card"]["state"] == "finished"
    assert content["results"]["card"]["software"]["torch"] == torch.__version__
    assert "card: matmul_bf16_tflops" in done.stdout


def list_errors(results: dict[str, Any]) -> list[str]:
    return [
        str(value["error"])
        for steps in results.values()
        for value in steps.values()
        if isinstance(value, dict) and "error" in value
    ]


def test_an_error_is_a_result_and_the_next_step_runs(tmp_path: Path) -> None:
    session = Session(tmp_path / "part.json", tmp_path, miniature=True)
    assert session.attempt("broken", lambda: 1 / 0) is None
    assert session.attempt("good", lambda: 3.0) == 3.0
    stored = json.loads((tmp_path / "part.json").read_text())
    assert stored == {"broken": {"error": "ZeroDivisionError: division by zero"}, "good": 3.0}


def test_a_step_without_time_is_named_as_skipped(tmp_path: Path) -> None:
    session = Session(tmp_path / "part.json", tmp_path, miniature=True, limit_s=0.0)
    session.attempt("late", lambda: pytest.fail("it must not start"))
    assert session.results == {"late": {"skipped": "no time left"}}


def measurement(name: str, *, most_s: float = 100, least_s: float = 1, reserved_s: float = 0) -> Measurement:
    return Measurement(name, print, most_s, least_s, reserved_s)  # the command of a test measures nothing here


def test_measurements_that_do_not_fit_any_more_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[str, float] = {}

    def note(report: Report, name: str, data: Path, limit: float) -> None:
        limits[name] = limit

    monkeypatch.setattr(run, "_run_one", note)
    report = Report(tmp_path / "out.json", miniature=True)
    plan = (
        measurement("short", most_s=20),
        measurement("generous", reserved_s=60),
        measurement("long", least_s=95),
        measurement("last"),
    )
    run_all(report, plan, tmp_path, 100, started=time.monotonic())
    assert limits == {
        "short": 20,
        "generous": pytest.approx(30, abs=2),
        "last": pytest.approx(90, abs=2),
    }
    assert json.loads((tmp_path / "out.json").read_text())["measurements"]["long"]["state"] == "skipped"


def test_a_process_that_hangs_is_killed_and_one_that_dies_is_named() -> None:
    def start(command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, process_group=0)

    assert run._wait(start([sys.executable, "-c", "import time; time.sleep(60)"]), 0.5) == "killed at its limit"
    assert run._wait(start([sys.executable, "-c", "raise SystemExit(3)"]), 20) == "exit status 3"
    assert run._wait(start([sys.executable, "-c", ""]), 20) == "finished"


def test_without_a_gpu_the_command_explains_the_miniature(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path / "out.json")]
    environment = bare_environment(tmp_path) | {"PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "--miniature" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_the_networks_are_those_of_the_spaces() -> None:
    for name, (space, profile) in {
        "rg_paper": ("rg_rep", "full"),
        "hm_paper": ("hm_rep", "full"),
        "rg_laptop": ("rg_rep", "laptop"),
    }.items():
        read = load_space(ROOT / f"spaces/{space}.yaml", has_gpu=True, profile=profile)
        config = LocalizerConfig.model_validate(nest_names(read.fixed))
        ours = localizer_config(name)
        assert ours.network == config.network
        assert ours.encoder == config.encoder
        assert ours.features == config.features
    assert set(LOCALIZERS) == {"rg_paper", "hm_paper", "rg_laptop"}


def test_all_ways_of_feeding_deliver_the_same_mixtures(tmp_path: Path) -> None:
    split = made(tmp_path).open_split("train")
    expected = [split.read_batch(chosen) for chosen, _ in zip(random_batches(len(split), 8), range(7), strict=False)]
    for feed in FEEDS.values():
        batches = feed(split, random_batches(len(split), 8), torch.device("cpu"))
        for wanted in expected:
            found = next(batches)
            torch.testing.assert_close(found.waves, wanted.waves, rtol=0, atol=0)
            torch.testing.assert_close(found.positions_m, wanted.positions_m, rtol=0, atol=0, equal_nan=True)
            assert torch.equal(found.counts, wanted.counts)
        batches.close()  # type: ignore[attr-defined]


def test_the_first_difference_names_the_tensor() -> None:
    weights = {"a": torch.zeros(3), "b": torch.ones(2)}
    assert first_difference(weights, {name: value.clone() for name, value in weights.items()}) is None
    changed = weights | {"b": torch.tensor([1.0, 1.5])}
    assert first_difference(weights, changed) == {"tensor": "b", "largest_deviation": 0.5, "tensors": 1, "of": 2}


def test_ratios_compare_steps_with_fp32_and_feeding_with_steps_that_need_no_data() -> None:
    results = {
        "training": {
            "rg_paper/flop_per_item": 7.0,
            "rg_paper/fp32": {"items_per_second": 10.0},
            "rg_paper/bf16": {"items_per_second": 40.0},
            "rg_paper/bf16/batch_32": {"items_per_second": 30.0},
            "doanet/fp32": {"error": "no"},
            "doanet/bf16": {"items_per_second": 5.0},
        },
        "data": {"plain/batch_128": 900.0, "training/rg_paper/plain": 20.0, "training/doanet/plain": {"skipped": "no"}},
        "graphs": {"training/rg_paper/resident_int16": 44.0, "rg_paper/bf16_graph": {"items_per_second": 50.0}},
    }
    found = compute_ratios(results)
    assert found["rg_paper/steps"] == {"fp32": 1.0, "bf16": 4.0, "bf16_graph": 5.0}
    assert found["rg_paper/feeding"] == {"plain": 0.5, "resident_int16_graph": 1.1}
    assert set(found) == {"rg_paper/steps", "rg_paper/feeding"}


def test_the_table_has_a_line_per_step() -> None:
    table = format_results({"training": {"a": {"items_per_second": 12345.6, "share": None}, "b": {"error": "no"}}})
    assert table.splitlines() == ["training: a  items_per_second 12,346  share None", "training: b  error no"]


def test_measurements_have_distinct_names_and_fit_into_nine_minutes_where_it_matters() -> None:
    names = [known.name for known in MEASUREMENTS]
    assert len(set(names)) == len(names)
    first = [known.most_s for known in MEASUREMENTS[:8]]
    assert sum(first) <= 9 * 60
    assert np.all([known.least_s <= known.most_s for known in MEASUREMENTS])
