"""Trainables with one fault each, which the contract checks have to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field

from trainables.contract import InnerParameter, Metric, Trainable
from trainables.network_trainable import NetworkTrainable


class WalkConfig(BaseModel):
    """Hyperparameters of `Walk`."""

    lr: float = Field(0.1, gt=0, le=1)
    form: str = "plain"


class Walk(Trainable):
    """Random walk towards one that keeps the contract."""

    Config = WalkConfig
    metrics = (Metric("score", "maximize", "made up"), Metric("share", "maximize", "made up"))
    inner = (InnerParameter("threshold", 0, 1, "made up"),)

    def __init__(self, config: WalkConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        self.config = config
        self.generator = np.random.default_rng(seed)
        self.w = torch.zeros(2)
        self.epoch = 0

    def draw(self) -> float:
        """Return a random number."""
        return float(self.generator.normal())

    def train_epoch(self) -> dict[str, Any]:
        """Take a step."""
        self.epoch += 1
        self.w += self.config.lr * (1 - self.w + self.draw())
        return {"train_loss": self.w.sum()}

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> Any:
        """Return the position, and its share of the threshold."""
        return [self.measure(params) for params in params_grid]

    def measure(self, params: Mapping[str, float]) -> dict[str, Any]:
        """Return the metrics of a choice of inference parameters."""
        return {"score": self.w[0], "share": self.w[0] * params.get("threshold", 0.5)}

    def state(self) -> dict[str, Any]:
        """Return everything."""
        return {"w": self.w, "generator": self.generator.bit_generator.state, "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore everything."""
        self.w, self.epoch = state["w"].clone(), state["epoch"]
        self.generator.bit_generator.state = state["generator"]

    def weights(self) -> dict[str, Any]:
        """Return the position."""
        return {"w": self.w.clone()}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Restore the position."""
        self.w = weights["w"]


class Incomplete(Walk):
    """Returns a part of its metrics."""

    def measure(self, params: Mapping[str, float]) -> dict[str, Any]:
        """Return one of two metrics."""
        return {"Score": self.w[0], "share": 0.0}


class GlobalGenerator(Walk):
    """Draws from the global generator."""

    def draw(self) -> float:
        """Return a random number."""
        return float(np.random.normal())  # noqa: NPY002  # the fault


class SeededGlobally(Walk):
    """Seeds the global generator, and is unaffected by its state at the start."""

    def __init__(self, config: WalkConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, data, device=device, seed=seed, epochs=epochs)
        torch.manual_seed(seed)


class Counting(Walk):
    """Keeps something in the class."""

    built: ClassVar[list[int]] = []

    def __init__(self, config: WalkConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, data, device=device, seed=seed, epochs=epochs)
        self.built.append(seed)
        self.w += len(self.built)


class Forgetful(Walk):
    """Stores no generator."""

    def state(self) -> dict[str, Any]:
        """Return the position."""
        return {"w": self.w}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the position."""
        self.w = state["w"].clone()


class Careless(Walk):
    """Restores nothing."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class Unreadable(Walk):
    """Stores a NumPy array."""

    def state(self) -> dict[str, Any]:
        """Return everything, and an array."""
        return super().state() | {"order": np.arange(3)}


class Partial(Walk):
    """Forgets its weights."""

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Do nothing."""


class FirstOnly(Walk):
    """Gives all choices of inference parameters the same metrics."""

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> Any:
        """Return the metrics of the first choice."""
        return [self.measure(params_grid[0]) for _ in params_grid]


class Disturbed(Walk):
    """Draws from the generator of its training while it is evaluated."""

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> Any:
        """Draw, and return the metrics."""
        self.draw()
        return super().evaluate(split, params_grid)


class Unseeded(Walk):
    """Ignores its seed."""

    def __init__(self, config: WalkConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, data, device=device, seed=0, epochs=epochs)


class DroppingConfig(WalkConfig):
    """Hyperparameters of `Dropping`."""

    dropout: float = Field(0.0, ge=0, lt=1)


class Dropping(Walk):
    """Uses the global generator of torch, with a dropout above 0 only."""

    Config = DroppingConfig

    def train_epoch(self) -> dict[str, Any]:
        """Take a step and drop a part of it."""
        result = super().train_epoch()
        self.w = torch.nn.functional.dropout(self.w + torch.ones(8, 2), getattr(self.config, "dropout", 0.0)).mean(0)
        return result


class SeededDropping(NetworkTrainable):
    """Network with dropout that is trained within `_seed_epoch`."""

    Config = DroppingConfig
    metrics = Walk.metrics
    needs_data = False

    def __init__(self, config: DroppingConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        dropout = torch.nn.Dropout(config.dropout)
        self.network = self._build_seeded(lambda: torch.nn.Sequential(torch.nn.Linear(8, 8), dropout))
        self.optimizer = torch.optim.SGD(self.network.parameters(), config.lr)

    def train_epoch(self) -> dict[str, float]:
        """Take a step."""
        self.network.train()
        with self._seed_epoch():
            loss = self.network(torch.ones(1, 8)).square().sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return dict(self._end_epoch(loss.item()))

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> Any:
        """Return made-up metrics."""
        self.network.eval()
        with torch.inference_mode():
            value = float(self.network(torch.ones(1, 8)).sum())
        return [{"score": value, "share": value} for _ in params_grid]
