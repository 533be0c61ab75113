"""Reverberant rooms, compared with pyroomacoustics and with physics: arrival, level and decay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyroomacoustics
import pytest
import torch
from numpy.typing import NDArray

from datasets.acoustics import propagation, pyroom, shoebox
from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.shoebox import PositionPool, ShoeboxRoom
from datasets.rooms import reverberation
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.array_spec import ArraySpec
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from runtime.errors import InputError

DELAY = 40
"""Samples by which pyroomacoustics delays everything, so that nothing of its filters is lost."""


def spec_of(seed: int = 0, **acoustics: Any) -> tuple[RoomSpec, Acoustics]:
    spec = RoomSpec.model_validate({"acoustics": {"rooms": 2, "positions": 6} | acoustics, "seed": seed})
    assert spec.acoustics is not None
    return spec, spec.acoustics


def room_of(seed: int = 0, **acoustics: Any) -> tuple[ShoeboxRoom, NDArray[np.float64]]:
    """A room, and places in it in the room's coordinates."""
    spec, drawn_from = spec_of(seed, **acoustics)
    room = reverberation.draw_room(spec, drawn_from, "train", 0)
    return room, reverberation.draw_source_positions(spec, drawn_from, "train", 0) + np.array([*room.origin_m, 0.0])


def distances(room: ShoeboxRoom, places_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(places_m[:, None, None] - room.microphones_m, axis=-1)


@pytest.mark.parametrize(
    "acoustics",
    [
        {"rt60_s": 0.2},
        {"rt60_s": (0.3, 0.6), "max_order": 5},
        {"absorption": (0.2, 0.5), "max_order": 4, "margin_m": (0.3, 2.0)},
        {"absorption": 0.9, "max_order": 2, "source_height_m": (0.5, 2.4), "array_height_m": (0.8, 1.6)},
    ],
    ids=repr,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_waves_equal_the_reference_simulator_s_to_60_db(acoustics: dict[str, Any], seed: int) -> None:
    room, places = room_of(seed, **acoustics)
    field = propagation.ImpulseResponses(pyroom.compute_impulse_responses(room, places))
    generator = np.random.default_rng(seed)
    sources = generator.standard_normal((2, 3, field.window.length)).astype(np.float32)
    rows = generator.permutation(len(places)).reshape(2, 3)
    ours = field.propagate(torch.from_numpy(sources), torch.from_numpy(rows)).double().numpy()
    for wave, played, chosen in zip(ours, sources, rows, strict=True):
        theirs = pyroom.simulate_shoebox(room, played, places[chosen], field.window.lead)
        assert theirs.shape == wave.shape == (2, 4, MIXTURE_SAMPLES)
        left = np.square(wave - theirs).sum(-1) / np.square(theirs).sum(-1)
        assert 10 * np.log10(left.max()) < -60


@pytest.mark.parametrize("rt60_s", [0.15, 0.3, 0.7, 1.2])
def test_sabine_s_formula_is_pyroomacoustics(rt60_s: float) -> None:
    for size_m in ((7.0, 8.0, 2.6), (6.5, 6.5, 3.0), (4.0, 3.0, 5.0)):
        absorption, order = pyroomacoustics.inverse_sabine(rt60_s, size_m, c=SPEED_OF_SOUND_M_S)
        assert shoebox.sabine_absorption(rt60_s, size_m) == (pytest.approx(absorption, rel=1e-12), order)


def test_sabine_by_hand() -> None:
    # A cube of 6 m: V = 216, S = 216, so that the absorption is 24 ln 10 / (343 · 0.5) = 0.3222.
    assert shoebox.sabine_absorption(0.5, (6.0, 6.0, 6.0))[0] == pytest.approx(0.3222, abs=1e-4)


def test_a_room_that_cannot_be_so_dry_is_refused_with_the_least_it_can() -> None:
    with pytest.raises(ValueError, match=r"RT60 below 0\.16 s"):
        shoebox.sabine_absorption(0.1, (6.0, 6.0, 6.0))
    shoebox.sabine_absorption(0.162, (6.0, 6.0, 6.0))
    spec, acoustics = spec_of(rt60_s=0.05)
    with pytest.raises(InputError, match="Sabine") as caught:
        reverberation.draw_room(spec, acoustics, "train", 0)
    assert caught.value.place == "dataset: acoustics.rt60_s"


def test_without_reflections_sound_arrives_after_r_over_c_and_fades_as_1_over_r() -> None:
    room, places = room_of(absorption=1, max_order=1)
    heard = pyroom.compute_impulse_responses(room, places).astype(np.float64)
    path = distances(room, places)
    fine = 20 * np.fft.irfft(np.fft.rfft(heard, 4096), 20 * 4096)  # interpolated twenty times
    arrival = fine.argmax(-1) / 20 - DELAY
    assert np.abs(arrival - path / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ).max() < 0.05
    assert fine.max(-1) * path == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("rt60_s", [0.2, 0.4])
def test_reflections_follow_the_direct_sound_and_leave_it_as_it_is(rt60_s: float) -> None:
    wet_room, places = room_of(rt60_s=rt60_s, max_order=3)
    dry_room = ShoeboxRoom(wet_room.size_m, wet_room.origin_m, 1.0, 1, wet_room.microphones_m)
    wet, dry = (pyroom.compute_impulse_responses(room, places).astype(np.float64) for room in (wet_room, dry_room))
    direct = distances(wet_room, places) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ + DELAY
    # The nearest image is mirrored at the floor; nothing else is as early.
    to_floor = np.linalg.norm((places * [1, 1, -1])[:, None, None] - wet_room.microphones_m, axis=-1)
    first = to_floor / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ + DELAY
    for index in np.ndindex(direct.shape):
        clear = int(min(first[index], direct[index] + 200)) - DELAY - 1
        # Differences from sample to sample: the 10 Hz high-pass works in both directions and lifts the line a little.
        one, other = np.diff(wet[index][:clear]), np.diff(dry[index][:clear])
        assert np.abs(one - other).max() < 0.001 * np.abs(np.diff(dry[index])).max()
        assert np.square(wet[index]).sum() > 1.5 * np.square(dry[index]).sum()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_decay_is_near_what_was_asked_for(seed: int) -> None:
    """Schroeder's backward integration (1965), a line through -5 to -25 dB.

    Sabine's formula assumes a diffuse field. Flat rooms have none: what travels horizontally meets fewer walls, so that
    T20 exceeds what was asked for, by a few per cent at 0.2 s and by 20 to 45 at 0.6 s.
    """
    asked_s = 0.2
    room, places = room_of(seed, rt60_s=asked_s)
    heard = pyroom.compute_impulse_responses(room, places[:3]).astype(np.float64)
    left = np.cumsum(np.square(heard)[..., ::-1], axis=-1)[..., ::-1]
    for decay in 10 * np.log10(left / left[..., :1] + 1e-30).reshape(-1, left.shape[-1]):
        first, last = np.argmax(decay < -5), np.argmax(decay < -25)
        slope = np.polyfit(np.arange(first, last) / SAMPLE_RATE_HZ, decay[first:last], 1)[0]
        assert -60 / slope == pytest.approx(asked_s, rel=0.15)


def test_what_is_cut_off_is_70_db_down() -> None:
    room, places = room_of(rt60_s=0.25, max_order=8)
    cut, whole = (pyroom.compute_impulse_responses(room, places, decay_db=db).astype(np.float64) for db in (70, 1_000))
    kept = cut.shape[-1]
    assert kept < whole.shape[-1]
    assert np.array_equal(whole[..., :kept], cut)
    lost = np.square(whole[..., kept:]).sum(-1) / np.square(whole).sum(-1)
    assert -75 < 10 * np.log10(lost.max()) < -70


def test_rooms_are_drawn_from_the_ranges_asked_for_and_differ() -> None:
    spec, acoustics = spec_of(rt60_s=(0.3, 0.5), margin_m=(0.4, 1.0), height_m=(2.5, 2.8), array_height_m=(1.0, 1.4))
    rooms = [
        reverberation.draw_room(spec, acoustics, role, n) for role in ("train", "validate", "tests") for n in range(20)
    ]
    sizes = np.array([room.size_m for room in rooms])
    assert len(np.unique(sizes, axis=0)) == 60
    assert ((sizes[:, :2] >= 6.8) & (sizes[:, :2] <= 8.0)).all()
    assert ((sizes[:, 2] >= 2.5) & (sizes[:, 2] <= 2.8)).all()
    reached = [np.prod(s) * 24 * np.log(10) / SPEED_OF_SOUND_M_S for s in sizes]
    surface = 2 * (sizes[:, 0] * sizes[:, 1] + sizes[:, 0] * sizes[:, 2] + sizes[:, 1] * sizes[:, 2])
    rt60_s = reached / (surface * [room.absorption for room in rooms])
    assert ((rt60_s >= 0.3) & (rt60_s <= 0.5)).all()
    assert rt60_s.std() > 0.03
    for room in rooms:
        assert ((room.microphones_m > 0) & (room.microphones_m < room.size_m)).all()
        np.testing.assert_allclose(room.microphones_m[..., :2] - room.origin_m, spec.microphones_m(), atol=1e-12)
        assert 1.0 <= room.microphones_m[0, 0, 2] <= 1.4


def test_microphones_of_an_array_have_their_heights_in_a_room() -> None:
    spec, acoustics = spec_of(rt60_s=0.4, array_height_m=(1.0, 1.4))
    raised = spec.model_copy(
        update={"arrays": (ArraySpec(centre_m=(3, 3), mics_m=((0, 0), (0.1, 0, 0.05), (0, 0.1, -0.05))),)}
    )
    placed = reverberation.draw_room(raised, acoustics, "train", 0).microphones_m[0]
    np.testing.assert_allclose(placed[:, 2] - placed[0, 2], [0, 0.05, -0.05], atol=1e-12)
    assert 1.0 <= placed[0, 2] <= 1.4


def test_microphones_outside_the_room_are_refused() -> None:
    spec, acoustics = spec_of(rt60_s=0.4, margin_m=(0.0, 0.05))  # the arrays lie across the area's corners
    with pytest.raises(InputError, match="inside the room") as caught:
        reverberation.draw_room(spec, acoustics, "train", 0)
    assert caught.value.place == "dataset: acoustics.margin_m"


def test_places_are_different_points_of_the_raster_away_from_microphones() -> None:
    spec, acoustics = spec_of(rt60_s=0.4, positions=500, source_height_m=(0.8, 1.6))
    places = reverberation.draw_source_positions(spec, acoustics, "train", 0)
    assert places.shape == (500, 3)
    assert len(np.unique(places[:, :2].round(6), axis=0)) == 500
    np.testing.assert_allclose(places[:, :2] / spec.raster_m % 1, 0.5, atol=1e-6)
    apart = np.linalg.norm(places[:, None, :2] - spec.microphones_m().reshape(-1, 2), axis=-1)
    assert apart.min() >= spec.clearance_m
    assert 0.8 <= places[:, 2].min() < 0.9
    assert 1.5 < places[:, 2].max() <= 1.6


def test_more_places_than_the_raster_has_are_refused() -> None:
    spec, acoustics = spec_of(rt60_s=0.4, positions=20_000)
    with pytest.raises(InputError, match="enough points away") as caught:
        reverberation.draw_source_positions(spec, acoustics, "train", 0)
    assert caught.value.place == "dataset: acoustics.positions"


def test_every_room_is_in_some_shard_and_a_shard_has_one_where_there_are_enough() -> None:
    for shards, rooms in ((1, 1), (3, 2), (8, 8), (20, 4), (2, 5), (1, 7), (3, 5)):
        used = [list(reverberation.rooms_of_shard(number, shards, rooms)) for number in range(shards)]
        assert {room for each in used for room in each} == set(range(rooms))
        assert max(map(len, used)) == max(1, -(-rooms // shards))


def test_scenes_have_one_room_each_and_places_far_enough_apart() -> None:
    places = np.random.default_rng(3).uniform(0, 6, (30, 2))
    pool = PositionPool(places, np.array([0, 8, 20, 30]))
    drawn = pool.draw_positions(np.random.default_rng(0), 3_000, 2, 2.0)
    rooms = np.searchsorted(pool.first, drawn, side="right") - 1
    assert (rooms[:, 0] == rooms[:, 1]).all()
    assert np.linalg.norm(places[drawn[:, 0]] - places[drawn[:, 1]], axis=1).min() >= 2.0
    pairs = np.argwhere(np.linalg.norm(places[:, None] - places, axis=-1) >= 2.0)
    room_of_pair = np.searchsorted(pool.first, pairs, side="right") - 1
    possible = {tuple(pair) for pair in pairs[room_of_pair[:, 0] == room_of_pair[:, 1]].tolist()}
    assert {tuple(pair) for pair in drawn.tolist()} == possible  # all that may be, and nothing else


def test_places_that_are_never_far_enough_apart_are_refused() -> None:
    pool = PositionPool(np.array([[1.0, 1.0], [5.0, 5.0]]), np.array([0, 1, 2]))  # a room each
    with pytest.raises(ValueError, match=r"at least 2\.0 m apart"):
        pool.draw_positions(np.random.default_rng(0), 1, 2, 2.0)


@pytest.mark.parametrize("places", [20, 97, 400])
def test_training_validation_and_tests_share_no_measured_place(places: int) -> None:
    spec = MeasuredSpec(bank="bank.npz", test_share=0.2, validate_share=0.1)
    shares = {
        split: set(reverberation.positions_of_split(spec, split, places).tolist())
        for split in ("train", "validate", "S0", "S1")
    }
    assert shares["S0"] == shares["S1"]
    three = [shares["train"], shares["validate"], shares["S0"]]
    assert set().union(*three) == set(range(places))
    assert sum(map(len, three)) == places
    assert (len(shares["S0"]), len(shares["validate"])) == (round(0.2 * places), round(0.1 * places))
