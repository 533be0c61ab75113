"""How well associations are found: the authors' F-score, and two figures that are stricter."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

REFERENCE_BATCH: Final = 256
"""Matrices that the authors' F-score is computed over before it is averaged."""


def class_prevalence(associations: Bool[Tensor, "batch n n"]) -> Float[Tensor, "n n"]:
    """How often each position of a matrix is an association; taken from the training split, it weighs the F-score."""
    return associations.double().mean(dim=0)


def weighted_f(
    found: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"], weights: Float[Tensor, "n n"]
) -> float:
    """The authors' F-score, over all matrices at once.

    F = Σ F_c s_c / Σ s_c over the classes c = 0 and 1, with F_c = 2 TP_c / (P_c + R_c): true positives, predicted and real
    members of the class, all counted with the weight of their position; s_c = R_c. It is scikit-learn's `f1_score` with
    `average="weighted"`. Calling everything the more frequent class earns far more than 0.

    Args:
        found: Predicted associations.
        truth: Real ones.
        weights: Of each position, see `prevalence`.

    Returns:
        0 to 1; 1 if nothing has weight.
    """
    return float(_weighted_f(found[None], truth[None], weights)[0])


def weighted_f_by_batch(
    found: Bool[Tensor, "batch n n"],
    truth: Bool[Tensor, "batch n n"],
    weights: Float[Tensor, "n n"],
    size: int = REFERENCE_BATCH,
) -> float:
    """The mean of `weighted_f` over whole batches, as the authors report it.

    Args:
        found: Predicted associations.
        truth: Real ones.
        weights: Of each position.
        size: Matrices in a batch. The rest that fills none is left out, unless there is nothing else.
    """
    whole = len(found) // size * size
    if not whole:
        return weighted_f(found, truth, weights)
    batches, real = (array[:whole].unflatten(0, (-1, size)) for array in (found, truth))
    return float(_weighted_f(batches, real, weights).mean())


def _weighted_f(
    found: Bool[Tensor, "groups batch n n"], truth: Bool[Tensor, "groups batch n n"], weights: Float[Tensor, "n n"]
) -> Float[Tensor, "groups"]:
    def weigh(entries: Tensor) -> Tensor:
        return (entries.sum(dim=1) * weights.double()).sum(dim=(1, 2))

    total = support = torch.zeros(len(found), dtype=torch.float64, device=found.device)
    for predicted, real in ((found, truth), (~found, ~truth)):
        members, sum_of_both = weigh(real), weigh(predicted) + weigh(real)
        # Without weight on either side the class has no support, and counts for nothing.
        f = 2 * weigh(predicted & real) / sum_of_both.where(sum_of_both > 0, 1)
        total, support = total + f * members, support + members
    return torch.where(support > 0, total / support.where(support > 0, 1), 1.0)


def binary_f1(found: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"]) -> float:
    """F1 of the associations, all entries of all matrices together; 1 if there are none and none were found."""
    both = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / both if both else 1.0


def exact_share(found: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"]) -> float:
    """Share of the matrices in which every entry is right."""
    return float((found == truth).all(dim=2).all(dim=1).double().mean())


def summarise_counts(
    logits: Float[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"], weights: Float[Tensor, "n n"]
) -> dict[str, float]:
    """All figures of the Config's METRICS; an association is what has a probability above 0.5, a logit above 0.

    Args:
        logits: Of each entry.
        truth: Real associations.
        weights: Of each position, see `prevalence`.
    """
    found = logits > 0
    return {
        "f_weighted": weighted_f_by_batch(found, truth, weights),
        "f_weighted_pooled": weighted_f(found, truth, weights),
        "f1": binary_f1(found, truth),
        "exact": exact_share(found, truth),
    }
