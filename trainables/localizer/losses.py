"""Losses of equations 1 to 5 and their alternatives: sums over cells (a mean for HM), means over the batch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from trainables.localizer.config import LossConfig


def activity_loss(
    logits: Float[Tensor, "batch cells cells"], target: Float[Tensor, "batch cells cells"], loss: LossConfig
) -> Float[Tensor, ""]:
    """Return eq. 2: cross entropy of active cells, plus the weighted cross entropy of inactive cells.

    The focal alternative (Lin et al. 2017) multiplies the cross entropy of each cell by (1 - p)^γ, where p is the predicted
    probability of the true class.
    """
    cell = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if loss.classification == "focal":
        cell = cell * (1 - (-cell).exp()).clamp(min=1e-8) ** loss.focal_gamma
    weight = target + loss.inactive_weight * (1 - target)
    return (cell * weight).sum(dim=(1, 2)).mean()


def refined_grid_loss(
    output: Float[Tensor, "batch 3 cells cells"], target: Float[Tensor, "batch 3 cells cells"], loss: LossConfig
) -> Float[Tensor, ""]:
    """Return eq. 5: activity as in eq. 2, plus the regression loss of positions in active cells, mean over x and y."""
    active = target[:, 0]
    error = _regression_loss(output[:, 1:].sigmoid(), target[:, 1:], loss).mean(dim=1)
    position = (error * active).sum(dim=(1, 2)).mean()
    return activity_loss(output[:, 0], active, loss) + loss.position_weight * position


def heat_map_loss(
    output: Float[Tensor, "batch cells cells"], target: Float[Tensor, "batch cells cells"], loss: LossConfig
) -> Float[Tensor, ""]:
    """Return eqs. 3 and 4: the mean over cells of the squared error or of smooth L1."""
    return _regression_loss(output, target, loss).mean()


def _regression_loss(output: Tensor, target: Tensor, loss: LossConfig) -> Tensor:
    if loss.regression == "smooth_l1":
        return functional.huber_loss(output, target, reduction="none", delta=loss.huber_delta) / loss.huber_delta
    return functional.mse_loss(output, target, reduction="none")
