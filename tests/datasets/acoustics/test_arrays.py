"""Microphones and positions, against hand computation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from datasets.acoustics import arrays
from datasets.rooms.spec import RoomSpec

MICROMETRE = 1e-6
CORNERS = RoomSpec().microphones_m().reshape(-1, 2)


def draw(samples: int, sources: int, seed: int = 0, **changes: object) -> NDArray[np.float64]:
    room: dict[str, Any] = {
        "size_m": (6.0, 6.0),
        "raster_m": 0.05,
        "min_distance_m": 2.0,
        "microphones_m": CORNERS,
        "clearance_m": 0.3,
    }
    return arrays.draw_positions(np.random.default_rng(seed), samples, sources, **(room | changes))


def test_a_bar_along_y_shifts_its_microphones_along_y_only() -> None:
    found = arrays.linear_array((1.0, 2.0), 90.0, (-0.1, 0.25))
    assert_allclose(found, [(1.0, 1.9), (1.0, 2.25)], atol=MICROMETRE)


def test_a_direction_counts_counter_clockwise_from_x() -> None:
    found = arrays.linear_array((0.0, 0.0), 30.0, (2.0,))
    assert_allclose(found, [(math.sqrt(3), 1.0)], atol=MICROMETRE)


def test_the_default_arrays_stand_where_the_kinect_has_its_microphones() -> None:
    first, second = RoomSpec().microphones_m()
    half = math.sqrt(0.5)
    offsets = (0.113, -0.036, -0.076, -0.113)
    assert_allclose(first, [(half * o, -half * o) for o in offsets], atol=MICROMETRE)
    assert_allclose(second, [(6 + half * o, half * o) for o in offsets], atol=MICROMETRE)


@pytest.mark.parametrize("layout", arrays.ARRAY_LAYOUTS)
def test_every_named_array_faces_the_room(layout: str) -> None:
    for centre, direction in arrays.ARRAY_LAYOUTS[layout]:
        front = np.deg2rad(direction + 90)  # the bar points to the right of someone who looks into the room
        towards = np.array([3.0, 3.0]) - centre
        assert towards @ [np.cos(front), np.sin(front)] > 0.99 * np.linalg.norm(towards)


@pytest.mark.parametrize("layout", ["kinect_corners", "kinect_corners_outside"])
def test_corner_arrays_see_the_whole_room_within_45_degrees_of_broadside(layout: str) -> None:
    walls = [(x, y) for x, y in itertools.product((0.0, 3.0, 6.0), repeat=2)]
    for centre, direction in arrays.ARRAY_LAYOUTS[layout]:
        front = np.array([np.cos(np.deg2rad(direction + 90)), np.sin(np.deg2rad(direction + 90))])
        for point in walls:
            towards = np.asarray(point) - centre
            if np.linalg.norm(towards) > 0:
                assert towards @ front >= np.linalg.norm(towards) * math.cos(math.radians(45.01))


def test_sources_stand_on_centres_of_the_raster_inside_the_room() -> None:
    found = draw(2000, 2)
    assert found.shape == (2000, 2, 2)
    steps = found / 0.05 - 0.5
    assert_allclose(steps, np.round(steps), atol=1e-6)
    assert found.min() >= 0.025 - MICROMETRE
    assert found.max() <= 5.975 + MICROMETRE


@pytest.mark.parametrize("sources", [2, 3, 4])
def test_sources_keep_their_distance_from_each_other(sources: int) -> None:
    found = draw(300, sources)
    pairs = [np.linalg.norm(found[:, a] - found[:, b], axis=-1) for a, b in itertools.combinations(range(sources), 2)]
    assert np.min(pairs) >= 2.0 - MICROMETRE


def test_sources_keep_clear_of_every_microphone() -> None:
    found = draw(5000, 1, clearance_m=1.5)[:, 0]
    nearest = np.linalg.norm(found[:, None] - CORNERS, axis=-1).min()
    assert 1.5 <= nearest < 1.6


def test_a_distance_that_just_fits_is_allowed() -> None:
    found = draw(50, 2, size_m=(4.0, 2.0), raster_m=2.0, clearance_m=0.01)
    assert_allclose(np.sort(found[..., 0], axis=1), np.tile([1.0, 3.0], (50, 1)), atol=MICROMETRE)


def test_positions_cover_the_room_evenly() -> None:
    found = draw(40_000, 1, clearance_m=0.01)[:, 0]
    cells = np.histogram2d(found[:, 0], found[:, 1], bins=6, range=[(0, 6), (0, 6)])[0]
    expected = 40_000 / 36
    assert np.abs(cells - expected).max() < 5 * math.sqrt(expected)  # five standard deviations of a Poisson count


def test_both_axes_have_their_own_length() -> None:
    found = draw(2000, 1, size_m=(2.0, 5.0))[:, 0]
    assert_allclose(found.max(axis=0), [1.975, 4.975], atol=MICROMETRE)
    assert arrays.raster_shape((2.0, 5.0), 0.05) == (40, 100)


def test_the_generator_decides_and_nothing_else_does() -> None:
    assert np.array_equal(draw(20, 2, seed=3), draw(20, 2, seed=3))
    assert not np.array_equal(draw(20, 2, seed=3), draw(20, 2, seed=4))


@pytest.mark.parametrize(("sources", "distance_m"), [(2, 9.0), (4, 5.9)])
def test_scenes_that_do_not_fit_are_refused(sources: int, distance_m: float) -> None:
    with pytest.raises(
        ValueError, match=rf"{sources} sources at least {distance_m} m apart do not fit into 6.0 × 6.0 m"
    ):
        draw(4, sources, min_distance_m=distance_m)


def test_a_room_wholly_within_the_clearance_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        draw(4, 1, clearance_m=10.0)


def test_every_named_array_has_the_published_size() -> None:
    widths = {
        "kinect": 0.226,
        "respeaker_4": 0.064,
        "respeaker_6": 0.0926,
        "uma_8": 0.086,
        "uma_16": 0.126 * math.sqrt(2),
        "eigenmike_4": 0.0688,
        "tetrahedron": 0.0819,
    }
    counts = {
        "kinect": 4,
        "respeaker_4": 4,
        "respeaker_6": 6,
        "uma_8": 7,
        "uma_16": 16,
        "eigenmike_4": 4,
        "tetrahedron": 4,
    }
    assert set(widths) == set(arrays.MICROPHONE_ARRAYS)
    for name, places in arrays.MICROPHONE_ARRAYS.items():
        found = arrays.place_array((0.0, 0.0), 0.0, places)
        apart = np.linalg.norm(found[:, None] - found, axis=-1)
        assert len(found) == counts[name]
        assert apart.max() == pytest.approx(widths[name], abs=2e-3), name
        assert (apart + np.eye(len(found)) > 0.02).all(), name


def test_the_grid_of_the_uma_16_has_a_microphone_at_each_point() -> None:
    found = {tuple(place) for place in arrays.MICROPHONE_ARRAYS["uma_16"]}
    assert found == set(itertools.product((-0.063, -0.021, 0.021, 0.063), repeat=2))


def test_an_array_turns_around_its_centre_and_keeps_its_heights() -> None:
    found = arrays.place_array((1.0, 2.0), 90.0, [(0.1, 0.0), (0.0, 0.2, 0.3)])
    assert_allclose(found, [(1.0, 2.1, 0.0), (0.8, 2.0, 0.3)], atol=MICROMETRE)
    bar = arrays.place_array((1.0, 2.0), 30.0, arrays.MICROPHONE_ARRAYS["kinect"])
    assert_allclose(bar[:, :2], arrays.linear_array((1.0, 2.0), 30.0, arrays.KINECT_OFFSETS_M), atol=MICROMETRE)


def test_what_microphones_cannot_tell_apart_is_said() -> None:
    room = (6.0, 6.0)
    assert arrays.describe_ambiguities(room, RoomSpec().microphones_m()) == []
    small = arrays.place_array((3.0, 3.0), 0.0, arrays.MICROPHONE_ARRAYS["respeaker_4"])[None, :, :2]
    assert arrays.describe_ambiguities(room, small) == [
        "all microphones are within 0.064 m: beyond 0.2 m they tell the direction of a source, hardly its distance"
    ]
    line = arrays.linear_array((3.0, 3.0), 0.0, (-2.9, -1.0, 0.5, 2.9))[None]
    assert "two sides" in arrays.describe_ambiguities(room, line)[0]
    assert arrays.describe_ambiguities(room, line - [0.0, 3.0]) == []  # along a wall
    assert "hardly its distance" in arrays.describe_ambiguities(room, small[:, :1])[0]
