"""A trainable whose true quality is known: a recall that depends on `x`, on the seed and on the scene."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from trainables.contract import Metric, Metrics, Trainable

SCENES: Final = 400
SEED_NOISE: Final = 0.005


class PlantedConfig(BaseModel):
    """Hyperparameters of `Planted`."""

    x: float = 0.0
    epoch_seconds: float = 0.0


class Planted(Trainable):
    """Model with the recall 0.5 + 0.4 x."""

    Config = PlantedConfig
    metrics = (Metric("recall", "maximize", "share of sources found"),)

    def __init__(self, config: PlantedConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, epochs
        self._config = config
        self._seed = seed
        self._epoch = 0
        self._recall = 0.5 + 0.4 * config.x + np.random.default_rng(seed).normal(0, SEED_NOISE)

    def train_epoch(self) -> Metrics:
        """Wait."""
        time.sleep(self._config.epoch_seconds)
        self._epoch += 1
        return {"trained_seed": float(self._seed)}

    def _find_sources(self, split: str) -> NDArray[np.float64]:
        """Return sources found and sources of each scene, shape (scenes, 2)."""
        key = zlib.crc32(split.encode())
        difficulty = np.random.default_rng(key).normal(0, 0.1, SCENES)
        level = np.clip(self._recall + difficulty, 0, 1)
        found = np.random.default_rng([key, round(1e6 * self._recall)]).binomial(2, level)
        return np.stack([found, np.full(SCENES, 2)], axis=1).astype(np.float64)

    def evaluate(self, split: str, params_grid: Sequence[Mapping[str, float]]) -> list[Metrics]:
        """Return the recall."""
        return self.summarise_scenes(self._find_sources(split).sum(0)[None], None) * len(params_grid)

    def evaluate_scenes(self, split: str, inference_params: Mapping[str, float]) -> NDArray[np.float64]:
        """Return sources found and sources of each scene, shape (scenes, 2)."""
        del inference_params
        return self._find_sources(split)

    @classmethod
    def summarise_scenes(cls, sums: NDArray[np.float64], config: Any) -> list[Metrics]:  # noqa: ARG003
        """Return the recall of each resample."""
        return [{"recall": float(found / sources)} for found, sources in sums]

    def state(self) -> dict[str, Any]:
        """Return the epoch."""
        return {"epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from an epoch."""
        self._epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return the recall, which the seed determines."""
        return {"recall": float(self._recall)}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take the recall."""
        self._recall = weights["recall"]
