"""Costs of training steps are those counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.training_cost import SampleStep, count_cost, profile_step

INPUTS, OUTPUTS, BATCH = 30, 20, 10
WEIGHTS = INPUTS * OUTPUTS


def linear_step(*, is_half: bool = False) -> SampleStep:
    """One product without bias, its sum as the loss, and plain gradient descent."""
    layer = nn.Linear(INPUTS, OUTPUTS, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), 0.01)

    def run(items: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        layer(torch.ones(items, INPUTS)).square().sum().backward()
        optimizer.step()

    return SampleStep(run, BATCH, WEIGHTS, is_half=is_half)


def test_operations_are_those_of_the_products() -> None:
    # forwards, and backwards for the weights alone, since the input has no gradient; an addition per product
    assert count_cost(linear_step()).flop == 2 * 2 * WEIGHTS


def test_memory_holds_what_the_backward_pass_needs_of_every_item_and_the_parameters() -> None:
    kept = INPUTS + OUTPUTS  # the input of the product, and that of the square
    assert count_cost(linear_step()).memory_bytes == 4 * kept * BATCH + 16 * WEIGHTS


def test_traffic_grows_with_the_items_and_shares_the_weights() -> None:
    cost = count_cost(linear_step())
    # per item: the product (input, output), its square (twice) and sum, and backwards at least as much
    assert (
        4 * (2 * INPUTS + 6 * OUTPUTS) < cost.traffic_bytes - 4 * 6 * WEIGHTS / BATCH < 4 * (3 * INPUTS + 12 * OUTPUTS)
    )


def test_operators_in_place_write_what_they_change() -> None:
    one, other = torch.ones(1000), torch.ones(1000)
    added = profile_step(lambda _: one.add_(other), 1)["add_"]
    assert added.values == profile_step(lambda _: one + other, 1)["add"].values == 3000
    layer = nn.Linear(INPUTS, OUTPUTS, bias=False)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(1, INPUTS)).sum().backward()
    optimizer.step()
    # weight, gradient and two moments are read; the weight and the moments are written
    assert profile_step(lambda _: optimizer.step(), 1)["_fused_adam_"].values >= 7 * WEIGHTS


def test_attention_has_operations() -> None:
    attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def run(items: int) -> None:
        values = torch.ones(items, 5, 16)
        attention(values, values, values, need_weights=False)[0].sum().backward()

    projections = 4 * 2 * 5 * 16 * 16  # three inputs and the output
    products = 2 * 2 * 5 * 5 * 16  # queries with keys, weights with values
    cost = count_cost(SampleStep(run, 4, 0))
    # backwards for inputs and weights, but not for the input of the first projections, which needs no gradient
    assert cost.flop == pytest.approx(3 * (projections + products) - 3 * 2 * 5 * 16 * 16)


def test_half_the_width_moves_and_keeps_half_as_much_but_for_the_weights() -> None:
    full, half = count_cost(linear_step()), count_cost(linear_step(is_half=True))
    assert half.flop == full.flop
    assert half.memory_bytes - 16 * WEIGHTS == pytest.approx((full.memory_bytes - 16 * WEIGHTS) / 2)
    assert full.traffic_bytes / 2 < half.traffic_bytes < full.traffic_bytes
