"""The smallest trainable: a function that yields the metrics of every epoch, here a line fitted by gradient descent."""

import numpy as np
from pydantic import BaseModel, Field

from trainables.contract import Metric
from trainables.function import trainable


class LineConfig(BaseModel):
    """Hyperparameters: names, defaults, bounds and meanings."""

    lr: float = Field(0.1, gt=0, le=2, description="learning rate")


@trainable(metrics=[Metric("error", "minimize", "mean squared error", headline=True)])
def fit_line(config: LineConfig, *, seed, epochs, state=None):
    """Fit a line; continue from the state of an interrupted trial."""
    x = np.random.default_rng(seed).uniform(-1, 1, 200)
    slope, first = (state["slope"], state["epoch"]) if state else (0.0, 0)
    for epoch in range(first, epochs):
        slope -= config.lr * np.mean((slope - 3) * x * x)
        yield {"error": np.mean((slope - 3) ** 2 * x**2)}, {"slope": float(slope), "epoch": epoch + 1}
