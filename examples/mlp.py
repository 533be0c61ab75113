"""A multilayer perceptron on arrays `x`, shape (samples, features), and `y`, shape (samples,), in PyTorch."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.contract import InferenceParams, Metric, Metrics, TrainableConfig
from trainables.network_trainable import NetworkTrainable


class MlpConfig(TrainableConfig):
    """Hyperparameters of the perceptron."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    hidden: int = Field(32, ge=1, le=4096, description="units of the hidden layer")


class Mlp(NetworkTrainable):
    """One hidden layer and a binary output; the base class saves and loads network and optimizer."""

    Config, inner = MlpConfig, ()
    metrics = (Metric("accuracy", "maximize", "share of correct answers", headline=True),)

    def __init__(self, config: MlpConfig, data: Any, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self.data, sizes = data, (data.split("train")["x"].shape[1], config.hidden)
        self.network = self._build_seeded(lambda: nn.Sequential(nn.Linear(*sizes), nn.ReLU(), nn.Linear(sizes[1], 1)))
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def _read(self, split: str) -> tuple[Tensor, Tensor]:
        x, y = (torch.tensor(self.data.split(split)[name], dtype=torch.float32, device=self.device) for name in "xy")
        return x, y

    def train_epoch(self) -> Metrics:
        """Take 20 steps on all samples."""
        x, y = self._read("train")
        for _ in range(20):
            self.optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(self.network(x)[:, 0], y)
            loss.backward()
            self.optimizer.step()
        return self._end_epoch(loss.item())

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the accuracy, which no inference parameter changes."""
        x, y = self._read(split)
        return [{"accuracy": float(((self.network(x)[:, 0] > 0) == (y > 0.5)).float().mean())} for _ in params_grid]
