"""Metrics of associations: the F-score of the authors, and two stricter ones."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

REFERENCE_BATCH: Final = 256
"""Number of matrices over which the authors compute their F-score before averaging."""


def class_prevalence(associations: Bool[Tensor, "batch n n"]) -> Float[Tensor, "n n"]:
    """Return the relative frequency of associations per entry; that of the training split weights the F-score."""
    return associations.double().mean(dim=0)


def weighted_f(
    predicted: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"], weights: Float[Tensor, "n n"]
) -> float:
    """Return the F-score of the authors over all matrices at once.

    F = Σ F_c s_c / Σ s_c over the classes c = 0 and 1, with F_c = 2 TP_c / (P_c + R_c): true positives, predicted and real
    members of the class, all counted with the weights of their entries; s_c = R_c. It equals scikit-learn's `f1_score` with
    `average="weighted"`. Predicting only the more frequent class scores far above 0.

    Args:
        predicted: Predicted associations.
        truth: True associations.
        weights: Weight per entry, see `class_prevalence`.

    Returns:
        F-score from 0 to 1; 1 if all weights are zero.
    """
    return float(_weighted_f(predicted[None], truth[None], weights)[0])


def weighted_f_by_batch(
    predicted: Bool[Tensor, "batch n n"],
    truth: Bool[Tensor, "batch n n"],
    weights: Float[Tensor, "n n"],
    size: int = REFERENCE_BATCH,
) -> float:
    """Return the mean of `weighted_f` over full batches, as the authors report it.

    Args:
        predicted: Predicted associations.
        truth: True associations.
        weights: Weight per entry.
        size: Number of matrices per batch. A last, partial batch is left out unless it is the only one.
    """
    length = len(predicted) // size * size
    if not length:
        return weighted_f(predicted, truth, weights)
    batches, real = (array[:length].unflatten(0, (-1, size)) for array in (predicted, truth))
    return float(_weighted_f(batches, real, weights).mean())


def _weighted_f(
    predicted: Bool[Tensor, "groups batch n n"], truth: Bool[Tensor, "groups batch n n"], weights: Float[Tensor, "n n"]
) -> Float[Tensor, "groups"]:
    def weigh(entries: Tensor) -> Tensor:
        return (entries.sum(dim=1) * weights.double()).sum(dim=(1, 2))

    total = support = torch.zeros(len(predicted), dtype=torch.float64, device=predicted.device)
    for positive, real in ((predicted, truth), (~predicted, ~truth)):
        members, sum_of_both = weigh(real), weigh(positive) + weigh(real)
        # Without weight in prediction and truth, the class has no support and does not count.
        f = 2 * weigh(positive & real) / sum_of_both.where(sum_of_both > 0, 1)
        total, support = total + f * members, support + members
    return torch.where(support > 0, total / support.where(support > 0, 1), 1.0)


def binary_f1(predicted: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"]) -> float:
    """Return F1 of the associations over all entries of all matrices; 1 without true and predicted associations."""
    both = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / both if both else 1.0


def exact_share(predicted: Bool[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"]) -> float:
    """Return the share of matrices without a wrong entry."""
    return float((predicted == truth).all(dim=2).all(dim=1).double().mean())


def summarise_counts(
    logits: Float[Tensor, "batch n n"], truth: Bool[Tensor, "batch n n"], weights: Float[Tensor, "n n"]
) -> dict[str, float]:
    """Return all metrics of `config.METRICS`; an association is a probability above 0.5, i.e. a logit above 0.

    Args:
        logits: Logits of the entries.
        truth: True associations.
        weights: Weight per entry, see `class_prevalence`.
    """
    predicted = logits > 0
    return {
        "f_weighted": weighted_f_by_batch(predicted, truth, weights),
        "f_weighted_pooled": weighted_f(predicted, truth, weights),
        "f1": binary_f1(predicted, truth),
        "exact": exact_share(predicted, truth),
    }
