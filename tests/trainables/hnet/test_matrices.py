"""Matrices against the counts of the authors' programs, geometry, and scipy's assignment."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from runtime.errors import InputError
from trainables.hnet import matrices
from trainables.hnet.matrices import Matrices


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def tenth() -> Matrices:
    """The authors' test set: a tenth of the training set."""
    return matrices.draw_matrices(2, 1500, generator())


def test_the_authors_numbers_come_out_for_two_sources() -> None:
    counts = matrices.count_pairs(2, 15_000)
    assert sum(counts.values()) * len(matrices.RESOLUTIONS_DEG) == 405_000
    in_all = {pair: count * 9 for pair, count in counts.items()}
    assert in_all == {
        **dict.fromkeys([(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)], 27_000),
        **dict.fromkeys([(1, 1), (1, 2), (2, 1)], 45_000),
        (2, 2): 135_000,
    }


def test_the_rule_for_three_sources() -> None:
    counts = matrices.count_pairs(3, 15_000)
    assert [counts[k, k] for k in range(4)] == [2143, 3000, 5000, 15_000]


@pytest.mark.parametrize("sources", range(2, 8))
def test_every_number_of_associations_is_as_frequent(sources: int) -> None:
    counts = matrices.count_pairs(sources, 15_000)
    assert len(counts) == (sources + 1) ** 2
    for least in range(sources + 1):
        mass = sum(count for pair, count in counts.items() if min(pair) == least)
        assert mass == pytest.approx(15_000, abs=sources + 1)


@pytest.mark.parametrize("sources", [1, 8])
def test_more_sources_than_a_grid_has_elevations_are_refused(sources: int) -> None:
    with pytest.raises(InputError, match="2 … 7"):
        matrices.draw_matrices(sources, 150, generator())


def test_a_set_holds_what_was_asked_for(tenth: Matrices) -> None:
    assert len(tenth) == 40_500
    found = np.unique(np.stack([tenth.references, tenth.predictions]), axis=1, return_counts=True)
    counted = {(int(r), int(p)): int(count) for (r, p), count in zip(found[0].T, found[1], strict=True)}
    assert counted == {pair: count * 9 for pair, count in matrices.count_pairs(2, 1500).items()}
    associations = tenth.associations.sum((1, 2))
    assert np.array_equal(associations, np.minimum(tenth.references, tenth.predictions))
    assert tenth.associations.sum(1).max() == tenth.associations.sum(2).max() == 1


def test_associations_lie_where_they_lie_in_the_authors_set(tenth: Matrices) -> None:
    found = tenth.associations.mean(0)
    assert found == pytest.approx(np.array([[0.306, 0.249], [0.250, 0.195]]), abs=0.01)


