"""Equations 1 to 5 by explicit loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.localizer import losses
from trainables.localizer.config import LossConfig

CELLS = 4
CLOSE = 1e-5


def settings(**values: Any) -> LossConfig:
    return LossConfig(**({"inactive_weight": 0.25} | values))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def targets(batch: int = 3) -> Tensor:
    """Refined-grid targets with none, one and two active cells."""
    target = torch.zeros(batch, 3, CELLS, CELLS)
    for sample, x, y, dx, dy in ((1, 0, 3, 0.2, 0.9), (2, 1, 1, 0.0, 0.5), (2, 3, 2, 0.7, 0.3)):
        target[sample, :, x, y] = torch.tensor([1.0, dx, dy])
    return target


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def cross_entropy(logit: float, truth: float, gamma: float = 0.0) -> float:
    right = sigmoid(logit) if truth == 1 else 1 - sigmoid(logit)
    return -math.log(right) * (1 - right) ** gamma


def activity_by_loops(logits: Tensor, target: Tensor, inactive_weight: float, gamma: float = 0.0) -> float:
    total = 0.0
    for sample_logits, sample_target in zip(logits.tolist(), target.tolist(), strict=True):
        for row_logits, row_target in zip(sample_logits, sample_target, strict=True):
            for logit, truth in zip(row_logits, row_target, strict=True):
                total += (1.0 if truth == 1 else inactive_weight) * cross_entropy(logit, truth, gamma)
    return total / len(logits)


def position_by_loops(output: Tensor, target: Tensor, penalty: Any) -> float:
    total = 0.0
    for sample in range(len(output)):
        for x in range(CELLS):
            for y in range(CELLS):
                if target[sample, 0, x, y] == 1:
                    errors = [sigmoid(float(output[sample, c, x, y])) - float(target[sample, c, x, y]) for c in (1, 2)]
                    total += sum(penalty(error) for error in errors) / 2
    return total / len(output)


def huber(error: float, delta: float) -> float:
    return error**2 / (2 * delta) if abs(error) < delta else abs(error) - delta / 2


@pytest.mark.parametrize("inactive_weight", [0.01, 0.25, 0.0])
def test_equation_2_sums_active_cells_and_weighted_inactive_ones(inactive_weight: float) -> None:
    logits, target = random(3, CELLS, CELLS), targets()[:, 0]
    found = losses.activity_loss(logits, target, settings(inactive_weight=inactive_weight))
    assert float(found) == pytest.approx(activity_by_loops(logits, target, inactive_weight), rel=CLOSE)


def test_a_silent_network_pays_log_2_a_cell() -> None:
    found = losses.activity_loss(torch.zeros(1, 81, 81), torch.zeros(1, 81, 81), settings(inactive_weight=0.01))
    assert float(found) == pytest.approx(65.61 * math.log(2), rel=CLOSE)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_focal_loss_weighs_a_cell_by_what_it_gets_wrong(gamma: float) -> None:
    logits, target = random(3, CELLS, CELLS), targets()[:, 0]
    found = losses.activity_loss(logits, target, settings(classification="focal", focal_gamma=gamma))
    assert float(found) == pytest.approx(activity_by_loops(logits, target, 0.25, gamma), rel=1e-4)


def test_a_focal_loss_that_does_not_focus_is_cross_entropy() -> None:
    logits, target = random(3, CELLS, CELLS), targets()[:, 0]
    focal = losses.activity_loss(logits, target, settings(classification="focal", focal_gamma=0.0))
    assert float(focal) == pytest.approx(float(losses.activity_loss(logits, target, settings())), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_network_that_is_sure_has_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([[[-90.0, 90.0], [-90.0, 90.0]]], requires_grad=True)
    target = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    loss = losses.activity_loss(logits, target, settings(classification="focal", focal_gamma=gamma))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert float(logits.grad[0, 1, 0]) < 0 < float(logits.grad[0, 0, 1])  # both mistakes still pull the right way


@pytest.mark.parametrize("position_weight", [10.0, 0.0, 3.0])
def test_equation_5_adds_the_position_error_of_active_cells(position_weight: float) -> None:
    output, target = random(3, 3, CELLS, CELLS), targets()
    found = losses.refined_grid_loss(output, target, settings(position_weight=position_weight))
    activity = activity_by_loops(output[:, 0], target[:, 0], 0.25)
    expected = activity + position_weight * position_by_loops(output, target, lambda error: error**2)
    assert float(found) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("delta", [0.05, 0.3, 1.0])
def test_positions_can_be_judged_by_smooth_l1(delta: float) -> None:
    output, target = random(3, 3, CELLS, CELLS), targets()
    found = losses.refined_grid_loss(output, target, settings(regression="smooth_l1", huber_delta=delta))
    activity = activity_by_loops(output[:, 0], target[:, 0], 0.25)
    expected = activity + 10 * position_by_loops(output, target, lambda error: huber(error, delta))
    assert float(found) == pytest.approx(expected, rel=CLOSE)


def test_where_an_inactive_cell_points_does_not_matter() -> None:
    target, other = targets(), random(3, 3, CELLS, CELLS)
    output = random(3, 3, CELLS, CELLS, seed=1)
    moved = output.clone()
    moved[:, 1:] = torch.where(target[:, :1] == 1, output[:, 1:], other[:, 1:])
    assert not torch.equal(moved, output)
    assert float(losses.refined_grid_loss(moved, target, settings())) == pytest.approx(
        float(losses.refined_grid_loss(output, target, settings())), rel=1e-6
    )


def test_equation_4_is_the_mean_squared_error_over_cells() -> None:
    output, target = random(2, CELLS, CELLS), random(2, CELLS, CELLS, seed=1).sigmoid()
    pairs = list(zip(output.flatten().tolist(), target.flatten().tolist(), strict=True))
    found = float(losses.heat_map_loss(output, target, settings()))
    assert found == pytest.approx(sum((o - t) ** 2 for o, t in pairs) / len(pairs), rel=CLOSE)
    smooth = float(losses.heat_map_loss(output, target, settings(regression="smooth_l1", huber_delta=0.4)))
    assert smooth == pytest.approx(sum(huber(o - t, 0.4) for o, t in pairs) / len(pairs), rel=CLOSE)


@pytest.mark.parametrize("loss", ["activity", "refined", "heat map"])
def test_the_batch_is_averaged(loss: str) -> None:
    output, target = random(3, 3, CELLS, CELLS), targets()

    def measured(rows: slice) -> float:
        if loss == "activity":
            return float(losses.activity_loss(output[rows, 0], target[rows, 0], settings()))
        if loss == "heat map":
            return float(losses.heat_map_loss(output[rows, 0], target[rows, 0], settings()))
        return float(losses.refined_grid_loss(output[rows], target[rows], settings()))

    alone = [measured(slice(row, row + 1)) for row in range(3)]
    assert measured(slice(0, 3)) == pytest.approx(sum(alone) / 3, rel=CLOSE)
