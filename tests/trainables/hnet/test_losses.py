"""Three cross entropies by explicit loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.hnet.config import LossConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianOutput


def output(entries: Tensor) -> HungarianOutput:
    return HungarianOutput(entries, entries.amax(2), entries.amax(1))


def cross_entropy(logit: float, truth: bool) -> float:
    return math.log1p(math.exp(-logit if truth else logit))


LOGITS = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0)) * 2
TRUTH = torch.zeros(4, 3, 3, dtype=torch.bool)
TRUTH[1, 0, 2] = TRUTH[2, 0, 0] = TRUTH[2, 1, 2] = TRUTH[2, 2, 1] = TRUTH[3, 2, 0] = True


def by_loops(loss: LossConfig) -> float:
    logits, truth = LOGITS.tolist(), TRUTH.tolist()
    places = [(sample, row, column) for sample in range(4) for row in range(3) for column in range(3)]
    entries = [cross_entropy(logits[s][r][c], truth[s][r][c]) for s, r, c in places]
    rows = [cross_entropy(max(logits[s][r]), any(truth[s][r])) for s in range(4) for r in range(3)]
    columns = [
        cross_entropy(max(logits[s][r][c] for r in range(3)), any(truth[s][r][c] for r in range(3)))
        for s in range(4)
        for c in range(3)
    ]
    share = (len(entries), len(rows), len(columns)) if loss.reduction == "mean" else (1, 1, 1)
    terms = zip((loss.assignment, loss.rows, loss.columns), (entries, rows, columns), share, strict=True)
    return sum(weight * sum(values) / size for weight, values, size in terms)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.0, 0.0, 0.5), (0.5, 3.0, 0.0)])
def test_the_loss_is_the_weighted_sum_of_three_cross_entropies(
    weights: tuple[float, float, float], reduction: str
) -> None:
    loss = LossConfig.model_validate(
        dict(zip(("assignment", "rows", "columns"), weights, strict=True), reduction=reduction)
    )
    assert float(association_loss(output(LOGITS), TRUTH, loss)) == pytest.approx(by_loops(loss), rel=1e-5)


def test_a_network_that_knows_nothing_pays_log_2_for_each_of_eight_numbers() -> None:
    found = association_loss(output(torch.zeros(5, 2, 2)), torch.zeros(5, 2, 2, dtype=torch.bool), LossConfig())
    assert float(found) == pytest.approx(5 * 8 * math.log(2), rel=1e-6)


def test_being_sure_and_right_costs_nothing() -> None:
    sure = torch.where(TRUTH, 60.0, -60.0)
    assert float(association_loss(output(sure), TRUTH, LossConfig())) == pytest.approx(0, abs=1e-12)
