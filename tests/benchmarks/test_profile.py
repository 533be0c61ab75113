"""The profile of a training step: shares and rates from counted and timed operators."""

from __future__ import annotations

import pytest
import torch

from benchmarks.profile import LISTED, make_rows, profile_training
from trainables.training_cost import OperatorCost


def test_shares_and_rates_are_those_of_the_operators() -> None:
    operators = {f"small_{n}": OperatorCost(1, 0, 250, 1e-3) for n in range(LISTED)}
    operators |= {"product": OperatorCost(2, 4e9, 500, 0.1), "copy": OperatorCost(3, 0, 1_000_000, 4e-3)}
    rows = make_rows(operators, flop_per_s=100e9, bytes_per_s=1e9)
    assert [row["operator"] for row in rows[:2]] == ["product", "copy"]
    assert rows[0]["gflop_per_s"] == pytest.approx(40)
    assert rows[1]["gb_per_s"] == pytest.approx(1)
    total = 0.1 + 4e-3 + LISTED * 1e-3
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert rows[0]["shortest_share"] == pytest.approx(0.04 / total)  # arithmetic
    assert rows[1]["shortest_share"] == pytest.approx(4e-3 / total)  # traffic
    assert rows[-1]["operator"] == "others"
    assert rows[-1]["calls"] == 2


def test_few_operators_have_no_others() -> None:
    rows = make_rows({"product": OperatorCost(1, 1e9, 10, 1e-2)}, flop_per_s=100e9, bytes_per_s=1e9)
    assert [row["operator"] for row in rows] == ["product"]


def test_every_operator_of_a_step_is_timed() -> None:
    weight = torch.ones(4, 4, requires_grad=True)
    operators = profile_training(lambda items: (torch.ones(items, 4) @ weight).sum().backward(), 3)
    assert operators["mm"].calls == 2  # forwards, and backwards for the weight
    assert operators["mm"].flop == 2 * 2 * 3 * 4 * 4
    assert all(cost.seconds > 0 for cost in operators.values())
