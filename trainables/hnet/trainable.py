"""The Hungarian network in training: matrices, network, losses and figures put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from datasets.matrices import MatricesSpec
from trainables.contract import DivergedError, Metrics, Settings, Trainable
from trainables.hnet import matrices, metrics
from trainables.hnet.config import INNER, METRICS, HnetConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianNetwork
from trainables.schedules import rate_factor, use_bf16

_SHARE_OF_A_TEST: Final = 0.1
"""Validation and test have a tenth of the training's matrices each; the authors have no validation."""
_SPLITS: Final = ("train", "validate", "test")
_EVALUATION_BATCH: Final = 8_192


class Hnet(Trainable):
    """The Hungarian network."""

    Config = HnetConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: HnetConfig, data: MatricesSpec, *, device: str, seed: int, epochs: int) -> None:
        self.config = config
        self.device = torch.device(device)
        self.seed = seed
        self.epochs = epochs
        self.epoch = 0
        self._splits = {name: _draw(config, data.seed, name) for name in _SPLITS}
        self._prevalence = metrics.prevalence(torch.from_numpy(self._splits["train"].associations))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = HungarianNetwork(config)
        self.network.to(self.device)
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
            distances, associations = matrices.permute(distances, associations, generator, self.config.augment.permute)
        size = min(self.config.optimizer.batch_size, len(order))
        steps = len(order) // size
        total = torch.zeros((), device=self.device)
        for step in range(steps):
            self._set_rate((self.epoch + step / steps) / self.epochs)
            rows = slice(step * size, (step + 1) * size)
            total += self._step(torch.from_numpy(distances[rows]), torch.from_numpy(associations[rows]))
        self.epoch += 1
        loss = float(total) / steps
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss of epoch {self.epoch} is {loss}")
        return {"train_loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def _step(self, distances: Tensor, associations: Tensor) -> Tensor:
        loss = self._loss(distances.to(self.device), associations.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        per_matrix = len(distances) if self.config.loss.reduction == "sum" else 1
        return loss.detach() / per_matrix

    def _loss(self, distances: Tensor, associations: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            output = self.network(distances)
        return association_loss(output, associations, self.config.loss)

    def _set_rate(self, progress: float) -> None:
        rate = self.config.optimizer.lr * rate_factor(self.config.optimizer.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

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
        found = metrics.summarise(torch.cat(logits), torch.from_numpy(whole.associations), self._prevalence)
        return [found | {"loss": loss / len(whole.distances)} for _ in settings]

    @torch.inference_mode()
    def predict(self, audio: Float[Tensor, "batch n n"], settings: Settings) -> Float[Tensor, "batch n n"]:
        """Probabilities of associations from distances; the network hears no sound."""
        del settings
        self.network.eval()
        probabilities: Tensor = self.network(audio.to(self.device)).entries.sigmoid().cpu()
        return probabilities

    def state(self) -> dict[str, Any]:
        """Weights, optimizer and epoch; orders follow from seed and epoch."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """The network's weights."""
        return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over a network's weights."""
        self.network.load_state_dict(weights)


def _draw(config: HnetConfig, seed: int, split: str) -> matrices.Matrices:
    """A split, independent of the others and of how the network is trained."""
    generator = np.random.default_rng([seed, config.max_sources, _SPLITS.index(split)])
    largest = config.data.matrices if split == "train" else max(1, round(_SHARE_OF_A_TEST * config.data.matrices))
    return matrices.draw(config.max_sources, largest, generator, padding=config.data.padding)
