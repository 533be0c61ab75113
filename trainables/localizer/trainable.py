"""The 2D localizer in training: features, network, targets, losses, retrieval and metrics put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from datasets.building.arrow import Batch, Dataset
from trainables import distributed
from trainables.contract import Metrics, Settings
from trainables.localizer import features, grid, losses, retrieval
from trainables.localizer.config import INNER, METRICS, RESOLUTIONS_M, LocalizerConfig, Optimizer
from trainables.localizer.metrics import Counts, count_matches, summarise_counts
from trainables.localizer.network import LocalizerNetwork
from trainables.localizer.predictor import LocalizerPredictor
from trainables.localizer.retrieval import Keypoints
from trainables.localizer.room import ArrayLayout, layout_of_network
from trainables.network_trainable import NetworkTrainable, epoch_indices

_EVALUATION_BATCH: Final = 250
_SHOWN: Final = 4
"""Samples of a split in the picture."""


class Localizer(NetworkTrainable):
    """The multi-source 2D localizer."""

    Config = LocalizerConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: LocalizerConfig, data: Dataset, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self.data = data
        self._room = ArrayLayout(data.spec.size_m, data.microphones_m)
        self.network = self._build_seeded(lambda: LocalizerNetwork(config, *self._room.microphones_m.shape[:2]))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._in_use = LocalizerPredictor(config, self._room, self.network, self.device)
        self.grid = self._in_use.grid
        self.optimizer = build_optimizer(config.optimizer, self.network)
        self._train = data.open_split("train")

    def train_epoch(self) -> Metrics:
        """Train on the next `epoch_samples` of endlessly reshuffled training samples; seed and epoch decide which."""
        self.network.train()
        order = self._epoch_order()
        generator = torch.Generator().manual_seed(distributed.rank_seed(self.seed * 100_003 + self.epoch))
        size = min(self.config.optimizer.batch_size, len(order))
        steps = len(order) // size
        total = torch.zeros((), device=self.device)
        for step in range(steps):
            self._set_lr(step / steps)
            chosen = order[step * size : (step + 1) * size]
            total += self._train_step(self._train.read_batch(chosen[distributed.shard_batch(size)]), generator)
        return self._end_epoch(float(distributed.all_reduce_mean(total)) / steps)

    def _epoch_order(self) -> NDArray[np.int64]:
        """Indices of this epoch: a stretch of permutations of the split, one after the other."""
        whole = len(self._train)
        length = self.config.optimizer.epoch_samples or whole

        def shuffled(number: int) -> NDArray[np.int64]:
            return np.random.default_rng([self.seed, number]).permutation(whole)

        return epoch_indices(self.epoch, length, whole, shuffled)

    def _train_step(self, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        augment = self.config.augment
        waves = batch.waves.to(self.device, non_blocking=True)
        if augment.level_db or augment.channel_gain_db:
            waves = features.vary_levels(
                waves, generator, level_db=augment.level_db, channel_gain_db=augment.channel_gain_db
            )
        loss = self._compute_loss(self._in_use.forward(waves, self._ddp_network()), batch.positions_m.to(self.device))
        self._optimizer_step(loss)
        return loss.detach()

    def _compute_loss(self, output: Tensor, positions_m: Tensor) -> Tensor:
        loss = self.config.loss
        if self.config.representation == "rg":
            return losses.refined_grid_loss(output, grid.refined_grid_target(self.grid, positions_m), loss)
        if self.config.representation == "tg":
            return losses.activity_loss(output[:, 0], grid.tight_grid_target(self.grid, positions_m), loss)
        target = grid.heat_map_target(self.grid, positions_m, self.config.target.sigma_m)
        return losses.heat_map_loss(output[:, 0], target, loss)

    @torch.inference_mode()
    def evaluate(self, split: str, settings: Sequence[Settings]) -> list[Metrics]:
        """Retrieve keypoints with all settings from one pass of the network, and measure each; adds the mean loss."""
        self.network.eval()
        complete = [self._in_use.complete_params(setting) for setting in settings]
        sweeps = _parameter_group(complete)
        counts: dict[tuple[float, float, float], Counts] = {}
        samples = self._train if split == "train" else self.data.open_split(split)
        loss = 0.0
        for first in range(0, len(samples), _EVALUATION_BATCH):
            batch = samples.read_batch(np.arange(first, min(first + _EVALUATION_BATCH, len(samples))))
            output = self._in_use.forward(batch.waves.to(self.device))
            positions = batch.positions_m.to(self.device)
            loss += float(self._compute_loss(output, positions)) * len(positions) / len(samples)
            for key, found in self._count_matches(output, positions, sweeps).items():
                counts[key] = counts[key] + found if key in counts else found
        summaries = {key: summarise_counts(found) for key, found in counts.items()}
        return [self._summarise_sweep(setting, sweeps, summaries, loss) for setting in complete]

    def _count_matches(
        self, output: Tensor, positions: Tensor, sweeps: dict[tuple[float, float], list[float]]
    ) -> dict[tuple[float, float, float], Counts]:
        counts = {}
        found_by_smoothing = {
            smoothing: retrieval.find_candidates(self.config, self.grid, output, smoothing) for smoothing, _ in sweeps
        }
        for (smoothing, radius), thresholds in sweeps.items():
            found = found_by_smoothing[smoothing]
            keep = self._in_use.keep_keypoints(found, radius)
            levels = torch.tensor(thresholds, device=output.device)
            for resolution in RESOLUTIONS_M:
                counts[smoothing, radius, resolution] = count_matches(found, keep, positions, levels, resolution)
        return counts

    def _summarise_sweep(
        self,
        setting: Mapping[str, float],
        sweeps: dict[tuple[float, float], list[float]],
        summaries: Mapping[tuple[float, float, float], list[dict[str, float]]],
        loss: float,
    ) -> Metrics:
        group = (setting["smoothing_m"], setting["nms_radius_m"])
        place = sweeps[group].index(setting["threshold"])
        report = {
            f"{name}_{resolution:g}m": value
            for resolution in RESOLUTIONS_M
            for name, value in summaries[*group, resolution][place].items()
        }
        mean = sum(report[f"f1_{resolution:g}m"] for resolution in RESOLUTIONS_M) / len(RESOLUTIONS_M)
        return {"f1_mean": mean} | report | {"loss": loss}

    def predict(self, audio: Float[Tensor, "batch arrays mics 2560"], settings: Settings) -> list[Keypoints]:
        """Find the sources of each sample."""
        return self._in_use.find_keypoints(audio, settings)

    @classmethod
    def predictor(cls, config: LocalizerConfig, weights: Mapping[str, Any], *, device: str) -> LocalizerPredictor:
        """See the base class."""
        return LocalizerPredictor.from_weights(config, weights, torch.device(device))

    def weights(self) -> dict[str, Any]:
        """The network's weights, and the room it was trained for."""
        return super().weights() | self._room.weights()

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over a network's weights; the room stays that of the data."""
        super().load_weights(layout_of_network(weights))

    def picture(self, splits: Sequence[str], settings: Settings) -> Any:
        """Room plans with true and predicted sources, a row a split."""
        from trainables.localizer.plots import plot_room_plans

        shown = {}
        for name in splits:
            samples = self.data.open_split(name)
            batch = samples.read_batch(np.arange(min(_SHOWN, len(samples))))
            shown[name] = (batch.positions_m, self.predict(batch.waves, settings))
        return plot_room_plans(self._room, shown)


def build_optimizer(config: Optimizer, network: torch.nn.Module) -> torch.optim.Optimizer:
    """The Config's optimizer for a network's parameters."""
    parameters = list(network.parameters())
    if config.name == "sgd":
        return torch.optim.SGD(parameters, config.lr, momentum=config.beta1, weight_decay=config.weight_decay)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    betas = (config.beta1, config.beta2)
    return kind(parameters, config.lr, betas=betas, weight_decay=config.weight_decay, fused=True)


def _parameter_group(settings: Sequence[Mapping[str, float]]) -> dict[tuple[float, float], list[float]]:
    """Thresholds by smoothing and radius: what is computed together."""
    groups: dict[tuple[float, float], list[float]] = {}
    for setting in settings:
        thresholds = groups.setdefault((setting["smoothing_m"], setting["nms_radius_m"]), [])
        if setting["threshold"] not in thresholds:
            thresholds.append(setting["threshold"])
    return groups
