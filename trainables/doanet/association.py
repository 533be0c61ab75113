"""Which output stands for which reference, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.doanet.targets import ReferenceTracks

Assign = Callable[[Tensor], Tensor]
"""From distances (frames, outputs, references) to the probability of each pair; a Hungarian network, or `exact`."""

PADDING: Final = 10.0
"""Every coordinate of an absent reference, which is thereby more than 16 away from any direction."""
_FARTHEST: Final = 3.0
"""Two directions are at most 2 apart; what is farther is padding."""


def unit_vectors(directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Bring to length 1; the zero vector stays, with a finite gradient."""
    return directions / (directions.square().sum(-1, keepdim=True) + 1e-10).sqrt()


def pairwise_distances(
    directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks
) -> Float[Tensor, "batch labels sources sources"]:
    """Euclidean distances of unit vectors; rows are outputs, columns references.

    All outputs take part, whether they sound or not. Columns of empty slots hold distances to (10, 10, 10).
    """
    present = torch.where(reference.active[..., None], reference.directions, PADDING)
    gap = unit_vectors(directions.float())[..., :, None, :] - present[..., None, :, :]
    length: Tensor = torch.linalg.vector_norm(gap, dim=-1)
    return length


def slot_orders(sources: int, device: torch.device) -> Tensor:
    """All ways to give each reference an output of its own, shape (sources!, sources)."""
    return torch.tensor(list(itertools.permutations(range(sources))), device=device)


def exact_association(found: Float[Tensor, "frames sources sources"]) -> Float[Tensor, "frames sources sources"]:
    """The optimal assignment by trial of all orders: what a Hungarian network imitates, without gradient.

    Returns:
        1 for the pairs of the one-to-one assignment with the least sum, 0 elsewhere and in columns of padding.
    """
    absent = found > _FARTHEST
    cost = torch.where(absent, _FARTHEST, found.detach())
    ways = slot_orders(found.shape[-1], found.device)
    columns = torch.arange(found.shape[-1], device=found.device)
    best = ways[cost[:, ways, columns].sum(-1).argmin(-1)]
    chosen = torch.zeros_like(cost).scatter(1, best[:, None, :], 1.0)
    return chosen.masked_fill(absent, 0.0)


def gate_association(
    association: Float[Tensor, "*batch sources sources"], gate: float
) -> Float[Tensor, "*batch sources sources"]:
    """Keep probabilities above the gate as they are; the others become 0 and lose their gradient."""
    return torch.where(association > gate, association, 0.0)
