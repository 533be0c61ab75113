"""Targets by hand and by loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.localizer.support import COARSE, FINE, places
from trainables.localizer import grid
from trainables.localizer.config import GridConfig
from trainables.localizer.grid import CellGrid

CENTIMETRE = 0.01


def active(target: Tensor) -> set[tuple[int, ...]]:
    return {tuple(index) for index in target.nonzero().tolist()}


def test_the_fine_grid_has_its_centres_at_every_decimetre_from_minus_1_to_7() -> None:
    centres = FINE.centres_m()
    assert centres.shape == (81, 81, 2)
    assert centres[:, 0, 0].tolist() == pytest.approx([round(-1 + 0.1 * k, 1) for k in range(81)], abs=1e-5)
    assert centres[3, :, 1].tolist() == pytest.approx([round(-1 + 0.1 * k, 1) for k in range(81)], abs=1e-5)
    assert centres[10, 40].tolist() == pytest.approx([0.0, 3.0], abs=1e-5)  # x first, then y


def test_a_room_that_is_not_square_has_cells_that_are_not() -> None:
    laid = CellGrid.over_area(GridConfig(cells=4, margin_m=1.0), (6.0, 2.0))
    assert laid.cell_m == (2.0, 1.0)
    assert laid.centres_m()[0, 0].tolist() == [0.0, -0.5]
    assert laid.locate_sources(places([(6.9, 2.9)]))[0][0, 0].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("position", "cell"),
    [((0.0, 0.0), (10, 10)), ((0.025, 5.975), (10, 70)), ((3.0, 1.04), (40, 20)), ((6.0, 6.0), (70, 70))],
)
def test_a_source_lights_the_tight_cell_it_stands_in(position: tuple[float, float], cell: tuple[int, int]) -> None:
    target = grid.tight_grid_target(FINE, places([position]))
    assert active(target) == {(0, *cell)}
    assert float(target.sum()) == 1


def test_a_source_on_the_edge_of_two_tight_cells_stands_in_the_upper_one() -> None:
    edges = [round(0.05 + 0.1 * step, 2) for step in range(60)]  # between the centres step / 10 and (step + 1) / 10
    index, within = FINE.locate_sources(places(*([(edge, edge)] for edge in edges)))
    assert index[:, 0, 0].tolist() == index[:, 0, 1].tolist() == list(range(11, 71))
    assert float(within[:, 0].abs().max()) < 1e-3


@pytest.mark.parametrize("edge", range(6))
def test_a_source_on_the_edge_of_two_refined_cells_stands_in_the_upper_one(edge: int) -> None:
    index, within = COARSE.locate_sources(places([(edge, edge)]))
    assert index[0, 0].tolist() == [edge, edge]
    assert within[0, 0].tolist() == [0.0, 0.0]


def test_the_far_wall_belongs_to_the_last_cell() -> None:
    index, within = COARSE.locate_sources(places([(6.0, 6.0)]))
    assert index[0, 0].tolist() == [5, 5]
    assert within[0, 0].tolist() == [1.0, 1.0]
    assert active(grid.refined_grid_target(COARSE, places([(6.0, 6.0)]))[:, 0]) == {(0, 5, 5)}


def test_refined_cells_hold_activity_and_the_place_within() -> None:
    target = grid.refined_grid_target(COARSE, places([(1.25, 4.9), (5.0, 0.5)], [(2.0, 3.75)], []))
    assert active(target[:, 0]) == {(0, 1, 4), (0, 5, 0), (1, 2, 3)}
    assert target[0, 1:, 1, 4].tolist() == pytest.approx([0.25, 0.9], abs=1e-5)
    assert target[0, 1:, 5, 0].tolist() == pytest.approx([0.0, 0.5], abs=1e-5)
    assert target[1, 1:, 2, 3].tolist() == pytest.approx([0.0, 0.75], abs=1e-5)
    assert float(target[2].abs().sum()) == 0


@pytest.mark.parametrize("laid", [FINE, COARSE], ids=["fine", "coarse"])
def test_cell_and_place_within_give_the_position_back(laid: CellGrid) -> None:
    drawn = torch.rand(200, 3, 2, generator=torch.Generator().manual_seed(0)) * 6
    index, within = laid.locate_sources(drawn)
    back = torch.tensor(laid.origin_m) + (index + within) * torch.tensor(laid.cell_m)
    assert float((back - drawn).abs().max()) < 0.01 * CENTIMETRE
    assert float(within.min()) >= 0
    assert float(within.max()) <= 1


def brute_force(laid: CellGrid, sources: list[tuple[float, float]], sigma_m: float) -> np.ndarray:
    result = np.zeros((laid.cells, laid.cells))
    for i in range(laid.cells):
        for j in range(laid.cells):
            x = laid.origin_m[0] + (i + 0.5) * laid.cell_m[0]
            y = laid.origin_m[1] + (j + 0.5) * laid.cell_m[1]
            values = [math.exp(-((x - sx) ** 2 + (y - sy) ** 2) / (2 * sigma_m**2)) for sx, sy in sources]
            result[i, j] = max(values, default=0.0)
    return result


@pytest.mark.parametrize("sigma_m", [0.1**0.5, 0.8])
@pytest.mark.parametrize(
    "sources", [[(2.025, 3.075)], [(1.0, 1.0), (2.5, 2.4)], [(0.025, 5.9), (3.0, 3.0), (5.9, 0.5)], []], ids=len
)
def test_the_heat_map_is_the_gaussian_of_the_nearest_source(sources: list[tuple[float, float]], sigma_m: float) -> None:
    found = grid.heat_map_target(FINE, places(sources, [(4.0, 4.0)]), sigma_m)
    assert found.shape == (2, 81, 81)
    assert np.abs(found[0].numpy() - brute_force(FINE, sources, sigma_m)).max() < 1e-5


def test_the_papers_gaussian_has_a_variance_of_a_tenth_and_height_one() -> None:
    found = grid.heat_map_target(FINE, places([(3.0, 3.0)]), 0.1**0.5)[0]
    assert float(found[40, 40]) == pytest.approx(1.0, abs=1e-6)
    assert float(found[50, 40]) == pytest.approx(math.exp(-5), rel=1e-3)  # 1 m away: exp(-1² / (2 · 0.1))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_the_slot_a_source_takes_leaves_no_trace(order: list[int]) -> None:
    positions = places([(1.3, 2.2), (4.4, 5.1)])
    shuffled = positions[:, order]
    assert torch.equal(grid.refined_grid_target(COARSE, positions), grid.refined_grid_target(COARSE, shuffled))
    assert torch.equal(grid.tight_grid_target(FINE, positions), grid.tight_grid_target(FINE, shuffled))
    assert torch.equal(grid.heat_map_target(FINE, positions, 0.3), grid.heat_map_target(FINE, shuffled, 0.3))
