"""A trainable that trains nothing: an epoch is one second of sleep, which leaves only the overhead of a search."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from trainables.contract import InferenceParams, Metric, Metrics, Trainable, TrainableConfig


class IdleConfig(TrainableConfig):
    """Hyperparameters of `Idle`."""

    lr: float = Field(1e-3, gt=0)
    epoch_s: float = Field(1.0, gt=0, description="length of an epoch, seconds")


class Idle(Trainable):
    """Trainable whose metrics improve with every epoch and are best at a learning rate of 0.003."""

    Config = IdleConfig
    metrics = (Metric("f1", "maximize", "made up"), Metric("loss", "minimize", "made up"))
    inner = ()

    def __init__(self, config: IdleConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self._config = config
        self._epoch = 0

    def train_epoch(self) -> Metrics:
        """Sleep for the length of an epoch."""
        time.sleep(self._config.epoch_s)
        self._epoch += 1
        return {}

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return an F1 that depends on the learning rate and the epoch alone."""
        del split
        f1 = math.exp(-((math.log10(self._config.lr) + 2.5) ** 2)) * self._epoch / (self._epoch + 2)
        return [{"f1": f1, "loss": 1 - f1} for _ in params_grid]

    def state(self) -> dict[str, Any]:
        """Return the number of epochs."""
        return {"epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a number of epochs."""
        self._epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return no weights."""
        return {}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Ignore the weights."""
