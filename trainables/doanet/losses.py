"""Losses of DOAnet: squared errors, or tracking losses in the form of DOAnet's authors.

Source: Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning sound source localizers"
(2021). The paper calls dMOTp and dMOTa identical to DeepMOT's; the authors' implementation differs, and this
module follows it. DeepMOT's own form is in `deepmot`.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from trainables.doanet import deepmot
from trainables.doanet.association import (
    Assign,
    gate_association,
    normalise_directions,
    pairwise_distances,
    slot_orders,
)
from trainables.doanet.config import LossConfig
from trainables.doanet.network import DoaOutput
from trainables.doanet.targets import ReferenceTracks

_UP: Final = (0.0, 0.0, 1.0)
"""Target of outputs without an event in the squared errors, which do not model inactivity."""
_SMALLEST: Final = torch.finfo(torch.float32).eps


def compute_objective(
    output: DoaOutput, reference: ReferenceTracks, loss: LossConfig, assign: Assign
) -> dict[str, Tensor]:
    """Return the loss of a batch and its terms.

    Args:
        output: Output of the network.
        reference: Labels.
        loss: Kind of loss and its weights.
        assign: Function from distances (frames, outputs, references) to associations; gradients flow through it. It is not
            called for mse and pit_mse.

    Returns:
        `loss`, to be minimised, and its unweighted terms out of `mse`, `dmotp`, `dmota` and `activity`.

    Raises:
        ValueError: If the loss includes activity and the network has none.
    """
    if not loss.uses_tracking:
        error = (permuted_error if loss.kind == "pit_mse" else slot_error)(output.directions, reference)
        return {"loss": error, "mse": error}
    distances = pairwise_distances(output.directions, reference)
    association = assign(distances.flatten(0, 1)).unflatten(0, distances.shape[:2])
    gated = gate_association(association, loss.gate)
    if loss.form == "deepmot":
        terms = deepmot.tracking_losses(distances, association, reference, loss)
    else:
        terms = {"dmotp": dmotp_loss(distances, gated), "dmota": dmota_loss(gated, reference.active, loss)}
    if not loss.has_dmota:
        del terms["dmota"]
    if loss.has_activity:
        terms["activity"] = activity_loss(output.activity, gated)
    weights = {"dmotp": loss.dmotp_weight, "dmota": loss.dmota_weight, "activity": loss.activity_weight}
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return {"loss": total} | terms


def slot_error(directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks) -> Float[Tensor, ""]:
    """Return the mean squared error of the unit vectors, slot by slot; the target of empty slots is (0, 0, 1)."""
    return functional.mse_loss(normalise_directions(directions.float()), _fill_missing(reference))


def permuted_error(
    directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks
) -> Float[Tensor, ""]:
    """Return the permutation-invariant mean squared error (Yu et al. 2017), with the best order of outputs per frame."""
    error = (
        (normalise_directions(directions.float())[..., :, None, :] - _fill_missing(reference)[..., None, :, :])
        .square()
        .mean(-1)
    )
    orders = slot_orders(error.shape[-1], error.device)
    columns = torch.arange(error.shape[-1], device=error.device)
    return error[..., orders, columns].mean(-1).amin(-1).mean()


def dmotp_loss(
    distances: Float[Tensor, "batch labels sources sources"], gated: Float[Tensor, "batch labels sources sources"]
) -> Float[Tensor, ""]:
    """Return the distance of associated pairs, a mean over frames weighted by their associations.

    Args:
        distances: Distances; rows are outputs, columns references.
        gated: Gated associations.

    Returns:
        Σ (Σ D A) k / Σ k over the frames, where k = Σ A; 0 without associations, where the authors' value is NaN.
    """
    strength = gated.sum((-2, -1))
    return ((distances * gated).sum((-2, -1)) * strength).sum() / strength.sum().clamp(min=_SMALLEST)


def dmota_loss(
    gated: Float[Tensor, "batch labels sources sources"], active: Bool[Tensor, "batch labels sources"], loss: LossConfig
) -> Float[Tensor, ""]:
    """Return misses, false positives and new associations per association.

    M counts the associated outputs, which cannot outnumber the references, so misses and false positives nearly vanish. The
    remaining term counts every association that the previous frame did not have: switches, but also each onset and each
    move of an event to another slot of the labels.

    Args:
        gated: Gated associations.
        active: Whether each reference is active.
        loss: `ids_weight`, and `borders`, which determines whether sequences follow each other in the batch.

    Returns:
        Σ (|M - n| + w Σ A (1 - A of the previous frame)) / Σ M over the frames; 0 without associations, where the
        authors' value is in the millions and equally constant.
    """
    matched = gated.amax(-1).sum(-1)
    wrong = (matched - active.sum(-1)).abs().sum()
    frames = gated.flatten(0, 1)[None] if loss.borders == "crossed" else gated
    new = (frames[:, 1:] * (1 - frames[:, :-1])).sum()
    total = matched.sum()
    ratio = (wrong + loss.ids_weight * new) / (total + _SMALLEST * matched.numel())
    return torch.where(total > 0, ratio, total)


def activity_loss(
    logits: Float[Tensor, "batch labels sources"] | None, gated: Float[Tensor, "batch labels sources sources"]
) -> Float[Tensor, ""]:
    """Return the cross entropy between the activity of each output and its being associated.

    With logits that have passed a tanh it cannot fall below 0.313.

    Args:
        logits: Logits of the activity, None without that branch.
        gated: Gated associations.

    Raises:
        ValueError: If the network has no activity.
    """
    if logits is None:
        raise ValueError("the loss includes activity, but the network was built without it")
    target = (gated.detach().amax(-1) > 0).float()
    return functional.binary_cross_entropy_with_logits(logits.float(), target)


def _fill_missing(reference: ReferenceTracks) -> Tensor:
    up = torch.tensor(_UP, device=reference.directions.device)
    return torch.where(reference.active[..., None], reference.directions, up)
