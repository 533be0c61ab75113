"""A search that is resumed from another folder keeps its data, or says where it was started."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from search.launch import build_parser, main, prepare_experiment
from search.launching.origin import changed_keys
from search.results import FINGERPRINT

SPACE = """
name: moved
trainable: tests.search.path_model:Model
dataset: {kind: arrays, train: train.npz, validate: 0.25}
fixed: {table: table.txt}
search: {x: {uniform: [0, 1]}}
objectives: [{metric: score}]
budget: {trials: 2, epochs: 1}
"""


def make_folder(folder: Path, seed: int = 0) -> Path:
    """Create a folder with a space, and the files that it names by relative paths."""
    folder.mkdir()
    (folder / "space.yaml").write_text(SPACE)
    (folder / "table.txt").write_text(str(seed))
    generator = np.random.default_rng(seed)
    np.savez(folder / "train.npz", x=generator.normal(size=(8, 2)), y=generator.normal(size=8))
    return folder


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which a search has been started; the results are beside it."""
    folder = make_folder(tmp_path / "started")
    monkeypatch.chdir(folder)
    experiment = prepare_experiment(build_parser().parse_args(["space.yaml", "--storage", "../runs"]))
    identity = experiment.space.identity() | {FINGERPRINT: experiment.dataset.fingerprint}
    experiment.results.write_identity(identity, experiment.launch_folder)
    return folder


def resume(*options: str) -> int:
    return main(["space.yaml", "--storage", "../runs", "--resume", "--dry-run", *options])


def test_the_same_files_in_another_folder_are_accepted(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resume() == 0
    monkeypatch.chdir(make_folder(started.parent / "copy"))
    assert resume() == 0
    assert resume("--set", f"dataset.train={started}/train.npz") == 0
    (started / "train.npz").rename(started.parent / "elsewhere.npz")
    assert resume("--set", "dataset.train=../elsewhere.npz") == 0


def test_other_data_of_the_same_name_are_refused(
    started: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_folder(started.parent / "other", seed=1))
    assert resume() == 2
    assert f"cd {started}" in capsys.readouterr().err
    assert resume("--set", "dataset.train=../started/train.npz") == 2  # the table of the Config is another one, too
    assert "fixed.table" in capsys.readouterr().err


def test_missing_data_are_explained(
    started: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_folder(started.parent / "other"))
    Path("train.npz").unlink()
    assert resume() == 2
    assert f"started in {started}" in capsys.readouterr().err


def test_data_that_changed_in_place_are_refused(started: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(started / "train.npz", x=np.zeros((8, 2)), y=np.zeros(8))
    assert resume() == 2
    error = capsys.readouterr().err
    assert "a resumed search keeps its data" in error
    assert "cd " not in error


def test_a_moved_project_and_a_search_of_an_earlier_version_are_accepted(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = started.parent / "runs" / "searches" / "moved" / "space.json"
    monkeypatch.chdir(started.rename(started.parent / "renamed"))
    assert resume() == 0
    content = json.loads(identity.read_text())
    del content["launch_folder"], content[FINGERPRINT]
    identity.write_text(json.dumps(content))
    assert resume() == 0


def test_only_texts_of_the_dataset_may_change() -> None:
    before = {"seed": 0, "dataset": {"train": "a", "tests": {"S0": "b"}, "parts": ["c", 1], "size": 1}}
    recorded = before | {FINGERPRINT: "fingerprint"}
    other = {"train": "x", "tests": {"S0": "y"}, "parts": ["z", 1], "size": 1}
    assert changed_keys(recorded, {"seed": 0, "dataset": other}) == []
    assert changed_keys(before, {"seed": 0, "dataset": other}) == ["dataset"]
    assert changed_keys(recorded, {"seed": 1, "dataset": other | {"size": 2}}) == ["seed", "dataset"]
    assert changed_keys(recorded, {"seed": 0, "dataset": other | {"parts": []}}) == ["dataset"]
