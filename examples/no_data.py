"""A trainable that needs no data: gradient descent with momentum on the function of Rosenbrock."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from trainables.contract import InferenceParams, Metric, Metrics, Trainable, TrainableConfig


class DescentConfig(TrainableConfig):
    """Hyperparameters of the descent."""

    lr: float = Field(1e-4, gt=0, le=1e-2, description="step size")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is added")


class Descent(Trainable):
    """Position and velocity on the plane; the minimum is 0, at (1, 1)."""

    Config, needs_data = DescentConfig, False
    metrics = (Metric("height", "minimize", "value of the function", headline=True),)

    def __init__(self, config: DescentConfig, data: None, *, device: str, seed: int, epochs: int) -> None:
        self.config, self.position, self.velocity = config, np.array([-1.5, 2.0]), np.zeros(2)

    def train_epoch(self) -> Metrics:
        """Take 100 steps."""
        for _ in range(100):
            x, y = self.position
            gradient = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
            self.velocity = self.config.momentum * self.velocity - self.config.lr * gradient
            self.position = self.position + self.velocity
        return {}

    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the height at the position."""
        x, y = self.position
        return [{"height": float((1 - x) ** 2 + 100 * (y - x**2) ** 2)} for _ in params_grid]

    def state(self) -> dict[str, Any]:
        """Return position and velocity as plain values."""
        return {"position": self.position.tolist(), "velocity": self.velocity.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.position, self.velocity = np.array(state["position"]), np.array(state["velocity"])

    weights, load_weights = state, load_state  # type: ignore[assignment]
