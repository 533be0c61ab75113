"""Keypoints from perfect outputs, against the positions they were made of; suppression against a slow greedy loop."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.acoustics import arrays
from datasets.rooms.spec import RoomSpec
from tests.trainables.localizer.support import COARSE, FINE, paper, places
from trainables.localizer import grid, retrieval
from trainables.localizer.retrieval import Candidates

CENTIMETRE = 0.01
SIGMA_M = 0.1**0.5
WITHIN_A_CELL = [(3.0 + 0.01 * i, 3.0 + 0.01 * j) for i, j in itertools.product(np.arange(-4.5, 5), repeat=2)]
"""All offsets from a cell's centre in steps of 1 cm."""


def heat_maps(*samples: list[tuple[float, float]]) -> Tensor:
    return grid.heat_map_target(FINE, places(*samples), SIGMA_M)


def perfect_refined_grid(positions: Tensor) -> Tensor:
    """Logits of a network that knows the truth."""
    target = grid.refined_grid_target(COARSE, positions).clamp(1e-4, 1 - 1e-4)
    return torch.logit(target)


def found_by(representation: str, output: Tensor, smoothing_m: float = SIGMA_M, **changes: object) -> Candidates:
    config = paper(representation, **changes)
    return retrieval.find_candidates(config, COARSE if representation == "rg" else FINE, output, smoothing_m)


def kept(found: Candidates, radius_m: float, threshold: float, sample: int = 0) -> list[list[float]]:
    chosen = retrieval.suppress_neighbours(found, radius_m)[sample] & (found.scores[sample] > threshold)
    return sorted(found.positions_m[sample][chosen].tolist())


def test_a_perfect_heat_map_keeps_its_height_when_smoothed_by_its_own_gaussian() -> None:
    maps = heat_maps(*([place] for place in WITHIN_A_CELL))
    heights = retrieval.smooth_heat_map(maps, FINE, SIGMA_M, normalise="peak").amax((1, 2))
    assert float(heights.min()) >= 0.98
    assert float(heights.max()) <= 1.001


def test_a_kernel_of_unit_sum_would_push_it_below_the_papers_threshold() -> None:
    maps = heat_maps(*([place] for place in WITHIN_A_CELL))
    heights = retrieval.smooth_heat_map(maps, FINE, SIGMA_M, normalise="sum").amax((1, 2))
    assert float(heights.max()) < 0.51 < paper("hm").retrieval.threshold  # two equal Gaussians: half the height


def test_smoothing_by_nothing_changes_nothing() -> None:
    maps = heat_maps([(1.0, 2.0)], [(3.0, 3.0)])
    assert torch.equal(retrieval.smooth_heat_map(maps, FINE, 0.0, normalise="peak"), maps)


def test_a_kernel_of_unit_sum_keeps_the_sum_and_widens_the_variance() -> None:
    maps = torch.zeros(1, 81, 81)
    maps[0, 40, 30] = 3.0
    smoothed = retrieval.smooth_heat_map(maps, FINE, 0.25, normalise="sum")[0].double()
    x = (FINE.centres_m()[..., 0] - FINE.centres_m()[40, 30, 0]).double()
    assert float(smoothed.sum()) == pytest.approx(3.0, rel=1e-4)
    assert float((smoothed * x**2).sum() / smoothed.sum()) == pytest.approx(0.25**2, rel=0.01)


def test_a_lone_tight_cell_falls_to_a_sixtieth_and_a_blob_stays_above_the_papers_tenth() -> None:
    maps = torch.zeros(2, 81, 81)
    maps[0, 40, 40] = 1.0
    maps[1] = (FINE.centres_m() - FINE.centres_m()[40, 40]).norm(dim=-1) < 0.151
    lone, blob = retrieval.smooth_heat_map(maps, FINE, SIGMA_M, normalise="sum").amax((1, 2)).tolist()
    assert lone == pytest.approx(1 / (2 * math.pi * 10), rel=0.01)  # σ² is ten cells
    assert blob == pytest.approx(0.13, abs=0.01)
    assert lone < paper("tg").retrieval.threshold < blob


def test_the_place_within_a_cell_is_found_without_bias() -> None:
    found = found_by("hm", heat_maps(*([place] for place in WITHIN_A_CELL))[:, None])
    error = found.positions_m[:, 0] - torch.tensor(WITHIN_A_CELL)
    assert float(error.mean(0).abs().max()) < 0.5 * CENTIMETRE
    assert float(error.square().sum(-1).mean().sqrt()) < 2 * CENTIMETRE  # the cell of the maximum alone: 4.1 cm
    assert float(found.scores[:, 0].min()) > paper("hm").retrieval.threshold


def test_two_sources_two_metres_apart_are_two_peaks_of_the_heat_map() -> None:
    truth = [(2.025, 2.525), (4.025, 2.525)]
    assert kept(found_by("hm", heat_maps(truth)[:, None]), 0.5, 0.6) == [
        pytest.approx(place, abs=3 * CENTIMETRE) for place in truth
    ]


@pytest.mark.parametrize("corner", [(-1.0, -1.0), (7.0, -1.0), (7.0, 7.0), (0.0, 7.0)])
def test_at_the_border_the_window_is_clipped_and_the_place_finite(corner: tuple[float, float]) -> None:
    found = found_by("hm", heat_maps([corner])[:, None])
    assert bool(found.positions_m.isfinite().all())
    assert float(found.positions_m.min()) >= -1.05
    assert float(found.positions_m.max()) <= 7.05
    assert float((found.positions_m[0, 0] - torch.tensor(corner)).norm()) < 0.5  # drawn inwards by the missing half


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
def test_a_flat_map_has_finite_candidates(value: float) -> None:
    for representation, outputs in (("hm", 1), ("tg", 1), ("rg", 3)):
        cells = 6 if representation == "rg" else 81
        found = found_by(representation, torch.full((2, outputs, cells, cells), value))
        assert bool(found.positions_m.isfinite().all())
        assert bool(found.scores.isfinite().all())
    silent = found_by("hm", torch.zeros(1, 1, 81, 81))
    assert float(silent.scores.max()) == 0.0


