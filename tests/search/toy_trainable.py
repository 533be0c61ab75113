"""A trainable whose methods return what the name of its mode says; most of them depart from the contract."""

from __future__ import annotations

import collections
import decimal
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from pydantic import BaseModel

from trainables.contract import InnerParameter, Metric, Trainable

EVALUATIONS: Final[dict[str, Callable[[list[dict[str, float]]], Any]]] = {
    "NumPy": lambda results: [{name: np.float32(value) for name, value in result.items()} for result in results],
    "torch": lambda results: [
        {name: torch.tensor(value, requires_grad=True) for name, value in result.items()} for result in results
    ],
    "ordered": lambda results: tuple(collections.OrderedDict(result) for result in results),
    "Decimal": lambda results: [{name: decimal.Decimal(str(v)) for name, v in result.items()} for result in results],
    "text": lambda results: [{"score": "0.9"} for _ in results],
    "none": lambda results: [{"score": None} for _ in results],
    "one mapping": lambda results: results[0],
    "nothing": lambda _: None,
    "too few": lambda results: results[:-1],
    "generator": lambda results: (result for result in results),
    "misspelt": lambda results: [{"Score": result["score"]} for result in results],
    "one misspelt": lambda results: [*results[:-1], {"Score": 1.0}],
    "numbered": lambda results: [{0: result["score"]} for result in results],
}
STATES: Final[dict[str, Callable[[], Any]]] = {
    "NumPy state": lambda: {"best": np.float64(0.5)},
    "state of a set": lambda: {"seen": [frozenset({1})]},
    "no state": lambda: None,
    "random state": lambda: {"random": random.getstate(), "numpy": np.random.default_rng(0).bit_generator.state},
}


class ToyConfig(BaseModel):
    """Hyperparameters of `Toy`."""

    x: float = 0.5
    mode: str = "plain"


class Toy(Trainable):
    """Trainable that improves with every epoch."""

    Config = ToyConfig
    metrics = (Metric("score", "maximize", "made up"),)
    inner = (InnerParameter("threshold", 0, 1, "made up"),)

    def __init__(self, config: ToyConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self._config = config
        self._epoch = 0

    def train_epoch(self) -> Any:
        """Count the epoch; return what the mode says."""
        self._epoch += 1
        returned: dict[str, Any] = {
            "no training metrics": None,
            "training text": {"train_loss": "low"},
            "training number": 0.5,
            "same name": {"score": -1.0},
            "training objective": {"score": 0.25},
        }
        return returned.get(self._config.mode, {"train_loss": 1 / self._epoch})

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> Any:
        """Return a score per choice, in the form that the mode says."""
        if self._config.mode == "training objective":
            return [{} for _ in params_grid]
        if self._config.mode == "test split" and split != "validate":
            raise NameError("lamda is not defined")
        results = []
        for params in params_grid:
            results.append({"score": self._config.x * params.get("threshold", 1.0) * self._epoch})
            if self._config.mode == "greedy":
                params.clear()  # type: ignore[attr-defined]
        return EVALUATIONS.get(self._config.mode, list)(results)

    def state(self) -> Any:
        """Return the epoch, and what the mode says."""
        late = {"best": np.float64(0.5)} if self._config.mode == "late NumPy state" and self._epoch == 2 else {}
        extra = STATES[self._config.mode]() if self._config.mode in STATES else {}
        return extra if extra is None else {"epoch": self._epoch} | extra | late

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from an epoch."""
        self._epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return what the mode says."""
        return {"scaler": np.zeros(2)} if self._config.mode == "NumPy weights" else {"epoch": self._epoch}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take the epoch."""
        self._epoch = weights["epoch"]

    def plot_predictions(self, splits: Sequence[str], inference_params: Mapping[str, float]) -> Any:
        """Fail."""
        raise RuntimeError(f"nothing to plot for {splits} with {inference_params}")


def repeated(config: ToyConfig, *, seed: int, epochs: int) -> Iterator[dict[str, float]]:
    """Yield random errors; a resumed trial repeats the first ones."""
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        yield {"error": config.x * generator.random()}


def continued(config: ToyConfig, *, epochs: int, state: Any = None) -> Iterator[Any]:
    """Yield random errors and the state of the generator."""
    generator, first = np.random.default_rng(3), 0
    if state is not None:
        first, generator.bit_generator.state = state["epoch"], state["generator"]
    for epoch in range(first, epochs):
        error = config.x * generator.random()
        yield {"error": error}, {"epoch": epoch + 1, "generator": generator.bit_generator.state}


class SizedConfig(BaseModel):
    """Hyperparameters of `Sized`."""

    x: float = 0.5
    width: int = 2
    delay_ms: float = 0.0
    states_size: bool = True


class Sized(Trainable):
    """Trainable with a known number of parameters, whose recall rises and whose precision falls with every epoch."""

    Config = SizedConfig
    metrics = (
        Metric("score", "maximize", "made up"),
        Metric("precision", "maximize", "made up"),
    )
    inner = (InnerParameter("threshold", 0, 1, "made up"),)
    needs_data = False

    def __init__(self, config: SizedConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self._config = config
        self._epoch = 0

    def train_epoch(self) -> dict[str, float]:
        """Count the epoch."""
        self._epoch += 1
        return {}

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
        """Return a score that rises with x, width and epoch, and falls with the threshold; the precision does the reverse."""
        del split
        results = []
        for params in params_grid:
            threshold = params.get("threshold", 0.0)
            score = self._config.x * self._config.width * self._epoch * (1 - threshold / 2)
            results.append({"score": score, "precision": 1 - 0.1 * self._epoch + 0.2 * threshold})
        return results

    def count_parameters(self) -> int:
        """Return a thousand for each unit of width."""
        return 1000 * self._config.width

    @classmethod
    def expected_parameters(cls, config: SizedConfig, dataset: Any) -> int | None:
        """Return the same in advance, unless the Config says not to."""
        del dataset
        return 1000 * config.width if config.states_size else None

    def prepare_prediction(self) -> Callable[[], object]:
        """Return a function that takes as long as the Config says."""
        return lambda: time.sleep(self._config.delay_ms / 1000)

    def state(self) -> dict[str, Any]:
        """Return the epoch."""
        return {"epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from an epoch."""
        self._epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return the epoch."""
        return {"epoch": self._epoch}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take the epoch."""
        self._epoch = weights["epoch"]
