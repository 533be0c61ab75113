# the contract names the parameters
"""Trainable with a path in its Config, which is read at every validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trainables.contract import Metric, Trainable


class Config(BaseModel):
    """Config with a path."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    x: float = Field(0.5, ge=0, le=1, description="abscissa")
    table: str = Field("table.txt", description="file with the value at 0")


class Model(Trainable):
    """Trainable whose metric is a value from a file."""

    Config = Config
    metrics = (Metric("score", "maximize", "a score", headline=True),)
    inner = ()

    def __init__(self, config: Any, data: Any, *, device: str, seed: int, epochs: int) -> None:
        self._config = config
        self._done = 0

    def train_epoch(self) -> dict[str, float]:
        self._done += 1
        return {}

    def evaluate(self, split: str, settings: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
        return [{"score": float(Path(self._config.table).read_text()) - self._config.x} for _ in settings]

    def state(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._done = state["done"]

    def weights(self) -> dict[str, Any]:
        return {}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        pass
