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
        self.network = self._build_seeded(lambda: self.build_network(arrays * (microphones - 1)))
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def build_network(self, pairs: int) -> nn.Module:
        """Return the network for a number of microphone pairs."""
        hidden = self.config.hidden
        return nn.Sequential(nn.Flatten(), nn.Linear(pairs * 33, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def compute_features(self, cross: Tensor) -> Tensor:
        """Return the correlation at delays of -16 … 16 samples, from whitened cross-spectra (batch, pairs, bins)."""
        return torch.fft.irfft(cross).roll(16, -1)[..., :33]

    def _error_m(self, batch: Batch) -> Tensor:
        spectra = torch.fft.rfft(batch.waves.to(self.device), 2 * batch.waves.shape[-1])
        cross = (spectra[:, :, 1:] * spectra[:, :, :1].conj()).flatten(1, 2)
        features = self.compute_features(cross / cross.abs().clamp(min=1e-9))
        difference = 10 * self.network(features) - batch.positions_m[:, 0].to(self.device)
        error_m: Tensor = difference.norm(dim=1)
        return error_m

    def train_epoch(self) -> Metrics:
        """Train on all samples once, in an order that depends on seed and epoch."""
        split, losses = self.data.open_split("train"), []
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(split))
        for indices in np.array_split(order, len(order) // 32):
            self.optimizer.zero_grad()
            loss = self._error_m(split.read_batch(indices)).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.item())
        return self._end_epoch(sum(losses) / len(losses))

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return the mean error, which no inference parameter changes."""
        batch = self.data.open_split(split).read_batch(np.arange(len(self.data.open_split(split))))
        return [{"error_m": float(self._error_m(batch).mean())} for _ in params_grid]
