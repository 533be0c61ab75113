"""Networks that are measured, each with its loss, on random inputs of the right shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.doanet import random_association_network
from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.rooms.spec import RoomSpec
from trainables.acceleration import Tensors
from trainables.doanet.config import DoanetConfig
from trainables.doanet.losses import compute_objective
from trainables.doanet.network import DoaNetwork, DoaOutput
from trainables.doanet.random_batches import draw_batch
from trainables.doanet.targets import ReferenceTracks
from trainables.localizer import grid, losses
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.network import LocalizerNetwork, run_network

SPEC_VALUES: Final[dict[str, Any]] = {"train": 24_000, "validate": 5_000, "tests": {"S0": 1}, "sources": "1-2"}
"""Dataset of spaces/rg_rep.yaml, with a part of its training split."""
SPEC: Final = RoomSpec.model_validate(SPEC_VALUES)

_LAPTOP: Final[dict[str, Any]] = {
    "encoder": "array",
    "features": {"gain": "rms"},
    "network": {"width": 32, "tail_width": 16, "decoder_width": 128, "strides": "early", "encoder_norm": True},
    "optimizer": {"lr": 0.002, "batch_size": 64},
}
_TINY: Final[dict[str, Any]] = {"network": {"width": 4, "tail_width": 4, "decoder_width": 16, "strides": "early"}}

LOCALIZERS: Final[dict[str, dict[str, Any]]] = {
    "rg_paper": {"representation": "rg", "encoder": "combined"},
    "hm_paper": {"representation": "hm", "encoder": "combined"},
    "rg_laptop": {"representation": "rg"} | _LAPTOP,
}
"""Values of spaces/rg_rep.yaml and spaces/hm_rep.yaml; `laptop` is the profile."""


def localizer_config(name: str, *, miniature: bool = False, **changes: Any) -> LocalizerConfig:
    """Return the Config of a localizer of the table.

    Args:
        name: Key of `LOCALIZERS`.
        miniature: Whether to shrink the network.
        changes: Groups or values to be replaced.
    """
    values = LOCALIZERS[name] | (_TINY | {"optimizer": {"batch_size": 8}} if miniature else {}) | changes
    return LocalizerConfig.model_validate(values)


class LocalizerLoss(nn.Module):
    """Localizer with its loss.

    Attributes:
        bf16: Whether the network computes in bf16.
    """

    def __init__(self, config: LocalizerConfig) -> None:
        super().__init__()
        self.config, self.bf16 = config, False
        self.network: nn.Module = LocalizerNetwork(config, *SPEC.microphones_m().shape[:2])

    def forward(self, waves: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        output = run_network(self.network, waves, self.config, bf16=self.bf16)
        if self.config.representation == "rg":
            return losses.refined_grid_loss(output, target, self.config.loss)
        return losses.heat_map_loss(output[:, 0], target, self.config.loss)

    def draw_inputs(self, batch: int) -> Tensors:
        """Draw waves, and the target of random positions."""
        generator = torch.Generator().manual_seed(0)
        waves = torch.randn(batch, *SPEC.microphones_m().shape[:2], MIXTURE_SAMPLES, generator=generator)
        positions = torch.rand(batch, 2, 2, generator=generator) * torch.tensor(SPEC.size_m)
        return waves, self.make_target(positions)

    def make_target(self, positions_m: Tensor) -> Tensor:
        """Return the training target of a batch of positions, shape (batch, slots, 2)."""
        cells = grid.CellGrid.over_area(self.config.grid, SPEC.size_m)
        if self.config.representation == "rg":
            return grid.refined_grid_target(cells, positions_m)
        return grid.heat_map_target(cells, positions_m, self.config.target.sigma_m)


class DoanetLoss(nn.Module):
    """DOAnet with its tracking losses, through an untrained Hungarian network.

    Attributes:
        bf16: Whether the network computes in bf16; the losses do not.
    """

    def __init__(self, config: DoanetConfig) -> None:
        super().__init__()
        self.config, self.bf16 = config, False
        self.network: nn.Module = DoaNetwork(config)
        self.association = random_association_network(config.max_sources)

    def forward(self, features: Tensor, directions: Tensor, active: Tensor, ids: Tensor) -> Tensor:
        """Return the loss of a batch."""
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.network(features)
        single = DoaOutput(output.directions.float(), output.activity.float())
        reference = ReferenceTracks(directions, active, ids)
        return compute_objective(single, reference, self.config.loss, self._associate)["loss"]

    def _associate(self, distances: Tensor) -> Tensor:
        result: Tensor = self.association(distances).entries.sigmoid()
        return result

    def draw_inputs(self, batch: int) -> Tensors:
        """Draw features and labels."""
        features, reference = draw_batch(self.config, batch)
        return features, reference.directions, reference.active, reference.ids


@dataclass(frozen=True)
class Workload:
    """Network to be measured.

    Attributes:
        name: Key of its results.
        batch: Items per step.
        build: Builds network and loss, on the CPU.
        item: Name of an item.
    """

    name: str
    batch: int
    build: Callable[[], LocalizerLoss | DoanetLoss]
    item: str = "mixtures"


def list_workloads(*, miniature: bool) -> dict[str, Workload]:
    """Return all workloads by name."""
    found = {}
    for name in LOCALIZERS:
        config = localizer_config(name, miniature=miniature)
        found[name] = Workload(name, config.optimizer.batch_size, partial(LocalizerLoss, config))
    small = {"sequence_frames": 4, "network": {"channels": 4, "gru": 8, "branch": 4}, "optimizer": {"batch_size": 2}}
    doanet = DoanetConfig.model_validate(small if miniature else {})
    found["doanet"] = Workload("doanet", doanet.optimizer.batch_size, partial(DoanetLoss, doanet), "sequences")
    return found


def count_step_flop(workload: Workload) -> float:
    """Return the floating-point operations of forward and backward pass per item, counted on a CPU.

    The counter knows products and convolutions, and the GRU only on a CPU, where it consists of products.
    """
    items = 2
    module = workload.build()
    with FlopCounterMode(display=False) as counter:
        module(*module.draw_inputs(items)).backward()
    return float(counter.get_total_flops()) / items
