"""Three cross entropies: is the association right, and has each row and each column one (Adavanne et al. 2021, section III-A)."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from trainables.hnet.config import Loss
from trainables.hnet.network import Output


def association_loss(output: Output, associations: Bool[Tensor, "batch n n"], loss: Loss) -> Float[Tensor, ""]:
    """Weighted sum of the binary cross entropies of entries, rows and columns, in nats.

    An association is one-to-one, so the truth of a row or a column is the sum of its entries.

    Args:
        output: Logits.
        associations: The truth.
        loss: Weights, and whether each term is a sum or a mean over batch and entries.
    """
    truth = associations.to(output.entries.dtype)
    terms = (
        (loss.assignment, output.entries, truth),
        (loss.rows, output.rows, truth.sum(dim=2)),
        (loss.columns, output.columns, truth.sum(dim=1)),
    )
    total = output.entries.new_zeros(())
    for weight, logits, wanted in terms:
        total = total + weight * functional.binary_cross_entropy_with_logits(logits, wanted, reduction=loss.reduction)
    return total
