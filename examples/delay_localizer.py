"""A trainable of your own on the project's room data: delays between microphones and a small network, for one source."""

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.rooms.dataset import Batch, Dataset
from trainables.contract import InferenceParams, Metric, Metrics, TrainableConfig
from trainables.network_trainable import NetworkTrainable


class DelayConfig(TrainableConfig):
    """Hyperparameters of the localizer."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    hidden: int = Field(64, ge=4, le=1024, description="units of the hidden layer")


class DelayLocalizer(NetworkTrainable):
    """GCC-PHAT between the microphones of each array (Knapp and Carter 1976) and a perceptron that returns x and y."""

    Config, inner = DelayConfig, ()
    metrics = (Metric("error_m", "minimize", "mean distance between true and predicted position, m", headline=True),)

    def __init__(self, config: DelayConfig, data: Dataset, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)  # it also saves and loads state and weights
        self.data = data
        arrays, microphones, _ = data.microphones_m.shape
        sizes = arrays * (microphones - 1) * 33, config.hidden  # delays of -16 … 16 samples
        self.network = self._build_seeded(lambda: nn.Sequential(nn.Linear(*sizes), nn.ReLU(), nn.Linear(sizes[1], 2)))
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def _error_m(self, batch: Batch) -> Tensor:
        spectra = torch.fft.rfft(batch.waves.to(self.device), 2 * batch.waves.shape[-1])
        cross = spectra[:, :, 1:] * spectra[:, :, :1].conj()
        gcc = torch.fft.irfft(cross / cross.abs().clamp(min=1e-9)).roll(16, -1)[..., :33]
        difference = 10 * self.network(gcc.flatten(1)) - batch.positions_m[:, 0].to(self.device)
        error_m: Tensor = difference.norm(dim=1)
        return error_m

    def train_epoch(self) -> Metrics:
        """Train on all samples once, in an order that depends on seed and epoch."""
        split, losses = self.data.open_split("train"), []
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(split))
        for indices in np.array_split(order, len(order) // 32):
            self.optimizer.zero_grad()
            losses.append(self._error_m(split.read_batch(indices)).mean())
            losses[-1].backward()
            self.optimizer.step()
        return self._end_epoch(float(sum(losses)) / len(losses))

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the mean error, which no inference parameter changes."""
        batch = self.data.open_split(split).read_batch(np.arange(len(self.data.open_split(split))))
        return [{"error_m": float(self._error_m(batch).mean())} for _ in params_grid]
