"""Datasets of a class outside the project, and no dataset at all."""

from __future__ import annotations

import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from datasets.config_file import read_specs
from datasets.custom import CustomData, CustomProvider
from datasets.generate import main as generate
from datasets.registry import prepare_dataset
from runtime.errors import InputError
from runtime.storage import storage_at
from spaces.load import load_space
from spaces.schema import Space

MODULE = """
from pathlib import Path
from pydantic import Field, field_validator
from datasets.custom import CustomData

class Points(CustomData):
    folder: str = "points"
    noise: float = Field(0.0, ge=0, description="standard deviation of the noise")
    train: int = 4

    def files(self):
        return [self.folder]

    def split(self, name):
        return (Path(self.folder) / f"{name}.txt").read_text().split()

    def test_names(self):
        return ("S0", "S1")

    def count_samples(self, name):
        return len(self.split(name))

class Failing(CustomData):
    when: str

    def check(self):
        if self.when == "check":
            raise ValueError("no such corpus")

    def files(self):
        return ["missing.bin"] if self.when == "files" else []

    def split(self, name):
        return None

class Strict(CustomData):
    rate_hz: int

class Other:
    pass

VALUE = 3
"""
TRAINABLES = """
from pydantic import Field
from trainables.contract import Metric, Trainable, TrainableConfig

class Config(TrainableConfig):
    x: float = Field(0.5, ge=0, le=1, description="x")

class Model(Trainable):
    Config, inner = Config, ()
    metrics = (Metric("score", "maximize", "a score"),)
    def __init__(self, config, data, *, device, seed, epochs): self.config, self.data = config, data
    def train_epoch(self): return {}
    def evaluate(self, split, params_grid): return [{"score": self.config.x} for _ in params_grid]
    def state(self): return {}
    def load_state(self, state): pass
    def weights(self): return {}
    def load_weights(self, weights): pass

class Independent(Model):
    needs_data = False
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with modules and data of a user, which is the working directory."""
    (tmp_path / "own_data.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "own_model.py").write_text(TRAINABLES, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name", encoding="utf-8")
    (tmp_path / "faulty.py").write_text("1 / 0", encoding="utf-8")
    (tmp_path / "points").mkdir()
    for split in ("train", "validate", "S0", "S1"):
        (tmp_path / "points" / f"{split}.txt").write_text("1 2 3", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("own_data", "own_model", "broken", "faulty"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def load(folder: Path, dataset: dict[str, Any] | None, trainable: str = "own_model:Model", *changes: str) -> Space:
    values: dict[str, Any] = {
        "name": "own",
        "trainable": trainable,
        "search": {"x": {"uniform": [0, 1]}},
        "objectives": [{"metric": "score"}],
        "budget": {"trials": 2, "epochs": 2},
    }
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(values | ({} if dataset is None else {"dataset": dataset})), encoding="utf-8")
    return load_space(path, has_gpu=False, overrides=changes)


def provider_of(space: Space) -> CustomProvider:
    provider = prepare_dataset(space.dataset, "space.yaml: dataset.kind")
    assert isinstance(provider, CustomProvider)
    return provider


def test_a_class_is_named_by_its_import_path(folder: Path) -> None:
    space = load(folder, {"kind": "own_data:Points", "noise": "1e-3", "train": 3})
    assert space.identity()["dataset"] == {"kind": "own_data:Points", "folder": "points", "noise": 0.001, "train": 3}
    provider = provider_of(pickle.loads(pickle.dumps(space)))
    assert [(split.name, split.samples) for split in provider.list_splits()] == [
        ("train", 3),
        ("validate", 3),
        ("S0", 3),
        ("S1", 3),
    ]
    data = pickle.loads(pickle.dumps(provider)).open_dataset(storage_at("store"), folder)
    assert data.split("validate") == ["1", "2", "3"]
    assert provider.missing_bytes(storage_at("store")) == {}
    assert space.list_dataset_specs() == [space.dataset]
    assert space.boundary_datasets() == []


def test_the_fingerprint_depends_on_the_keys_and_on_the_content_of_the_files(folder: Path) -> None:
    def fingerprint(**keys: Any) -> str:
        return provider_of(load(folder, {"kind": "own_data:Points", **keys})).fingerprint

    first = fingerprint()
    assert first == fingerprint() != fingerprint(noise=0.5)
    (folder / "points" / ".DS_Store").write_bytes(b"x")
    assert fingerprint() == first
    shutil.copytree(folder / "points", folder / "moved")
    assert fingerprint(folder=str(folder / "moved")) == first
    (folder / "points" / "train.txt").write_text("1 2 4", encoding="utf-8")
    assert fingerprint() != first


@pytest.mark.parametrize(
    ("dataset", "place", "words"),
    [
        ({"kind": "own_data:Point"}, "dataset.kind", "did you mean own_data:Points"),
        ({"kind": "own_dat:Points"}, "dataset.kind", "No module named 'own_dat'"),
        ({"kind": "broken:Points"}, "dataset.kind", "nothing_of_this_name"),
        ({"kind": "faulty:Points"}, "dataset.kind", "ZeroDivisionError"),
        ({"kind": "own_data:"}, "dataset.kind", "my_package.my_module:MyData"),
        ({"kind": ":Points"}, "dataset.kind", "my_package.my_module:MyData"),
        ({"kind": "own data.py:Points"}, "dataset.kind", "own data"),
        ({"kind": "own_data:Other"}, "dataset.kind", "derives from datasets.custom.CustomData"),
        ({"kind": "own_data:VALUE"}, "dataset.kind", "derives from datasets.custom.CustomData"),
        ({"kind": "own_data.Points"}, "dataset.kind", "my_package.my_module:MyData"),
        ({"kind": "own_data:Points", "nois": 1}, "dataset.nois", "did you mean 'noise'"),
        ({"kind": "own_data:Points", "noise": -1}, "dataset.noise", "at least 0"),
        ({"kind": "own_data:Points", "noise": "loud"}, "dataset.noise", "standard deviation of the noise"),
        ({"kind": "own_data:Strict"}, "dataset.rate_hz", "the key is required"),
    ],
)
def test_a_class_that_cannot_be_used_is_answered_with_file_and_key(
    folder: Path, dataset: dict[str, Any], place: str, words: str
) -> None:
    for read in (lambda: load(folder, dataset), lambda: read_specs(folder / "space.yaml", has_gpu=False)):
        with pytest.raises(InputError) as caught:
            read()
        assert caught.value.place == f"{folder / 'space.yaml'}: {place}"
        assert words in str(caught.value)


@pytest.mark.parametrize(("when", "words"), [("check", "no such corpus"), ("files", "missing.bin")])
def test_a_class_that_refuses_its_data_is_answered(folder: Path, when: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        provider_of(load(folder, {"kind": "own_data:Failing", "when": when}))
    assert words in str(caught.value)


def test_generate_has_nothing_to_build(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(folder, {"kind": "own_data:Points"})
    assert generate(["space.yaml"]) == 0
    assert "nothing to build" in capsys.readouterr().out


def test_a_trainable_that_needs_no_data_omits_the_dataset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for dataset, changes in ((None, ()), ({"kind": "none"}, ()), ({"kind": "own_data:Points"}, ("dataset=null",))):
        space = load(folder, dataset, "own_model:Independent", *changes)
        assert space.identity()["dataset"] == {"kind": "none", "tests": []}
        provider = prepare_dataset(space.dataset, "dataset")
        assert (provider.list_splits(), provider.missing_bytes(storage_at("store"))) == ((), {})
        assert provider.open_dataset(storage_at("store"), folder) is None
    load(folder, None, "own_model:Independent")
    assert generate(["space.yaml"]) == 0
    assert "nothing to build" in capsys.readouterr().out


def test_a_trainable_that_needs_no_data_may_name_test_splits_or_get_data(folder: Path) -> None:
    assert load(folder, {"kind": "none", "tests": ["S0"]}, "own_model:Independent").dataset.test_names() == ("S0",)
    assert isinstance(load(folder, {"kind": "own_data:Points"}, "own_model:Independent").dataset, CustomData)


@pytest.mark.parametrize("dataset", [None, {"kind": "none"}])
def test_a_trainable_that_needs_data_is_refused_without(folder: Path, dataset: dict[str, Any] | None) -> None:
    with pytest.raises(InputError, match="own_model:Model needs data") as caught:
        load(folder, dataset)
    assert caught.value.place == f"{folder / 'space.yaml'}: dataset"
