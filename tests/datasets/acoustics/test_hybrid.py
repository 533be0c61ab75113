"""Image sources followed by noise, compared with image sources alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.acoustics import hybrid, pyroom
from datasets.acoustics.arrays import (
    KINECT_OFFSETS_M,
    MICROPHONE_ARRAYS,
    SAMPLE_RATE_HZ,
    SPEED_OF_SOUND_M_S,
    linear_array,
)
from datasets.acoustics.materials import absorption_of
from datasets.acoustics.measures import measure_coherence, measure_responses
from datasets.acoustics.shoebox import ShoeboxRoom, sabine_absorption

SIZES_M = [(4.0, 5.0, 2.7), (6.0, 3.5, 3.2)]


def room_of(size_m: tuple[float, float, float], rt60_s: float) -> tuple[ShoeboxRoom, NDArray[np.float64]]:
    """A room with two arrays, and twelve places; no two of them have the height of an array."""
    absorption, order = sabine_absorption(rt60_s, size_m)
    bars = [
        linear_array((0.4, 0.5), 0, KINECT_OFFSETS_M),
        linear_array((size_m[0] - 0.5, size_m[1] - 0.4), 70, KINECT_OFFSETS_M),
    ]
    microphones = np.concatenate([np.stack(bars), np.full((2, 4, 1), 1.13)], axis=-1)
    generator = np.random.default_rng(1)
    low, high = [0.8, 0.8, 1.3], [size_m[0] - 0.9, size_m[1] - 0.8, 1.9]
    return ShoeboxRoom(size_m, (0, 0), absorption, order, microphones), generator.uniform(low, high, (12, 3))


@functools.cache
def both(size_m: tuple[float, float, float], rt60_s: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The responses by image sources alone, and the hybrid ones."""
    room, places = room_of(size_m, rt60_s)
    short = replace(room, max_order=hybrid.early_order(room), is_hybrid=True)
    return pyroom.compute_impulse_responses(room, places), hybrid.compute_hybrid_responses(
        np.random.default_rng(2), short, places
    )


def hybrid_with_seed(room: ShoeboxRoom, places_m: NDArray[np.float64], **options: Any) -> NDArray[np.float32]:
    return hybrid.compute_hybrid_responses(np.random.default_rng(2), room, places_m, **options)


@pytest.mark.parametrize("size_m", SIZES_M)
def test_until_the_mixing_time_the_responses_are_those_of_image_sources(size_m: tuple[float, float, float]) -> None:
    room, _ = room_of(size_m, 0.25)
    full, ours = (each.astype(np.float64) for each in both(size_m, 0.25))
    early = pyroom.delay_samples() + int(hybrid.mixing_time_s(room) * SAMPLE_RATE_HZ)
    # From sample to sample: the simulator's 10 Hz high-pass lifts a response by what follows.
    one, other = np.diff(ours[..., :early]), np.diff(full[..., :early])
    assert 10 * np.log10(np.square(one - other).sum() / np.square(other).sum()) < -50


@pytest.mark.parametrize(("size_m", "rt60_s"), [(SIZES_M[0], 0.25), (SIZES_M[1], 0.25), (SIZES_M[1], 0.35)])
def test_decay_and_clarity_are_those_of_image_sources(size_m: tuple[float, float, float], rt60_s: float) -> None:
    full, ours = (measure_responses(each) for each in both(size_m, rt60_s))
    assert np.nanmedian(ours.t20_s) == pytest.approx(np.nanmedian(full.t20_s), rel=0.08)
    assert np.nanmedian(ours.edt_s) == pytest.approx(np.nanmedian(full.edt_s), rel=0.1)
    # A difference of clarity is heard from 1 dB (ISO 3382-1, table A.1).
    assert np.median(ours.c50_db) == pytest.approx(np.median(full.c50_db), abs=1)
    assert np.median(ours.drr_db) == pytest.approx(np.median(full.drr_db), abs=0.6)


def test_the_power_is_that_of_the_images() -> None:
    room, places = room_of((4.0, 5.0, 2.7), 0.4)
    assert isinstance(room.absorption, float)
    images = pyroom.compute_image_sources(
        room.size_m, room.microphones_m[0, 0], places[:4], absorption=room.absorption, max_order=40
    )
    for begin_s, end_s in ((0.04, 0.07), (0.07, 0.12), (0.12, 0.2)):
        arrived = (images.delays_s > begin_s) & (images.delays_s < end_s)
        energy = np.where(arrived, np.square(images.damping / images.delays_s / SPEED_OF_SOUND_M_S), 0).sum(1).mean()
        time_s = np.arange(begin_s, end_s, 1 / SAMPLE_RATE_HZ)
        assert hybrid.late_power(room, time_s).sum() == pytest.approx(energy, rel=0.05)


