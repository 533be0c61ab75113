"""Figures by hand and against scikit-learn, which MLflow brings along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from trainables.hnet import metrics
from trainables.hnet.config import METRICS


def random(batch: int, n: int, share: float, seed: int) -> Tensor:
    return torch.rand(batch, n, n, generator=torch.Generator().manual_seed(seed)) < share


def sklearns(found: Tensor, truth: Tensor, weights: Tensor) -> float:
    weight = np.tile(weights.numpy().ravel(), len(found))
    return float(
        f1_score(
            truth.numpy().ravel(), found.numpy().ravel(), average="weighted", zero_division=1, sample_weight=weight
        )
    )


def test_by_hand() -> None:
    truth = torch.tensor([[[1, 0], [0, 1]], [[0, 1], [0, 0]]], dtype=torch.bool)
    found = torch.tensor([[[1, 0], [0, 0]], [[0, 1], [1, 0]]], dtype=torch.bool)
    weights = torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    # Class 1 by weight: real 4 + 1 + 3 = 8, found 4 + 3 + 2 = 9, both 7. Class 0: real 12, found 11, both 10.
    class_1, class_0 = 2 * 7 / 17, 2 * 10 / 23
    assert metrics.weighted_f(found, truth, weights) == pytest.approx((8 * class_1 + 12 * class_0) / 20)
    assert metrics.binary_f1(found, truth) == pytest.approx(2 * 2 / 6)
    assert metrics.exact_share(found, truth) == 0
    assert metrics.exact_share(found[:1], found[:1]) == 1
    assert torch.equal(metrics.class_prevalence(truth), torch.tensor([[0.5, 0.5], [0.0, 0.5]], dtype=torch.float64))


@pytest.mark.parametrize("shares", [(0.2, 0.3), (0.0, 0.4), (0.3, 0.0), (1.0, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize("n", [2, 3])
def test_the_weighted_f_is_scikit_learns(n: int, shares: tuple[float, float]) -> None:
    found, truth = random(50, n, shares[0], 1), random(50, n, shares[1], 2)
    weights = torch.rand(n, n, generator=torch.Generator().manual_seed(3))
    assert metrics.weighted_f(found, truth, weights) == pytest.approx(sklearns(found, truth, weights))


@pytest.mark.parametrize("shares", [(0.2, 0.3), (0.0, 0.4), (0.3, 0.0), (0.0, 0.0)])
def test_f1_is_scikit_learns(shares: tuple[float, float]) -> None:
    found, truth = random(50, 2, shares[0], 1), random(50, 2, shares[1], 2)
    wanted = f1_score(truth.numpy().ravel(), found.numpy().ravel(), zero_division=1)
    assert metrics.binary_f1(found, truth) == pytest.approx(wanted)


def test_the_mean_is_over_whole_batches() -> None:
    found, truth = random(700, 2, 0.3, 1), random(700, 2, 0.3, 2)
    found[:256] = truth[:256]
    weights = metrics.class_prevalence(truth)
    batches = [slice(0, 256), slice(256, 512)]  # the last 188 fill none
    wanted = np.mean([sklearns(found[batch], truth[batch], weights) for batch in batches])
    by_batch = metrics.weighted_f_by_batch(found, truth, weights)
    assert by_batch == pytest.approx(wanted)
    assert by_batch != pytest.approx(metrics.weighted_f(found, truth, weights), abs=1e-3)


def test_less_than_a_batch_is_taken_as_one() -> None:
    found, truth = random(9, 2, 0.3, 1), random(9, 2, 0.3, 2)
    weights = torch.ones(2, 2)
    assert metrics.weighted_f_by_batch(found, truth, weights) == metrics.weighted_f(found, truth, weights) < 1


def test_without_weight_nothing_is_wrong() -> None:
    found, truth = random(9, 2, 0.3, 1), random(9, 2, 0.3, 2)
    assert metrics.weighted_f(found, truth, torch.zeros(2, 2)) == 1
    assert metrics.weighted_f(found[:0], truth[:0], torch.ones(2, 2)) == 1


def test_finding_nothing_earns_the_majoritys_share_and_no_f1() -> None:
    truth = torch.zeros(4, 2, 2, dtype=torch.bool)
    truth[0, 0, 0] = True
    found = torch.zeros_like(truth)
    # Class 0: 15 of 16 entries, F = 2 · 15 / (16 + 15).
    assert metrics.weighted_f(found, truth, torch.ones(2, 2)) == pytest.approx(30 / 31 * 15 / 16)
    assert metrics.binary_f1(found, truth) == 0
    assert metrics.exact_share(found, truth) == 0.75


def test_a_summary_has_every_declared_figure() -> None:
    truth = random(300, 2, 0.3, 2)
    logits = torch.where(truth, 2.0, -0.5)
    logits[0] = torch.where(truth[0], -2.0, 0.5)
    found = metrics.summarise_counts(logits, truth, metrics.class_prevalence(truth))
    assert set(found) == {metric.name for metric in METRICS}
    assert found["exact"] == pytest.approx(299 / 300)
    assert all(0.9 < value < 1 for value in found.values())
    assert found["f_weighted"] < found["f_weighted_pooled"]  # the wrong matrix is one of 256, not of 300
