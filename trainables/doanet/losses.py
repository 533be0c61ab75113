"""What DOAnet minimises: squared errors, or the tracking losses in the form of DOAnet's authors.

Source: Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning sound source localizers"
(2021). The paper calls dMOTp and dMOTa identical to DeepMOT's; the authors' implementation differs, and is what is
written here. DeepMOT's own form is in `deepmot`.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from trainables.doanet import deepmot
from trainables.doanet.association import Assign, pairwise_distances, gate_association, slot_orders, unit_vectors
from trainables.doanet.config import Loss
from trainables.doanet.network import Output
from trainables.doanet.targets import ReferenceTracks

_UP: Final = (0.0, 0.0, 1.0)
"""What an output without event should say to the squared errors, which know no silence."""
_SMALLEST: Final = torch.finfo(torch.float32).eps


def compute_objective(output: Output, reference: ReferenceTracks, loss: Loss, assign: Assign) -> dict[str, Tensor]:
    """The loss of a batch, and the parts it is made of.

    Args:
        output: Of the network.
        reference: The labels.
        loss: Which loss, and its weights.
        assign: Called with distances (frames, outputs, references); gradients flow through it. Not called for mse, pit_mse.

    Returns:
        `loss`, to be minimised, and of `mse`, `dmotp`, `dmota` and `activity` those it consists of, unweighted.

    Raises:
        ValueError: If the loss includes activity, and the network has none.
    """
    if not loss.uses_tracking:
        error = (permuted_error if loss.kind == "pit_mse" else slot_error)(output.directions, reference)
        return {"loss": error, "mse": error}
    found = pairwise_distances(output.directions, reference)
    association = assign(found.flatten(0, 1)).unflatten(0, found.shape[:2])
    kept = gate_association(association, loss.gate)
    if loss.form == "deepmot":
        parts = deepmot.tracking_losses(found, association, reference, loss)
    else:
        parts = {"dmotp": dmotp_loss(found, kept), "dmota": dmota_loss(kept, reference.active, loss)}
    if not loss.has_dmota:
        del parts["dmota"]
    if loss.has_activity:
        parts["activity"] = activity_loss(output.activity, kept)
    weights = {"dmotp": loss.dmotp_weight, "dmota": loss.dmota_weight, "activity": loss.activity_weight}
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return {"loss": total} | parts


def slot_error(directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks) -> Float[Tensor, ""]:
    """Mean squared error of the unit vectors, slot by slot; empty slots should say (0, 0, 1)."""
    return functional.mse_loss(unit_vectors(directions.float()), _fill_missing(reference))


def permuted_error(
    directions: Float[Tensor, "batch labels sources 3"], reference: ReferenceTracks
) -> Float[Tensor, ""]:
    """Permutation-invariant mean squared error (Yu et al. 2017): in every frame the order of outputs that fits best."""
    error = (
        (unit_vectors(directions.float())[..., :, None, :] - _fill_missing(reference)[..., None, :, :])
        .square()
        .mean(-1)
    )
    ways = slot_orders(error.shape[-1], error.device)
    columns = torch.arange(error.shape[-1], device=error.device)
    return error[..., ways, columns].mean(-1).amin(-1).mean()


def dmotp_loss(
    found: Float[Tensor, "batch labels sources sources"], kept: Float[Tensor, "batch labels sources sources"]
) -> Float[Tensor, ""]:
    """Distance of the associated pairs: a mean over frames that are weighted by their associations.

    Args:
        found: Distances.
        kept: Gated associations.

    Returns:
        Σ (Σ D A) k / Σ k over the frames, where k = Σ A; 0 if nothing is associated, where the authors' is NaN.
    """
    strength = kept.sum((-2, -1))
    return ((found * kept).sum((-2, -1)) * strength).sum() / strength.sum().clamp(min=_SMALLEST)


def dmota_loss(
    kept: Float[Tensor, "batch labels sources sources"], active: Bool[Tensor, "batch labels sources"], loss: Loss
) -> Float[Tensor, ""]:
    """Misses, false positives and newly set associations per association.

    What is counted as M is the outputs that are associated, which cannot outnumber the references, so misses and false
    positives nearly vanish. What remains counts every association that the frame before had not: switches, but also each
    onset and each slide of an event to another slot of the labels.

    Args:
        kept: Gated associations.
        active: Which references there are.
        loss: `ids_weight`; and `borders`, whether sequences follow each other in the batch.

    Returns:
        Σ (|M - n| + w Σ A (1 - A of the frame before)) / Σ M over the frames; 0 if nothing is associated, where the
        authors' is in the millions, and as constant.
    """
    matched = kept.amax(-1).sum(-1)
    wrong = (matched - active.sum(-1)).abs().sum()
    frames = kept.flatten(0, 1)[None] if loss.borders == "crossed" else kept
    new = (frames[:, 1:] * (1 - frames[:, :-1])).sum()
    total = matched.sum()
    ratio = (wrong + loss.ids_weight * new) / (total + _SMALLEST * matched.numel())
    return torch.where(total > 0, ratio, total)


def activity_loss(
    logits: Float[Tensor, "batch labels sources"] | None, kept: Float[Tensor, "batch labels sources sources"]
) -> Float[Tensor, ""]:
    """Cross entropy of each output's activity with whether the output is associated.

    Logits that have passed a tanh cannot bring it below 0.313.

    Raises:
        ValueError: If the network has no activity.
    """
    if logits is None:
        raise ValueError("the network was built without activity, and the loss includes it")
    target = (kept.detach().amax(-1) > 0).float()
    return functional.binary_cross_entropy_with_logits(logits.float(), target)


def _fill_missing(reference: ReferenceTracks) -> Tensor:
    up = torch.tensor(_UP, device=reference.directions.device)
    return torch.where(reference.active[..., None], reference.directions, up)
