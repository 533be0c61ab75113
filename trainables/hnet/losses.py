"""Cross entropies of associations, and of rows and columns that have one (Adavanne et al. 2021, section III-A)."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from trainables.hnet.config import LossConfig
from trainables.hnet.network import HungarianOutput


def association_loss(
    output: HungarianOutput, associations: Bool[Tensor, "batch n n"], loss: LossConfig
) -> Float[Tensor, ""]:
    """Return the weighted sum of the binary cross entropies of entries, rows and columns, in nats.

    An association is one-to-one, so the target of a row or a column is the sum of its entries.

    Args:
        output: Logits of the network.
        associations: True associations.
        loss: Weights, and whether each term is a sum or a mean over batch and entries.
    """
    truth = associations.to(output.entries.dtype)
    terms = (
        (loss.assignment, output.entries, truth),
        (loss.rows, output.rows, truth.sum(dim=2)),
        (loss.columns, output.columns, truth.sum(dim=1)),
    )
    total = output.entries.new_zeros(())
    for weight, logits, target in terms:
        total = total + weight * functional.binary_cross_entropy_with_logits(logits, target, reduction=loss.reduction)
    return total
