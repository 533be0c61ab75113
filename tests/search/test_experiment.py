"""An experiment takes the folder of its launch along to other processes."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from datasets.registry import prepare_dataset
from runtime.import_path import ROOT
from runtime.machines.working_folder import neutral_import_path
from runtime.storage import storage_at
from search.experiment import Experiment
from search.results import SearchFolder
from tests.search.support import space


@pytest.fixture
def launch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "launch").mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path / "launch")
    return tmp_path / "launch"


def make_experiment(folder: Path) -> Experiment:
    searched = space()
    dataset = prepare_dataset(searched.dataset, "tests")
    return Experiment(searched, dataset, SearchFolder(folder, "toy"), storage_at(str(folder)))


def test_a_process_that_receives_an_experiment_works_in_its_launch_folder(
    launch_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pickle.dumps(make_experiment(tmp_path))
    monkeypatch.chdir(tmp_path)
    received: Experiment = pickle.loads(content)
    assert Path.cwd() == launch_folder == received.launch_folder
    assert sys.path[-1] == str(launch_folder)
    assert received.space == space()
    assert received.dataset.fingerprint == make_experiment(tmp_path).dataset.fingerprint


def test_a_machine_without_the_launch_folder_stays_where_it_is(
    launch_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pickle.dumps(make_experiment(tmp_path))
    monkeypatch.chdir(tmp_path)
    launch_folder.rmdir()
    assert pickle.loads(content).launch_folder == launch_folder
    assert Path.cwd() == tmp_path


def test_ray_starts_elsewhere_only_in_folders_with_modules_that_replace_others(launch_folder: Path) -> None:
    (launch_folder / "my_model.py").touch()
    with neutral_import_path():
        assert Path.cwd() == launch_folder
    (launch_folder / "random.py").touch()
    with neutral_import_path():
        assert Path.cwd() == Path(ROOT)
    assert Path.cwd() == launch_folder
