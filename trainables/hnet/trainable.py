"""Training of the Hungarian network: matrices, network, losses and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from datasets.building.spec import DatasetSpec
from datasets.matrices import MatricesSpec
from trainables.contract import InferenceParams, Metrics
from trainables.hnet import matrices, metrics
from trainables.hnet.config import INNER, METRICS, HnetConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianNetwork
from trainables.network_trainable import NetworkTrainable, count_unbuilt
from trainables.precision import use_bf16

_TEST_FRACTION: Final = 0.1
"""Number of matrices of validation and of test relative to training; the authors have no validation."""
_SPLITS: Final = ("train", "validate", "test")
_EVALUATION_BATCH: Final = 8_192
"""Number of matrices that are evaluated at once."""


class Hnet(NetworkTrainable):
    """Hungarian network."""

    Config = HnetConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: HnetConfig, data: MatricesSpec, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self._splits = {name: _draw_split(config, data.seed_of_split(name), name) for name in _SPLITS}
        self._prevalence = metrics.class_prevalence(torch.from_numpy(self._splits["train"].associations))
        self.network = self._build_seeded(lambda: HungarianNetwork(config))
        self._bf16 = use_bf16(config.precision, self.device)

    def _build_optimizer(self) -> torch.optim.Optimizer:
        config = self.config.optimizer
        return torch.optim.AdamW(self.network.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)

    def train_epoch(self) -> Metrics:
        """Train on all matrices once; seed and epoch determine their order."""
        self.network.train()
        generator = np.random.default_rng([self.seed, 7, self.epoch])
        train = self._splits["train"]
        order = generator.permutation(len(train.distances))
        distances, associations = train.distances[order], train.associations[order]
        if self.config.augment.permute != "none":
            distances, associations = matrices.permute_rows(
                distances, associations, generator, self.config.augment.permute
            )
        size = min(self.config.optimizer.batch_size, len(order))
        steps = len(order) // size
        total = torch.zeros((), device=self.device)
        for step in range(steps):
            self._set_lr(step / steps)
            rows = slice(step * size, (step + 1) * size)
            total += self._train_step(torch.from_numpy(distances[rows]), torch.from_numpy(associations[rows]))
        return self._end_epoch(float(total) / steps)

    def _train_step(self, distances: Tensor, associations: Tensor) -> Tensor:
        loss = self._compute_loss(distances.to(self.device), associations.to(self.device))
        self._optimizer_step(loss)
        per_matrix = len(distances) if self.config.loss.reduction == "sum" else 1
        return loss.detach() / per_matrix

    def _compute_loss(self, distances: Tensor, associations: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            output = self.network(distances)
        return association_loss(output, associations, self.config.loss)

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Return METRICS and the mean loss per matrix; without inner parameters, all elements of the result are equal."""
        self.network.eval()
        data = self._splits[split]
        logits = []
        loss = 0.0
        for first in range(0, len(data.distances), _EVALUATION_BATCH):
            rows = slice(first, first + _EVALUATION_BATCH)
            distances = torch.from_numpy(data.distances[rows]).to(self.device)
            associations = torch.from_numpy(data.associations[rows]).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                output = self.network(distances)
            value = float(association_loss(output, associations, self.config.loss))
            loss += value if self.config.loss.reduction == "sum" else value * len(distances)
            logits.append(output.entries.cpu())
        summary = metrics.summarise_counts(torch.cat(logits), torch.from_numpy(data.associations), self._prevalence)
        return [summary | {"loss": loss / len(data.distances)} for _ in params_grid]

    @classmethod
    def expected_parameters(cls, config: HnetConfig, dataset: DatasetSpec) -> int:
        """Return the number of parameters of the network."""
        del dataset
        return count_unbuilt(lambda: HungarianNetwork(config))

    def prepare_prediction(self) -> Callable[[], object]:
        """Return the association of the first distance matrix of the validation split."""
        distances = torch.from_numpy(self._splits["validate"].distances[:1])
        return lambda: self.associate(distances)

    @torch.inference_mode()
    def associate(self, distances: Float[Tensor, "batch n n"]) -> Float[Tensor, "batch n n"]:
        """Return probabilities of associations from distances."""
        self.network.eval()
        probabilities: Tensor = self.network(distances.to(self.device)).entries.sigmoid().cpu()
        return probabilities


def _draw_split(config: HnetConfig, seed: int, split: str) -> matrices.Matrices:
    """Draw a split, independent of the other splits and of the training."""
    generator = np.random.default_rng([seed, config.max_sources, _SPLITS.index(split)])
    largest = config.data.matrices if split == "train" else max(1, round(_TEST_FRACTION * config.data.matrices))
    return matrices.draw_matrices(config.max_sources, largest, generator, padding=config.data.padding)
