"""A class that departs from the contract is refused before anything is built, with the member and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import InputError
from trainables import registry

HEADER = """
import numpy as np
from typing import Any
from benchmarks.idle import Idle, IdleConfig
from trainables.contract import InnerParameter, Metric, Trainable
"""
WRONG: dict[str, tuple[str, list[str]]] = {
    "evaluate without grid": (
        "def evaluate(self, split): return []",
        ["evaluate(self, split, params_grid)", "evaluate(self, split)"],
    ),
    "state with an argument": ("def state(self, epoch): return {}", ["state(self)", "epoch"]),
    "positional epoch": ("def train_epoch(self, loader): return {}", ["train_epoch(self)", "loader"]),
    "constructor": ("def __init__(self, config): pass", ["__init__(self, config, data, *, device, seed, epochs)"]),
    "constructor, seed": ("def __init__(self, config, data, *, device, epochs): pass", ["__init__", "'seed'"]),
    "constructor, more": ("def __init__(self, config, data, size, *, device, seed, epochs): pass", ["'size'"]),
    "static": ("@staticmethod\n    def load_state(): pass", ["load_state(self, state)"]),
    "property": ("weights = property(lambda self: {})", ["weights", "method", "property"]),
    "value": ("state = {}", ["state", "method", "dict"]),
    "generator": ("def evaluate(self, split, params_grid):\n        yield {}", ["evaluate", "yield", "return"]),
    "training generator": ("def train_epoch(self):\n        yield {}", ["train_epoch", "yield"]),
    "async": ("async def train_epoch(self): return {}", ["train_epoch", "async"]),
    "predictor": ("@classmethod\n    def predictor(cls, config): pass", ["predictor", "weights"]),
    "plot_prediction": (
        "def plot_prediction(self, splits, inference_params): pass",
        ["plot_prediction", "write plot_predictions"],
    ),
    "predictors": ("def predictors(self): pass", ["predictors", "write predictor"]),
    "Inner": ("Inner = ()", ["Inner", "write inner"]),
    "metrics of text": ('metrics = ("f1",)', ["'f1'", "contract.Metric", "Metric("]),
    "metrics of a mapping": ('metrics = {"f1": "maximize"}', ["'f1'", "Metric("]),
    "metrics of one name": ('metrics = "f1"', ["'f1'", "Metric("]),
    "direction": (
        'metrics = (Metric("f1", "maximize", "made up"),)\n    object.__setattr__(metrics[0], "direction", "max")',
        ["'max'", "maximize or minimize"],
    ),
    "equal names": ("metrics = (Idle.metrics[0], Idle.metrics[0])", ["f1", "differ"]),
    "inner of text": ('inner = ("threshold",)', ["'threshold'", "InnerParameter("]),
    "inner bounds": ('inner = InnerParameter("threshold", 1, 0, "made up")', ["threshold", "1 to 0"]),
    "NumPy default": (
        "class Config(IdleConfig):\n        lr: float = np.float32(0.1)",
        ["Config.lr", "numpy.float32", ".item()"],
    ),
    "NumPy default in a group": (
        "class Group(IdleConfig):\n        size: Any = np.zeros(2)\n"
        "    class Config(IdleConfig):\n        group: 'Mine.Group' = None\n    Config.model_fields['group'].default = Group()",
        ["Config.group.size", "numpy.ndarray"],
    ),
    "config instance": ("Config = IdleConfig()", ["Config", "instance"]),
}


def complaint(path: Path, body: str, monkeypatch: pytest.MonkeyPatch, name: str = "Mine") -> str:
    module = f"wrong_{abs(hash((str(path), body)))}"
    (path / f"{module}.py").write_text(f"{HEADER}\n{body}\n")
    monkeypatch.syspath_prepend(path)
    with pytest.raises(InputError) as caught:
        registry.load_trainable(f"{module}:{name}", "space.yaml: trainable")
    assert caught.value.place == "space.yaml: trainable"
    return str(caught.value)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_member_is_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, words = WRONG[kind]
    message = complaint(tmp_path, f"class Mine(Idle):\n    {body}", monkeypatch)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    "body",
    [
        "def winner(self): pass",
        "def predict(self, sound): pass",
        "def plot_prediction(self): pass\n    def plot_predictions(self, s, p): pass",
    ],
)
def test_other_methods_and_overridden_ones_are_accepted(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"right_{abs(hash(body))}"
    (tmp_path / f"{module}.py").write_text(f"{HEADER}\nclass Mine(Idle):\n    {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.load_trainable(f"{module}:Mine", "trainable").__name__ == "Mine"


def test_missing_members_are_listed_with_their_misspellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "class Mine(Trainable):\n"
        "    config, metric = IdleConfig, Idle.metrics\n"
        "    def load_weight(self, weights): pass\n"
        "    def train_epoch(self): pass"
    )
    message = complaint(tmp_path, body, monkeypatch)
    for word in (
        "Config (not config)",
        "metrics (not metric)",
        "load_weights (not load_weight)",
        "evaluate",
        "load_state",
    ):
        assert word in message
    assert "train_epoch" not in message


MODULES: dict[str, tuple[str, list[str]]] = {
    "syntax": ("def broken(:\n", ["wrong.py:1", "SyntaxError"]),
    "indentation": ("if True:\npass\n", ["wrong.py:2", "IndentationError"]),
    "exception": ("x = 1\ny = {}['lr']\n", ["wrong.py:2", "KeyError"]),
    "inside a library": ("import json\n\njson.loads('{')\n", ["wrong.py:3", "JSONDecodeError"]),
    "dependency": ("import no_such_package.layers\n", ["wrong.py:1", "no_such_package", "install no_such_package"]),
    "name of a dependency": ("from math import cosinus\n", ["wrong.py:1", "cosinus"]),
    "exit": ("import sys\nsys.exit(3)\n", ["wrong.py:2", "ends the program, status 3"]),
    "bytes": ("x = '\0'\n", ["wrong: SyntaxError", "null bytes"]),
}


@pytest.mark.parametrize("kind", MODULES)
def test_an_error_of_the_module_is_named_with_its_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = MODULES[kind]
    (tmp_path / "wrong.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as caught:
        registry.load_trainable("wrong:Mine", "trainable")
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("examples/my_trainable.py:MyTrainable", "examples.my_trainable:MyTrainable"),
        ("examples.my_trainable.MyTrainable", "examples.my_trainable:MyTrainable"),
        ("examples.my_trainable:MyTrainabel", "examples.my_trainable:MyTrainable"),
        ("examples.my_trainabel:MyTrainable", "run in the folder that contains examples"),
    ],
)
def test_a_wrong_path_is_answered_with_the_right_form(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.load_trainable(name, "trainable")
    assert hint in caught.value.remedy
