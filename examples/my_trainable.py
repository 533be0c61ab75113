"""A trainable of your own on arrays of your own: logistic regression in plain NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy.special import expit

from datasets.arrays.splits import ArrayData
from trainables.contract import InferenceParams, InnerParameter, Metric, Metrics, Trainable, TrainableConfig


class MyConfig(TrainableConfig):
    """Hyperparameters: names, defaults, bounds and meanings."""

    lr: float = Field(0.1, gt=0, le=10, description="learning rate")
    l2: float = Field(0.0, ge=0, le=1, description="weight of the L2 penalty")


class MyTrainable(Trainable):
    """Logistic regression, trained by gradient descent on all samples at once."""

    Config = MyConfig
    metrics = (Metric("f1", "maximize", "F1 of the active class", headline=True),)
    inner = (InnerParameter("threshold", 0, 1, "smallest probability that counts as active"),)

    def __init__(self, config: MyConfig, data: ArrayData, *, device: str, seed: int, epochs: int) -> None:
        self.config, self.data = config, data
        self.w = np.random.default_rng(seed).normal(0, 0.01, data.train["x"].shape[1])

    def train_epoch(self) -> Metrics:
        """Take ten steps."""
        x, y = self.data.train["x"], self.data.train["y"]
        for _ in range(10):
            self.w -= self.config.lr * ((expit(x @ self.w) - y) @ x / len(x) + self.config.l2 * self.w)
        return {"weight_norm": float(np.linalg.norm(self.w))}

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Compute the probabilities once, then F1 at every threshold."""
        probability, y = expit(self.data.split(split)["x"] @ self.w), self.data.split(split)["y"]
        active = [probability >= params.get("threshold", 0.5) for params in params_grid]
        return [{"f1": float(2 * (a & y).sum() / max(a.sum() + y.sum(), 1))} for a in active]

    def state(self) -> dict[str, Any]:
        """Return all that training continues from, as plain values."""
        return {"w": self.w.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.w = np.array(state["w"])

    weights, load_weights = state, load_state  # type: ignore[assignment]