def test_the_tight_baseline_returns_every_cell_above_the_threshold() -> None:
    logits = torch.randn(2, 1, 81, 81, generator=torch.Generator().manual_seed(0))
    found = found_by("tg", logits, retrieval__peaks=False)
    for sample in range(2):
        above = np.argwhere(1 / (1 + np.exp(-logits[sample, 0].double().numpy())) > 0.6)
        expected = sorted([round(-1 + 0.1 * i, 3), round(-1 + 0.1 * j, 3)] for i, j in above.tolist())
        chosen = found.positions_m[sample][found.scores[sample] > 0.6].double()
        assert sorted(chosen.numpy().round(3).tolist()) == expected
        assert len(expected) > 1000


def test_improved_tight_grids_return_the_middle_of_a_blob() -> None:
    logits = torch.full((1, 1, 81, 81), -12.0)
    for i, j in itertools.product(range(3), repeat=2):
        logits[0, 0, 30 + i, 50 + j] = 8.0
    assert kept(found_by("tg", logits), 0.5, 0.1) == [pytest.approx([2.1, 4.1], abs=CENTIMETRE)]


def test_true_sources_in_cells_that_touch_both_survive() -> None:
    truth = [(1.275, 1.275), (2.725, 2.725)]  # 2.05 m apart, in diagonal neighbours
    assert COARSE.locate_sources(places(truth))[0][0, :2].tolist() == [[1, 1], [2, 2]]
    assert kept(found_by("rg", perfect_refined_grid(places(truth))), 1.0, 0.6) == [
        pytest.approx(place, abs=0.1 * CENTIMETRE) for place in truth
    ]


def test_no_pair_of_the_papers_scenes_is_lost() -> None:
    microphones = RoomSpec().microphones_m().reshape(-1, 2)
    drawn = arrays.draw_positions(
        np.random.default_rng(0),
        2000,
        2,
        size_m=(6.0, 6.0),
        raster_m=0.05,
        min_distance_m=2.0,
        microphones_m=microphones,
        clearance_m=0.3,
    )
    found = found_by("rg", perfect_refined_grid(torch.from_numpy(drawn).float()))
    survive = retrieval.suppress_neighbours(found, 1.0) & (found.scores > 0.6)
    touching = np.abs(np.floor(drawn[:, 0]) - np.floor(drawn[:, 1])).max(-1) == 1
    assert survive.sum(1).tolist() == [2] * 2000
    assert 5 <= touching.sum() <= 45  # one in a hundred would fall to a 3×3 window


def random_candidates(batch: int = 30, number: int = 25) -> Candidates:
    generator = torch.Generator().manual_seed(4)
    scores = torch.rand(batch, number, generator=generator).sort(dim=1, descending=True).values
    return Candidates(torch.rand(batch, number, 2, generator=generator) * 4, scores)


def greedy(positions: list[list[float]], radius_m: float) -> list[bool]:
    """Strongest first, the slow way."""
    keep: list[bool] = []
    for number, place in enumerate(positions):
        keep.append(not any(keep[k] and math.dist(place, positions[k]) < radius_m for k in range(number)))
    return keep


@pytest.mark.parametrize("radius_m", [0.3, 1.0, 2.5])
def test_suppression_is_greedy(radius_m: float) -> None:
    found = random_candidates()
    expected = [greedy(positions, radius_m) for positions in found.positions_m.tolist()]
    assert retrieval.suppress_neighbours(found, radius_m).tolist() == expected
    assert 0 < np.mean(expected) < 1


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_the_threshold_does_not_change_who_is_suppressed(threshold: float) -> None:
    found = random_candidates()
    keep = retrieval.suppress_neighbours(found, 1.0)
    for positions, scores, kept_here in zip(
        found.positions_m.tolist(), found.scores.tolist(), keep.tolist(), strict=True
    ):
        strong = [number for number, score in enumerate(scores) if score > threshold]
        alone = greedy([positions[number] for number in strong], 1.0)
        assert [kept_here[number] for number in strong] == alone


def test_a_radius_of_nothing_suppresses_nobody() -> None:
    found = Candidates(torch.zeros(1, 3, 2), torch.tensor([[0.9, 0.8, 0.7]]))
    assert retrieval.suppress_neighbours(found, 0.0).tolist() == [[True, True, True]]
    assert retrieval.suppress_neighbours(found, 0.1).tolist() == [[True, False, False]]


def test_just_the_radius_apart_is_far_enough() -> None:
    found = Candidates(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.5, 0.0]]]), torch.tensor([[0.9, 0.8, 0.7]]))
    assert retrieval.suppress_neighbours(found, 1.0).tolist() == [[True, True, False]]


@pytest.mark.parametrize("representation", ["tg", "hm", "rg"])
def test_candidates_come_strongest_first_and_each_sample_by_itself(representation: str) -> None:
    cells, outputs = (6, 3) if representation == "rg" else (81, 1)
    output = torch.randn(3, outputs, cells, cells, generator=torch.Generator().manual_seed(1))
    together = found_by(representation, output)
    assert bool((together.scores.diff(dim=1) <= 0).all())
    for sample in range(3):
        alone = found_by(representation, output[sample : sample + 1])
        assert torch.allclose(alone.positions_m[0], together.positions_m[sample], atol=1e-4)
        assert torch.allclose(alone.scores[0], together.scores[sample], atol=1e-5)
