"""A search is resumed on the data with which it was started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.registry import prepare_dataset
from search.launch import main
from search.results import FINGERPRINT, SearchFolder
from spaces.load import load_space

SPACE = """
name: own
trainable: examples.mlp:Mlp
dataset: {kind: arrays, train: train.npz, validate: 0.5}
search: {lr: {uniform: [0.1, 0.5]}}
objectives: [{metric: accuracy}]
budget: {trials: 2, epochs: 1}
"""


def write(path: Path, seed: int) -> None:
    np.savez(path, x=np.random.default_rng(seed).normal(size=(20, 2)), y=np.arange(20) % 2)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    """Return the folder of a search that was started, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "train.npz", 0)
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    space = load_space(Path("space.yaml"), has_gpu=False)
    folder = SearchFolder(tmp_path / "runs", "own")
    fingerprint = prepare_dataset(space.dataset, "dataset.train").fingerprint
    folder.write_identity(space.identity() | {FINGERPRINT: fingerprint})
    return folder


def launch(*options: str) -> int:
    return main(["space.yaml", "--dry-run", *options])


def test_data_with_other_content_is_refused(started: SearchFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch("--resume") == 0
    write(Path("train.npz"), 1)
    assert launch("--resume") == 2
    assert "a resumed search keeps its data" in capsys.readouterr().err
    assert launch("--fresh") == 0
    assert launch("--name", "other") == 0


def test_a_search_of_an_earlier_version_has_no_fingerprint_and_is_resumed(started: SearchFolder) -> None:
    identity = started.read_identity()
    del identity[FINGERPRINT]
    started.write_identity(identity)
    write(Path("train.npz"), 1)
    assert launch("--resume") == 0
