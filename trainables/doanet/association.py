"""Association of network outputs with references, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.doanet.targets import ReferenceTracks

Assign = Callable[[Tensor], Tensor]
"""Function from distances (frames, outputs, references) to the probability of each pair: a Hungarian network, or
`exact_association`."""

PADDING: Final = 10.0
"""Coordinates of an absent reference, which makes it more than 16 away from any direction."""
_FARTHEST: Final = 3.0
"""Distance above which a reference is padding; two directions are at most 2 apart."""


def normalise_directions(directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Scale vectors to length 1; the zero vector is unchanged and has a finite gradient."""
    return directions / (directions.square().sum(-1, keepdim=True) + 1e-10).sqrt()


def pairwise_distances(
    directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks
) -> Float[Tensor, "batch labels sources sources"]:
    """Return Euclidean distances of unit vectors; rows are outputs, columns references.

    All outputs take part, active or not. Columns of empty slots contain distances to (10, 10, 10).
    """
    present = torch.where(reference.active[..., None], reference.directions, PADDING)
    difference = normalise_directions(directions.float())[..., :, None, :] - present[..., None, :, :]
    length: Tensor = torch.linalg.vector_norm(difference, dim=-1)
    return length


def slot_orders(sources: int, device: torch.device) -> Tensor:
    """Return all one-to-one assignments of outputs to references, shape (sources!, sources)."""
    return torch.tensor(list(itertools.permutations(range(sources))), device=device)


def exact_association(distances: Float[Tensor, "frames sources sources"]) -> Float[Tensor, "frames sources sources"]:
    """Return the optimal assignment by trial of all orders, without gradient; Hungarian networks approximate it.

    Args:
        distances: Distances; rows are outputs, columns references.

    Returns:
        1 for the pairs of the one-to-one assignment with the least sum, 0 elsewhere and in columns of padding.
    """
    absent = distances > _FARTHEST
    cost = torch.where(absent, _FARTHEST, distances.detach())
    orders = slot_orders(distances.shape[-1], distances.device)
    columns = torch.arange(distances.shape[-1], device=distances.device)
    best = orders[cost[:, orders, columns].sum(-1).argmin(-1)]
    chosen = torch.zeros_like(cost).scatter(1, best[:, None, :], 1.0)
    return chosen.masked_fill(absent, 0.0)


def gate_association(
    association: Float[Tensor, "*batch sources sources"], gate: float
) -> Float[Tensor, "*batch sources sources"]:
    """Set probabilities up to the gate to 0, without gradient; leave the others unchanged."""
    return torch.where(association > gate, association, 0.0)