def test_a_seed_decides_everything() -> None:
    one, same, other = (matrices.draw_matrices(3, 150, generator(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.distances, same.distances)
    assert np.array_equal(one.associations, same.associations)
    assert not np.array_equal(one.distances, other.distances)


@pytest.mark.parametrize("step_deg", matrices.RESOLUTIONS_DEG)
def test_directions_lie_on_the_grid_and_never_share_an_angle(step_deg: int) -> None:
    x, y, z = matrices.draw_directions(step_deg, 500, 7, generator())
    assert np.allclose(x**2 + y**2 + z**2, 1)
    elevation = (np.rad2deg(np.arcsin(z)) + 90) / step_deg
    assert np.allclose(elevation, elevation.round(), atol=1e-3)
    across = np.hypot(x, y) > 1e-9  # at the poles an azimuth cannot be told
    azimuth = (np.rad2deg(np.arctan2(y, x)) + 180) / step_deg
    assert np.allclose(azimuth[across], azimuth[across].round(), atol=1e-6)
    for angles in (elevation, np.where(across, azimuth.round() % (360 // step_deg), 1000 + np.arange(7))):
        ordered = np.sort(angles, axis=1)
        assert np.diff(ordered, axis=1).min() > 0.5


def test_the_whole_sphere_is_drawn_from_evenly() -> None:
    draws = 40_000
    _, _, z = matrices.draw_directions(30, draws, 7, generator())
    # With seven of seven elevations each sample is a permutation: every elevation is as likely in every slot.
    place = np.rad2deg(np.arcsin(z)).round().astype(int) // 30 + 3
    for slot in range(7):
        assert np.bincount(place[:, slot], minlength=7) == pytest.approx(draws / 7, rel=0.07)  # 5 standard deviations
    x, y, z = matrices.draw_directions(30, draws, 1, generator())
    equator = np.abs(z[:, 0]) < 0.1
    turns = np.rad2deg(np.arctan2(y, x))[equator, 0].round().astype(int) // 30 % 12
    assert np.bincount(turns, minlength=12) == pytest.approx(equator.sum() / 12, rel=0.25)


def of_pair(drawn: Matrices, references: int, predictions: int) -> Any:
    chosen = (drawn.references == references) & (drawn.predictions == predictions)
    return drawn.distances[chosen], drawn.associations[chosen]


def test_real_distances_are_chords_of_the_unit_sphere(tenth: Matrices) -> None:
    distances, _ = of_pair(tenth, 2, 2)
    assert distances.min() >= 0
    assert distances.max() <= 2 + 1e-6
    # The mean product of two such directions is that of sin(el), which is 0, so the mean squared chord is 2.
    assert np.square(distances.astype(float)).mean() == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize(("padding", "share"), [("mixed", 0.5), ("constant", 1.0), ("random", 0.0)])
def test_two_constant_paddings_have_no_distance(padding: Any, share: float) -> None:
    distances, associations = of_pair(matrices.draw_matrices(2, 1500, generator(), padding=padding), 0, 0)
    assert not associations.any()
    assert (distances == 0).all((1, 2)).mean() == pytest.approx(share, abs=0.05)  # 5 standard deviations of 2700 coins


def test_a_constant_padding_is_about_17_from_every_direction() -> None:
    distances, _ = of_pair(matrices.draw_matrices(2, 1500, generator(), padding="constant"), 2, 0)
    assert np.abs(distances - math.sqrt(300)).max() <= 1 + 1e-5


def test_random_paddings_are_far_and_may_be_very_far() -> None:
    distances, _ = of_pair(matrices.draw_matrices(2, 1500, generator(), padding="random"), 2, 0)
    assert distances.min() >= math.sqrt(3) - 1
    assert 150 < distances.max() < math.sqrt(3) * 100 + 1
    assert distances.mean() == pytest.approx(96, abs=2)  # the mean of |v| over a cube of half-width 1 is 0.9606


def scipys(distances: Any, rows: int, columns: int) -> Any:
    result = np.zeros(distances.shape, bool)
    result[linear_sum_assignment(distances[:rows, :columns])] = True
    return result


@pytest.mark.parametrize("sources", [2, 3, 4, 7])
def test_associations_are_scipys(sources: int) -> None:
    pairs = np.array(list(itertools.product(range(sources + 1), repeat=2)) * 20).astype(np.int8)
    distances = generator().random((len(pairs), sources, sources)) * 2
    found = matrices.hungarian_association(distances, pairs[:, 0], pairs[:, 1])
    for mine, given, (rows, columns) in zip(found, distances, pairs, strict=True):
        assert np.array_equal(mine, scipys(given, rows, columns))


@pytest.mark.parametrize("sources", [2, 3])
def test_the_associations_of_a_drawn_set_cost_the_least(sources: int) -> None:
    drawn = matrices.draw_matrices(sources, 300, generator(3))
    full = (drawn.references == sources) & (drawn.predictions == sources)
    distances, associations = drawn.distances[full].astype(float), drawn.associations[full]
    costs = [
        sum(distances[:, row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(sources))
    ]
    assert np.allclose((distances * associations).sum((1, 2)), np.min(costs, axis=0), atol=1e-5)


def test_missing_sources_are_reordered_too(tenth: Matrices) -> None:
    """Half of the orders are the identity; a coin says whether the others swap the rows or the columns."""
    _, associations = of_pair(tenth, 1, 1)
    assert associations.mean(0) == pytest.approx(np.array([[0.5, 0.25], [0.25, 0.0]]), abs=0.04)


@pytest.mark.parametrize("which", ["none", "either", "rows", "columns", "both"])
def test_reordering_moves_distances_and_associations_together(which: Any) -> None:
    n = 4
    distances = np.arange(300 * n * n, dtype=np.float32).reshape(300, n, n)
    associations = distances % 3 == 0
    moved, with_them = matrices.permute_rows(distances, associations, generator(), which)
    assert np.array_equal(with_them, moved % 3 == 0)
    assert np.array_equal(np.sort(moved.reshape(300, -1)), distances.reshape(300, -1))
    home = np.arange(n)
    columns = (moved % n).astype(int)
    rows = (moved % (n * n)).astype(int) // n
    assert (columns == columns[:, :1]).all()  # whole columns moved
    assert (rows == rows[:, :, :1]).all()  # and whole rows
    moved_rows, moved_columns = (rows[:, :, 0] != home).any(1), (columns[:, 0] != home).any(1)
    assert moved_rows.any() == (which in ("rows", "either", "both"))
    assert moved_columns.any() == (which in ("columns", "either", "both"))
    assert (moved_rows & moved_columns).any() == (which == "both")


def test_reordering_leaves_its_input_alone() -> None:
    distances = np.arange(40, dtype=np.float32).reshape(10, 2, 2)
    before = distances.copy()
    matrices.permute_rows(distances, distances > 5, generator(), "both")
    assert np.array_equal(distances, before)
