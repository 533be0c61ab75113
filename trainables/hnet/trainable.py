"""The Hungarian network in training: matrices, network, losses and figures put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from datasets.matrices import MatricesSpec
from trainables.contract import Metrics, Settings
from trainables.hnet import matrices, metrics
from trainables.hnet.config import INNER, METRICS, HnetConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianNetwork
from trainables.network_trainable import NetworkTrainable
from trainables.schedules import use_bf16

_SHARE_OF_A_TEST: Final = 0.1
"""Validation and test have a tenth of the training's matrices each; the authors have no validation."""
_SPLITS: Final = ("train", "validate", "test")
_EVALUATION_BATCH: Final = 8_192


class Hnet(NetworkTrainable):
    """The Hungarian network."""

    Config = HnetConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: HnetConfig, data: MatricesSpec, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self._splits = {name: _draw_split(config, data.seed, name) for name in _SPLITS}
        self._prevalence = metrics.class_prevalence(torch.from_numpy(self._splits["train"].associations))
        self.network = self._build_seeded(lambda: HungarianNetwork(config))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            config.optimizer.lr,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        self._half = use_bf16(config.precision, self.device)

    def train_epoch(self) -> Metrics:
        """Train on all matrices once, in an order that seed and epoch decide."""
        self.network.train()
        generator = np.random.default_rng([self.seed, 7, self.epoch])
        whole = self._splits["train"]
        order = generator.permutation(len(whole.distances))
        distances, associations = whole.distances[order], whole.associations[order]
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
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            output = self.network(distances)
        return association_loss(output, associations, self.config.loss)

    @torch.inference_mode()
    def evaluate(self, split: str, settings: Sequence[Settings]) -> list[Metrics]:
        """The figures of METRICS and the mean loss of a matrix; there is nothing to choose, so they are the same for all."""
        self.network.eval()
        whole = self._splits[split]
        logits = []
        loss = 0.0
        for first in range(0, len(whole.distances), _EVALUATION_BATCH):
            rows = slice(first, first + _EVALUATION_BATCH)
            distances = torch.from_numpy(whole.distances[rows]).to(self.device)
            associations = torch.from_numpy(whole.associations[rows]).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
                output = self.network(distances)
            part = float(association_loss(output, associations, self.config.loss))
            loss += part if self.config.loss.reduction == "sum" else part * len(distances)
            logits.append(output.entries.cpu())
        found = metrics.summarise_counts(torch.cat(logits), torch.from_numpy(whole.associations), self._prevalence)
        return [found | {"loss": loss / len(whole.distances)} for _ in settings]

    @torch.inference_mode()
    def predict(self, audio: Float[Tensor, "batch n n"], settings: Settings) -> Float[Tensor, "batch n n"]:
        """Probabilities of associations from distances; the network hears no sound."""
        del settings
        self.network.eval()
        probabilities: Tensor = self.network(audio.to(self.device)).entries.sigmoid().cpu()
        return probabilities


def _draw_split(config: HnetConfig, seed: int, split: str) -> matrices.Matrices:
    """A split, independent of the others and of how the network is trained."""
    generator = np.random.default_rng([seed, config.max_sources, _SPLITS.index(split)])
    largest = config.data.matrices if split == "train" else max(1, round(_SHARE_OF_A_TEST * config.data.matrices))
    return matrices.draw_matrices(config.max_sources, largest, generator, padding=config.data.padding)
