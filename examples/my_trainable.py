"""A trainable of your own on arrays of your own: logistic regression in plain NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy.special import expit

from examples.make_arrays import ARRAYS
from runtime.errors import InputError
from trainables.contract import InferenceParams, InnerParameter, Metric, Metrics, Trainable, TrainableConfig


class MyConfig(TrainableConfig):
    """Hyperparameters: names, defaults, bounds and meanings."""

    lr: float = Field(0.1, gt=0, le=10, description="learning rate")
    l2: float = Field(0.0, ge=0, le=1, description="weight of the L2 penalty")

    def check_data(self, dataset: Any) -> None:
        """Check that the arrays exist, before the search starts."""
        if not ARRAYS.exists():
            raise InputError(str(ARRAYS), "the arrays must exist", remedy="write them: python -m examples.make_arrays")


class MyTrainable(Trainable):
    """Logistic regression, trained by gradient descent on all samples at once."""

    Config = MyConfig
    metrics = (Metric("f1", "maximize", "F1 of the active class", headline=True),)
    inner = (InnerParameter("threshold", 0, 1, "smallest probability that counts as active"),)

    def __init__(self, config: MyConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        self.config, self.arrays = config, np.load(ARRAYS)
        self.w = np.random.default_rng(seed).normal(0, 0.01, self.arrays["train_x"].shape[1])

    def train_epoch(self) -> Metrics:
        """Take ten steps."""
        x, y = self.arrays["train_x"], self.arrays["train_y"]
        for _ in range(10):
            self.w -= self.config.lr * ((expit(x @ self.w) - y) @ x / len(x) + self.config.l2 * self.w)
        return {"weight_norm": float(np.linalg.norm(self.w))}

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Compute the probabilities once, then F1 at every threshold."""
        probability, y = expit(self.arrays[f"{split}_x"] @ self.w), self.arrays[f"{split}_y"]
        active = [probability >= params.get("threshold", 0.5) for params in params_grid]
        return [{"f1": float(2 * (a & y).sum() / max(a.sum() + y.sum(), 1))} for a in active]

    def state(self) -> dict[str, Any]:
        """Return all that training continues from, as plain values."""
        return {"w": self.w.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.w = np.array(state["w"])

    weights, load_weights = state, load_state  # type: ignore[assignment]
