"""A trainable that trains nothing: an epoch is a second of sleep. What a search costs beside its trials is left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trainables.contract import Metric, Metrics, Settings, Trainable


class IdleConfig(BaseModel):
    """One hyperparameter, as an example has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: float = Field(1e-3, gt=0)
    epoch_s: float = Field(1.0, gt=0, description="length of an epoch, seconds")


class Idle(Trainable):
    """Gets better with every epoch, and is best at a learning rate of 0.003."""

    Config = IdleConfig
    metrics = (Metric("f1", "maximize", "made up"), Metric("loss", "minimize", "made up"))
    inner = ()

    def __init__(self, config: IdleConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self._config = config
        self._epoch = 0

    def train_epoch(self) -> Metrics:
        """Sleep."""
        time.sleep(self._config.epoch_s)
        self._epoch += 1
        return {}

    def evaluate(self, split: str, settings: Sequence[Settings]) -> list[Metrics]:
        """A made-up F1."""
        del split
        f1 = math.exp(-((math.log10(self._config.lr) + 2.5) ** 2)) * self._epoch / (self._epoch + 2)
        return [{"f1": f1, "loss": 1 - f1} for _ in settings]

    def state(self) -> dict[str, Any]:
        """The epoch."""
        return {"epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on."""
        self._epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """None."""
        return {}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """None."""

    def predict(self, audio: Any, settings: Settings) -> Any:
        """Nothing."""
        del audio, settings
