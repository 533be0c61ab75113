"""Simulated rooms, against geometry worked out by hand and the statistics of reverberation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from datasets.acoustics import pyroom
from datasets.acoustics.directions import unit_vectors
from datasets.scenes import reverberation
from datasets.scenes.reverberation import POINT_SAMPLES, SceneRoom
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import SAMPLE_RATE_HZ

SIZE = (6.0, 5.0, 3.0)
ARRAY = (2.5, 2.0, 1.4)
SOURCE = np.array([1.2, 0.7, -0.3])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def impulse_response(room: SceneRoom, source_m: NDArray[np.float64] = SOURCE) -> NDArray[np.float64]:
    impulse = np.ones(1, np.float32)
    return reverberation.render_source(
        impulse, reverberation.early_response(room, source_m[None]), reverberation.late_response(rng(), room)
    ).astype(np.float64)


def decay_s(response: NDArray[np.float64]) -> float:
    """Reverberation time from -5 to -25 dB of the backward integral (Schroeder, 1965)."""
    energy = np.cumsum(np.square(response)[::-1])[::-1]
    level = 10 * np.log10(energy / energy[0])
    used = np.flatnonzero((level < -5) & (level > -25))
    return float(-60 / np.polyfit(used / SAMPLE_RATE_HZ, level[used], 1)[0])


def test_images_of_the_first_order_stand_where_the_walls_mirror_them() -> None:
    source = np.array(ARRAY) + SOURCE
    images = pyroom.compute_image_sources(SIZE, np.array(ARRAY), source[None], absorption=0.36, max_order=1)
    mirrored = []
    for axis, side in enumerate(SIZE):
        for wall in (0.0, side):
            place = source.copy()
            place[axis] = 2 * wall - place[axis]
            mirrored.append((*(place - ARRAY), 0.8))
    found = np.concatenate([images.offsets_m[0], images.damping[0][:, None]], axis=1)
    wanted, found = (np.array(sorted(np.round(rows, 4).tolist())) for rows in ([(*SOURCE, 1.0), *mirrored], found))
    assert found == pytest.approx(wanted, abs=2e-4)
    assert images.delays_s[0] == pytest.approx(np.linalg.norm(images.offsets_m[0], axis=1) / 343)


@pytest.mark.parametrize("size", [SIZE, (10.0, 4.0, 2.5)])
def test_the_early_images_are_all_there_are_up_to_their_limit(size: tuple[float, float, float]) -> None:
    room = SceneRoom(size, ARRAY, 0.5)
    source = np.array(ARRAY) + SOURCE
    steps = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3), axis=-1).reshape(-1, 3)
    lattice = np.concatenate(
        [
            np.array(sign) * source + 2 * steps * size - ARRAY
            for parity in np.ndindex(2, 2, 2)
            for sign in [1 - 2 * np.array(parity)]
        ]
    )
    distance = np.linalg.norm(lattice, axis=1)
    near = distance[distance <= room.early_m]
    heard = reverberation.early_response(room, SOURCE[None])[0, 0]
    places = np.unique(np.round(near / 343 * SAMPLE_RATE_HZ).astype(int))
    assert (np.flatnonzero(heard) == places).all()  # W hears an image in one sample


def test_without_echo_sound_arrives_after_r_over_c_and_fades_as_1_over_r() -> None:
    room = SceneRoom(SIZE, ARRAY, 0.0)
    for metres in (0.7, 1.0, 1.4):
        heard = impulse_response(room, np.array([0.0, metres, 0.0]))
        assert np.flatnonzero(np.abs(heard[0]) > 1e-5).tolist() == [round(metres / 343 * SAMPLE_RATE_HZ)]
        assert heard[:4].sum(axis=1) == pytest.approx([1 / metres, 1 / metres, 0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("size", "rt60_s"), [(SIZE, 0.5), ((4.0, 3.5, 2.5), 0.2), ((10.0, 8.0, 4.0), 0.8), ((9.0, 3.5, 2.6), 0.4)]
)
def test_a_room_has_the_reverberation_time_asked_for(size: tuple[float, float, float], rt60_s: float) -> None:
    room = SceneRoom(size, (0.45 * size[0], 0.45 * size[1], 0.45 * size[2]), rt60_s)
    heard = impulse_response(room)
    for channel in (0, 2, 5):
        assert decay_s(heard[channel]) == pytest.approx(rt60_s, rel=0.2)


def test_the_tail_goes_on_where_the_images_end() -> None:
    """Per 10 ms and averaged over places, the last images and the first of the tail carry the same energy but for the decay."""
    step, ratios = 240, []
    for seed in range(6):
        place = rng(seed).uniform(0.35, 0.65, 3) * SIZE
        room = SceneRoom(SIZE, tuple(place.tolist()), 0.5)
        images, tail = (
            reverberation.early_response(room, SOURCE[None])[0, 0],
            reverberation.late_response(rng(seed), room)[0],
        )
        end = round(room.early_m / 343 * SAMPLE_RATE_HZ)
        ratios.append((np.square(images[end - step : end]).sum(), np.square(tail[end : end + step + 2]).sum()))
    before, after = np.mean(ratios, axis=0)
    assert 10 * np.log10(after / before) == pytest.approx(-60 * step / SAMPLE_RATE_HZ / 0.5, abs=1.0)


def test_a_still_source_sounds_the_same_when_it_is_crossfaded() -> None:
    room = SceneRoom(SIZE, ARRAY, 0.3)
    wave = rng(2).standard_normal(3 * POINT_SAMPLES + 777).astype(np.float32)
    response, tail = reverberation.early_response(room, SOURCE[None]), reverberation.late_response(rng(), room)
    still = reverberation.render_source(wave, response, tail)
    crossfaded = reverberation.render_source(
        wave, np.repeat(response, reverberation.trajectory_points(len(wave)), axis=0), tail
    )
    assert crossfaded.shape[1] >= still.shape[1]
    assert np.abs(crossfaded[:, : still.shape[1]] - still).max() < 1e-5 * np.abs(still).max()
    whole = np.zeros((8, max(response.shape[2], tail.shape[1])))
    whole[:, : response.shape[2]] += response[0]
    whole[:, : tail.shape[1]] += tail
    direct = signal.oaconvolve(wave[None].astype(np.float64), whole, axes=1)
    assert np.abs(still - direct).max() < 1e-5 * np.abs(direct).max()


def test_a_moving_source_goes_from_its_first_place_to_its_last() -> None:
    room = SceneRoom(SIZE, ARRAY, 0.0)
    wave = np.ones(4 * POINT_SAMPLES, np.float32)
    places = unit_vectors(np.linspace(0, 90, reverberation.trajectory_points(len(wave))), np.zeros(5))
    heard = reverberation.render_source(
        wave, reverberation.early_response(room, places), reverberation.late_response(rng(), room)
    )
    angle = np.rad2deg(np.arctan2(heard[1], heard[3]))
    arrival = round(SAMPLE_RATE_HZ / 343)
    for quarter in range(4):
        middle = arrival + round((quarter + 0.5) * POINT_SAMPLES)
        assert angle[middle] == pytest.approx(22.5 * (quarter + 0.5), abs=0.5)


def test_rooms_stay_within_the_spec_and_depend_on_seed_and_number() -> None:
    spec = SceneSpec(seed=5)
    drawn = [reverberation.draw_room(spec, number) for number in range(1, 40)]
    for room in drawn:
        sides = zip(room.size_m, (spec.length_m, spec.width_m, spec.height_m), strict=True)
        assert all(low <= side <= high for side, (low, high) in sides)
        assert spec.rt60_s[0] <= room.rt60_s <= spec.rt60_s[1]
        assert 0 < room.mean_absorption < 1
    assert len(set(drawn)) == len(drawn)
    assert reverberation.draw_room(SceneSpec(seed=5, moving=0), 3) == drawn[2]
    assert reverberation.draw_room(SceneSpec(seed=6), 3) != drawn[2]


def test_the_walls_end_the_distance() -> None:
    room = SceneRoom(SIZE, ARRAY, 0.0)
    assert room.farthest_m(0.0, 0.0) == pytest.approx(6.0 - 2.5 - 0.3)
    assert room.farthest_m(-90.0, 0.0) == pytest.approx(2.0 - 0.3)
    assert room.farthest_m(0.0, 30.0) == pytest.approx((3.0 - 1.4 - 0.3) / 0.5)
    assert room.farthest_m(None, 0.0) == pytest.approx(2.0 - 0.3)
    assert room.farthest_m(None, -60.0) == pytest.approx((1.4 - 0.3) / np.sin(np.pi / 3))
