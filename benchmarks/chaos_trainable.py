"""Trainable of `benchmarks.chaos`: short epochs with known results, each noted in a ledger outside the search."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import Field

from trainables.contract import InferenceParams, Metric, Metrics, Trainable, TrainableConfig

LEDGER: Final = "SOUNDSWEEP_CHAOS_LEDGER"
"""Environment variable with the path of the ledger."""
_EPOCH_S: Final = 0.6
_STATE_VALUES: Final = 250_000


class ChaosConfig(TrainableConfig):
    """Hyperparameters."""

    x: float = Field(0.5, ge=0, le=1, description="position of the trial, which also identifies it in the ledger")


def score_of(x: float, epoch: int) -> float:
    """Return the result of an epoch, which depends on nothing else."""
    return 1 - (x - 0.3) ** 2 - 1 / (1 + epoch)


class ChaosTrainable(Trainable):
    """Trainable that sleeps, and appends a line to the ledger whenever an epoch has been trained."""

    Config = ChaosConfig
    metrics = (Metric("score", "maximize", "artificial score", headline=True),)
    inner = ()

    def __init__(self, config: ChaosConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self._x = config.x
        self._epoch = 0
        self._weights = torch.zeros(_STATE_VALUES)

    def train_epoch(self) -> Metrics:
        """Sleep, and note the epoch with a single append, which is atomic."""
        time.sleep(_EPOCH_S)
        self._epoch += 1
        self._weights += 1
        ledger = os.open(Path(os.environ[LEDGER]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(ledger, f"{self._x!r} {self._epoch}\n".encode())
        finally:
            os.close(ledger)
        return {"weight": float(self._weights[0])}

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the known result, or one that a wrongly restored state betrays."""
        del split
        is_restored = float(self._weights[-1]) == self._epoch
        return [{"score": score_of(self._x, self._epoch) if is_restored else -1.0} for _ in params_grid]

    def state(self) -> dict[str, Any]:
        """Return the epoch and the weights."""
        return {"epoch": self._epoch, "weights": self._weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._epoch, self._weights = int(state["epoch"]), state["weights"].clone()

    def weights(self) -> dict[str, Any]:
        """Return the epoch and the weights."""
        return self.state()

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace epoch and weights."""
        self.load_state(weights)
