"""Functions as trainables: what they take, what they yield, and how they continue."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from runtime.errors import InputError
from spaces.load import load_space
from trainables import registry
from trainables.contract import ContractError, Metric, Trainable
from trainables.function import as_trainable, trainable
from trainables.saved_values import read_back

PLACE = "space.yaml: trainable"
CALLS: list[Mapping[str, Any]] = []


class Config(BaseModel):
    lr: float = 0.25


@trainable(metrics=[Metric("error", "minimize", "made up")])
def train(config: Config, *, seed: int, epochs: int) -> Iterator[dict[str, Any]]:
    """Approach one."""
    CALLS.append({"seed": seed})
    error = np.random.default_rng(seed).random()
    for _ in range(epochs):
        error *= 1 - config.lr
        yield {"error": np.float32(error)}


def continue_training(config: Config, epochs: int, state: Any = None) -> Iterator[Any]:
    CALLS.append({"state": state})
    error, first = (1.0, 0) if state is None else (state["error"], state["epoch"])
    for epoch in range(first, epochs):
        error *= 1 - config.lr
        yield {"error": error}, {"error": error, "epoch": epoch + 1}


def build(function: Callable[..., Any], epochs: int = 4) -> Trainable:
    return as_trainable(function, f"my_module:{function.__name__}", PLACE)(
        Config(), "the data", device="cpu", seed=1, epochs=epochs
    )


def errors(model: Trainable, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        assert model.train_epoch() == {}
        [metrics] = model.evaluate("validate", [{}])
        found.append(metrics["error"])
    return found


@pytest.mark.parametrize(("function", "calls"), [(train, 2), (continue_training, 2)])
def test_a_resumed_function_continues_where_it_was(function: Callable[..., Any], calls: int) -> None:
    expected = errors(build(function), 4)
    CALLS.clear()
    first, resumed = build(function), build(function)
    errors(first, 2)
    resumed.load_state(read_back(first.state()))
    assert resumed.evaluate("validate", [{}]) == [{"error": expected[1]}]
    assert errors(resumed, 2) == expected[2:]
    assert len(CALLS) == calls
    assert CALLS[1].get("state") == ({"error": expected[1], "epoch": 2} if function is continue_training else None)


def test_the_metrics_are_those_of_validation_for_every_choice_and_none_of_a_test_split() -> None:
    model = build(train)
    errors(model, 1)
    plain, same = model.evaluate("validate", [{}, {}])
    assert plain == same
    assert type(plain["error"]) is float
    assert model.evaluate("test", [{}]) == [{}]


def test_a_function_takes_the_arguments_that_it_names() -> None:
    seen: dict[str, Any] = {}

    def with_all(config: Config, **others: Any) -> Iterator[dict[str, float]]:
        seen.update(others)
        yield {"error": 0.0}

    def with_dataset(settings: Config, dataset: Any, size: int = 3) -> Iterator[dict[str, float]]:
        seen.update(dataset=dataset, size=size)
        yield {"error": 0.0}

    build(with_all).train_epoch()
    assert seen == {"data": "the data", "device": "cpu", "seed": 1, "epochs": 4, "state": None}
    seen.clear()
    build(with_dataset).train_epoch()
    assert seen == {"dataset": "the data", "size": 3}


def test_the_state_is_the_weights() -> None:
    model = build(continue_training)
    errors(model, 1)
    assert model.weights() == {"state": {"error": 0.75, "epoch": 1}}
    assert build(train).weights() == {}


def test_a_function_that_returns_its_metrics_trains_one_epoch() -> None:
    def fit(config: Config) -> dict[str, float]:
        return {"error": config.lr}

    model = build(fit, epochs=2)
    assert errors(model, 1) == [0.25]
    with pytest.raises(ContractError, match=r"fit ended after 1 of 2 epochs"):
        model.train_epoch()


def number(config: Config) -> Iterator[Any]:
    yield 0.5


def text(config: Config) -> Iterator[Any]:
    yield {"error": "0.5"}


def short(config: Config) -> Iterator[Any]:
    yield {"error": 0.5}


def stateless(config: Config) -> Iterator[Any]:
    yield {"error": 0.5}, {"epoch": 1}


def forgetful(config: Config, state: Any = None) -> Iterator[Any]:
    yield {"error": 0.5}, {"epoch": 1}
    yield {"error": 0.5}


def nothing(config: Config) -> None:
    return None


SLIPS: list[tuple[Callable[..., Any], str]] = [
    (number, r"number yielded float \(0.5\)"),
    (text, r"text yielded metrics that are not numbers: 'error' is text: str '0.5'"),
    (short, "short ended after 1 of 4 epochs"),
    (stateless, "has no parameter for it: add state=None"),
    (forgetful, "no state after epoch 2"),
    (nothing, "nothing returned None, but must yield"),
]


@pytest.mark.parametrize(("function", "message"), SLIPS)
def test_what_a_function_yields_wrongly_is_named(function: Callable[..., Any], message: str) -> None:
    model = build(function)
    with pytest.raises(ContractError, match=message):
        errors(model, 2)


def unannotated(config): ...  # type: ignore[no-untyped-def]


def annotated_otherwise(config: dict[str, float]) -> None: ...


def unknown_parameter(config: Config, datas: Any) -> None: ...


def without_parameters() -> None: ...


async def coroutine(config: Config) -> None: ...


WRONG: list[tuple[Callable[..., Any], str]] = [
    (unannotated, "annotated with its Config"),
    (annotated_otherwise, "annotated with its Config"),
    (without_parameters, "annotated with its Config"),
    (unknown_parameter, "did you mean 'data'?"),
    (coroutine, "must not be async"),
    (max, "annotated with its Config"),
]


@pytest.mark.parametrize(("function", "message"), WRONG)
def test_a_function_with_other_parameters_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match="config: MyConfig") as caught:
        as_trainable(function, "my_module:train", PLACE)
    assert message in str(caught.value)


def test_the_class_of_a_function_is_found_by_its_path_and_is_the_same_each_time() -> None:
    path = "tests.trainables.test_function:train"
    loaded = registry.load_trainable(path, PLACE)
    assert loaded is registry.load_trainable(path, PLACE)
    assert loaded.Config is Config
    assert [metric.name for metric in registry.describe_trainable(path, PLACE).metrics] == ["error"]
    assert registry.describe_trainable("tests.trainables.test_function:continue_training", PLACE).metrics == ()


partly = functools.partial(continue_training, epochs=3)


def test_a_partial_function_is_a_trainable() -> None:
    assert registry.load_trainable("tests.trainables.test_function:partly", PLACE).Config is Config


SPACE = """
name: mine
trainable: tests.trainables.test_function:{function}
dataset: {{kind: matrices}}
search: {{lr: {{uniform: [0.1, 1]}}}}
objectives: [{objective}]
budget: {{trials: 2, epochs: 2}}
"""


def test_objectives_name_the_metrics_that_a_function_does_not_declare(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.format(function="continue_training", objective="{metric: error, direction: minimize}"))
    assert load_space(path, has_gpu=False).objectives == (("error", "minimize"),)
    path.write_text(SPACE.format(function="train", objective="{metric: error}"))
    assert load_space(path, has_gpu=False).objectives == (("error", "minimize"),)
    path.write_text(SPACE.format(function="continue_training", objective="{metric: error}"))
    with pytest.raises(InputError, match="direction") as caught:
        load_space(path, has_gpu=False)
    assert caught.value.place == f"{path}: objectives.0.direction"
    path.write_text(SPACE.format(function="train", objective="{metric: eror, direction: minimize}"))
    with pytest.raises(InputError, match="did you mean 'error'"):
        load_space(path, has_gpu=False)