def test_neighbouring_microphones_hear_late_sound_as_from_the_directions_of_the_images() -> None:
    """In a flat room, from the sides: the coherence of a diffuse field differs more."""
    size_m = (7.0, 7.5, 2.4)
    full, ours = both(size_m, 0.3)
    begin = pyroom.delay_samples() + int(0.08 * SAMPLE_RATE_HZ)

    def coherence(responses: NDArray[np.float32]) -> NDArray[np.complex128]:
        return measure_coherence(responses[..., begin : begin + 2048], 1, 2)[8:100]

    frequencies = np.fft.rfftfreq(256, 1 / SAMPLE_RATE_HZ)[8:100]
    diffuse = np.sinc(2 * frequencies * 0.04 / SPEED_OF_SOUND_M_S)
    heard, expected = coherence(ours), coherence(full)
    assert np.linalg.norm(heard - expected) < 0.6 * np.linalg.norm(diffuse - expected)


def test_the_effort_depends_on_the_room_and_not_on_its_reverberation_time() -> None:
    orders = {hybrid.early_order(room_of((4.0, 5.0, 2.7), rt60_s)[0]) for rt60_s in (0.2, 0.4, 0.8)}
    assert len(orders) == 1
    assert orders.pop() < room_of((4.0, 5.0, 2.7), 0.2)[0].max_order


@pytest.mark.parametrize("rt60_s", [0.11, 0.3])
def test_the_generator_alone_decides_and_the_end_is_70_db_down(rt60_s: float) -> None:
    room, places = room_of((3.0, 2.5, 2.4), rt60_s)
    short = replace(room, max_order=hybrid.early_order(room))
    one, same, other = (
        hybrid.compute_hybrid_responses(np.random.default_rng(seed), short, places[:3]) for seed in (5, 5, 6)
    )
    assert np.array_equal(one, same)
    assert np.isfinite(one).all()
    begin = pyroom.delay_samples() + int(hybrid.mixing_time_s(room) * SAMPLE_RATE_HZ)
    assert np.array_equal(one[..., :begin], other[..., :begin])
    power = np.square(one.astype(np.float64))
    assert -80 < 10 * np.log10(power[..., -32:].mean() / hybrid.late_power(room, np.zeros(1))[0]) < -60
    if rt60_s == 0.3:
        assert not np.array_equal(one, other)


def test_rooms_of_materials_decay_in_octaves_as_image_sources_do() -> None:
    """A single room strays by a decibel or two, more where the absorption of neighbouring octaves is very different."""
    surfaces = ["plasterboard", "glass_window", "wooden_lining", "brickwork", "carpet_thin", "ceiling_plasterboard"]
    octaves = (2000, 4000)

    def levels(responses: NDArray[np.float32], first: int) -> NDArray[np.float64]:
        power = np.square(np.abs(np.fft.rfft(responses[..., first : first + 480] * np.hanning(480)))).mean((0, 1, 2))
        frequency = np.fft.rfftfreq(480, 1 / SAMPLE_RATE_HZ)
        bands = [power[(frequency > octave / 1.4) & (frequency < octave * 1.4)].mean() for octave in octaves]
        return np.asarray(10 * np.log10(bands))

    differences = []
    for size_m in SIZES_M:
        room, places = room_of(size_m, 0.25)
        room = replace(room, absorption=np.stack([absorption_of(name) for name in surfaces]), max_order=24)
        short = replace(room, max_order=hybrid.early_order(room))
        full = pyroom.compute_impulse_responses(room, places[:6])
        ours = hybrid.compute_hybrid_responses(np.random.default_rng(2), short, places[:6])
        begin = pyroom.delay_samples() + int((hybrid.mixing_time_s(room) + 0.004) * SAMPLE_RATE_HZ)
        differences += [levels(ours, begin + later) - levels(full, begin + later) for later in (0, 240, 480)]
    assert np.mean(differences, axis=0) == pytest.approx([0, 0], abs=1)


def test_high_frequencies_decay_faster_where_air_and_carpet_absorb_them() -> None:
    room, _ = room_of(SIZES_M[0], 0.25)
    surfaces = ["plasterboard"] * 4 + ["carpet_thin", "plasterboard"]
    furnished = replace(room, absorption=np.stack([absorption_of(name) for name in surfaces]))
    late = hybrid.draw_late_responses(np.random.default_rng(0), furnished, 4, 9_000)
    spectra = [
        np.square(np.abs(np.fft.rfft(late[..., first : first + 1_024] * np.hanning(1_024)))).mean((0, 1, 2))
        for first in (1_000, 7_000)
    ]
    fall = 10 * np.log10(spectra[0] / spectra[1])
    frequency = np.fft.rfftfreq(1_024, 1 / SAMPLE_RATE_HZ)
    assert fall[frequency > 3_500].mean() > fall[(frequency > 700) & (frequency < 1_400)].mean() + 5


