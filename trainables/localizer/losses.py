"""Equations 1 to 5, and their alternatives: sums over cells (a mean for HM), means over the batch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from trainables.localizer.config import Loss


def activity_loss(
    logits: Float[Tensor, "batch cells cells"], target: Float[Tensor, "batch cells cells"], loss: Loss
) -> Float[Tensor, ""]:
    """Eq. 2: cross entropy of active cells, plus that of inactive cells times their weight.

    The focal alternative (Lin et al. 2017) multiplies each cell's cross entropy by (1 - p)^γ, with p the probability given
    to the truth.
    """
    cell = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if loss.classification == "focal":
        cell = cell * (1 - (-cell).exp()).clamp(min=1e-8) ** loss.focal_gamma
    weight = target + loss.inactive_weight * (1 - target)
    return (cell * weight).sum(dim=(1, 2)).mean()


def refined_grid_loss(
    output: Float[Tensor, "batch 3 cells cells"], target: Float[Tensor, "batch 3 cells cells"], loss: Loss
) -> Float[Tensor, ""]:
    """Eq. 5: activity as in eq. 2; positions by the regression loss in active cells only, mean over x and y."""
    active = target[:, 0]
    error = _regression_loss(output[:, 1:].sigmoid(), target[:, 1:], loss).mean(dim=1)
    position = (error * active).sum(dim=(1, 2)).mean()
    return activity_loss(output[:, 0], active, loss) + loss.position_weight * position


def heat_map_loss(
    output: Float[Tensor, "batch cells cells"], target: Float[Tensor, "batch cells cells"], loss: Loss
) -> Float[Tensor, ""]:
    """Eqs. 3 and 4: the mean over cells of the squared error, or of smooth L1."""
    return _regression_loss(output, target, loss).mean()


def _regression_loss(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    if loss.regression == "smooth_l1":
        return functional.huber_loss(output, target, reduction="none", delta=loss.huber_delta) / loss.huber_delta
    return functional.mse_loss(output, target, reduction="none")
