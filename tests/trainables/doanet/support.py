"""Directions and labels for the tests of losses and metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.doanet.targets import ReferenceTracks


def on_horizon(*azimuths_deg: float) -> Tensor:
    """Unit vectors, shape (len, 3)."""
    return torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a)), 0.0] for a in azimuths_deg])


def random_reference(batch: int, labels: int, sources: int, seed: int = 0) -> ReferenceTracks:
    """Slots filled from the first one on; events change slots, pause and return."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.randint(0, sources + 1, (batch, labels), generator=generator)
    active = torch.arange(sources) < count[..., None]
    order = torch.rand(batch, labels, sources + 1, generator=generator).argsort(-1)[..., :sources]
    directions = torch.randn(batch, labels, sources, 3, generator=generator)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    directions[~active] = torch.nan
    return ReferenceTracks(directions, active, order.where(active, torch.tensor(-1)))


def random_directions(batch: int, labels: int, sources: int, seed: int = 1) -> Tensor:
    """Network outputs before normalisation."""
    return torch.randn(batch, labels, sources, 3, generator=torch.Generator().manual_seed(seed)).tanh()


def smooth(found: Tensor) -> Tensor:
    """Stands in for a Hungarian network: any differentiable function of the distances, above and below the gate."""
    return torch.sigmoid(3 * (1.2 - found) + 0.3 * found.sum(-1, keepdim=True).sin())