def array_of(microphones_m: NDArray[np.float64]) -> ShoeboxRoom:
    """A room around one array or several, shape (arrays, microphones, 3)."""
    absorption, _ = sabine_absorption(0.3, SIZES_M[0])
    return ShoeboxRoom(SIZES_M[0], (0, 0), absorption, 1, np.array([2.0, 2.5, 1.2]) + microphones_m)


@pytest.mark.parametrize("name", [*MICROPHONE_ARRAYS, "sphere"])
def test_every_common_array_and_dense_ones_have_late_reverberation(name: str) -> None:
    """At low frequencies, the microphones of small arrays hear nearly the same."""
    if name == "sphere":
        places = np.random.default_rng(0).normal(size=(32, 3))
        places *= 0.04 / np.linalg.norm(places, axis=1, keepdims=True)
    else:
        places = np.array([[*place, 0.0][:3] for place in MICROPHONE_ARRAYS[name]])
    late = hybrid.draw_late_responses(np.random.default_rng(0), array_of(places[None]), 2, 3_000)
    assert np.isfinite(late).all()
    power = np.square(late[..., 1_000:].astype(np.float64)).mean((0, 1, 3))
    assert power == pytest.approx(np.full(len(places), power.mean()), rel=0.3)


def test_single_microphones_close_together_hear_the_same_late_sound_and_distant_ones_do_not() -> None:
    room = array_of(np.array([[[0.0, 0, 0]], [[0.02, 0, 0]], [[1.5, 0, 0]]]))
    late = hybrid.draw_late_responses(np.random.default_rng(0), room, 8, 4_000)[:, :, 0, 1_000:].astype(np.float64)
    correlation = np.asarray(np.corrcoef(late.transpose(1, 0, 2).reshape(3, -1)))
    assert correlation[0, 1] > 0.5
    assert abs(correlation[0, 2]) < 0.1


def test_walls_that_absorb_everything_leave_the_direct_sound() -> None:
    room, places = room_of(SIZES_M[0], 0.3)
    dead = replace(room, absorption=1.0, max_order=hybrid.early_order(room))
    responses = hybrid.compute_hybrid_responses(np.random.default_rng(0), dead, places[:2]).astype(np.float64)
    direct = np.linalg.norm(places[:2, None, None] - room.microphones_m, axis=-1)
    assert np.square(responses).sum(axis=-1) * direct**2 == pytest.approx(np.ones_like(direct), abs=0.1)
    late = pyroom.delay_samples() + int(hybrid.mixing_time_s(room) * SAMPLE_RATE_HZ)
    assert np.square(responses[..., late:]).sum() < 1e-4 * np.square(responses).sum()


@pytest.mark.parametrize("compute", [pyroom.compute_impulse_responses, hybrid_with_seed])
def test_sources_radiate_by_their_pattern(compute: Callable[..., NDArray[np.float32]]) -> None:
    """The direct sound follows the pattern, and an omnidirectional source is one without a pattern."""
    room, places = room_of(SIZES_M[0], 0.2)
    places = places[:4]
    dead = replace(room, absorption=1.0, max_order=1)
    azimuths = np.array([0.0, 90.0, 200.0, 310.0])
    plain = compute(dead, places).astype(np.float64)
    same = compute(dead, places, directivities=np.stack([azimuths, np.ones(4)], axis=1))
    assert same == pytest.approx(plain, abs=1e-5)
    offsets = room.microphones_m - places[:, None, None]
    facing = np.stack([np.cos(np.deg2rad(azimuths)), np.sin(np.deg2rad(azimuths)), np.zeros(4)], axis=1)
    cosine = np.einsum("pamx,px->pam", offsets, facing) / np.linalg.norm(offsets, axis=-1)
    cardioid = compute(dead, places, directivities=np.stack([azimuths, np.full(4, 0.5)], axis=1)).astype(np.float64)
    ratio = np.sqrt(np.square(cardioid).sum(-1) / np.square(plain).sum(-1))
    assert ratio == pytest.approx(0.5 + 0.5 * cosine, abs=0.02)


def test_late_sound_has_the_mean_power_of_the_pattern() -> None:
    room, places = room_of(SIZES_M[0], 0.3)
    short = replace(room, max_order=hybrid.early_order(room), is_hybrid=True)
    plain, cardioid = (
        hybrid_with_seed(short, places, directivities=directivities)[..., 1_500:].astype(np.float64)
        for directivities in (None, np.stack([np.arange(12) * 30.0, np.full(12, 0.5)], axis=1))
    )
    assert np.square(cardioid).sum() / np.square(plain).sum() == pytest.approx(1 / 3, rel=0.02)
