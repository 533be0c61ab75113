"""The batched renderer against pyroomacoustics, and both against physics: r / c and 1 / r."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from datasets.acoustics import arrays, propagation, pyroom
from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.rooms.spec import RoomSpec

MICROPHONES = RoomSpec().microphones_m()
WINDOW = propagation.propagation_window((6.0, 6.0), MICROPHONES)
MICROSECOND = 1e-6


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((*shape, WINDOW.length)).astype(np.float32)


def rendered(sources: NDArray[np.float32], positions_m: ArrayLike, mics: NDArray[np.float64] = MICROPHONES) -> Tensor:
    """Waves of a batch, shape (batch, arrays, microphones, 2560)."""
    places = torch.from_numpy(np.asarray(positions_m))
    return propagation.FreeField((6.0, 6.0), mics).propagate(torch.from_numpy(sources), places)


def pulse(centre: int) -> NDArray[np.float64]:
    """A Gaussian packet around 2.5 kHz, all of it between 1 and 4 kHz; its centre in samples."""
    time = (np.arange(WINDOW.length) - centre) / SAMPLE_RATE_HZ
    return np.exp(-((time / 0.7e-3) ** 2)) * np.cos(2 * np.pi * 2500 * time)


def decibels(signal: NDArray[np.float64], other: NDArray[np.float64], top_hz: float) -> float:
    """Energy of the difference of two signals below that of the second, Hann-windowed, up to a frequency."""
    window = np.hanning(MIXTURE_SAMPLES)
    bins = int(top_hz / SAMPLE_RATE_HZ * MIXTURE_SAMPLES)
    difference, reference_ = (np.abs(np.fft.rfft(window * wave)[..., :bins]) ** 2 for wave in (signal - other, other))
    return float((10 * np.log10(difference.sum(-1) / reference_.sum(-1))).max())


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_random_scenes_equal_pyroomacoustics_to_60_db_up_to_7_khz(sources: int) -> None:
    places = arrays.draw_positions(
        np.random.default_rng(sources),
        4,
        sources,
        size_m=(6.0, 6.0),
        raster_m=0.05,
        min_distance_m=2.0,
        microphones_m=MICROPHONES.reshape(-1, 2),
        clearance_m=0.3,
    )
    played = noise(4, sources, seed=sources)
    ours = rendered(played, places).double().numpy()
    for wave, sound, place in zip(ours, played, places, strict=True):
        theirs = pyroom.simulate_free_field(sound, place, MICROPHONES, WINDOW.lead)
        assert decibels(wave, theirs, 7_000) < -60


def test_the_longest_path_and_the_shortest_equal_pyroomacoustics_too() -> None:
    for place in ([(5.975, 5.975)], [(0.025, 5.975)], [(0.225, 0.225)]):
        sound = noise(1, 1)
        theirs = pyroom.simulate_free_field(sound[0], np.array(place), MICROPHONES, WINDOW.lead)
        assert decibels(rendered(sound, [place]).double().numpy()[0], theirs, 7_000) < -60


def test_sound_arrives_after_r_over_c_and_fades_as_1_over_r() -> None:
    centre = WINDOW.lead + 700
    packet = pulse(centre)
    places = np.array([[(1.025, 2.475)], [(4.975, 0.525)], [(3.025, 5.925)]])
    heard = (
        rendered(np.tile(packet.astype(np.float32), (3, 1, 1)), places).double().numpy().reshape(3, 8, MIXTURE_SAMPLES)
    )
    distances = np.linalg.norm(places - MICROPHONES.reshape(1, 8, 2), axis=-1)
    energy = (heard**2).sum(-1)
    arrival_s = (heard**2 @ np.arange(MIXTURE_SAMPLES) / energy - (centre - WINDOW.lead)) / SAMPLE_RATE_HZ
    assert np.abs(arrival_s - distances / SPEED_OF_SOUND_M_S).max() < MICROSECOND
    gain_db = 10 * np.log10(energy / (packet**2).sum())
    assert gain_db == pytest.approx(
        -20 * np.log10(distances), abs=0.02
    )  # decibels: the simulator's table costs as much


def test_noise_is_late_by_the_path_difference_between_two_microphones() -> None:
    place = np.array([[(4.025, 1.975)]])
    heard = rendered(noise(1, 1), place).double().numpy().reshape(8, MIXTURE_SAMPLES)
    paths = np.linalg.norm(place[0] - MICROPHONES.reshape(8, 2), axis=-1)
    for first, second in ((0, 3), (4, 7), (0, 4)):
        # Cross-correlation, interpolated twenty times; half of one of its steps is 1.6 µs.
        spectra = np.fft.rfft(heard[[first, second]], 2 * MIXTURE_SAMPLES)
        correlation = np.fft.irfft(spectra[0] * spectra[1].conj(), 40 * MIXTURE_SAMPLES)
        lag = int(np.argmax(correlation))
        lag_s = (lag - 40 * MIXTURE_SAMPLES * (lag > 20 * MIXTURE_SAMPLES)) / 20 / SAMPLE_RATE_HZ
        assert lag_s == pytest.approx((paths[first] - paths[second]) / SPEED_OF_SOUND_M_S, abs=3 * MICROSECOND)


def test_the_window_holds_the_longest_path() -> None:
    farthest = max(math.dist(mic, corner) for mic in MICROPHONES.reshape(-1, 2) for corner in ((0, 6), (6, 6)))
    assert WINDOW.lead >= farthest / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
    assert WINDOW.length >= WINDOW.lead + MIXTURE_SAMPLES


@pytest.mark.parametrize("place_m", [(3.0, 3.0), (5.975, 5.975), (0.025, 5.975)])
def test_nothing_wraps_around_from_the_end_of_the_window(place_m: tuple[float, float]) -> None:
    sound = noise(1, 1)
    sound[..., : WINDOW.lead + MIXTURE_SAMPLES] = 0
    assert float(rendered(sound, [[place_m]]).abs().max()) < 1e-5  # played after the 160 ms, so never heard in them


def test_sounds_add_up() -> None:
    places, sound = np.array([[(1.0, 2.0), (4.5, 3.5)]]), noise(1, 2)
    both = rendered(sound, places)
    alone = [rendered(sound[:, [slot]], places[:, [slot]]) for slot in range(2)]
    assert float((both - alone[0] - alone[1]).abs().max()) < 1e-5 * float(both.abs().max())


def test_a_sample_sounds_the_same_in_company() -> None:
    places, sound = np.random.default_rng(1).uniform(1, 5, (5, 2, 2)), noise(5, 2)
    together = rendered(sound, places)
    apart = torch.cat([rendered(sound[[row]], places[[row]]) for row in range(5)])
    assert float((together - apart).abs().max()) < 1e-5 * float(together.abs().max())


@pytest.mark.parametrize(
    "silent_m", [(3.0, 3.0), (2.0, -50.0), tuple(MICROPHONES[0, 0])], ids=["room", "far", "microphone"]
)
def test_a_silent_slot_adds_nothing_wherever_it_stands(silent_m: tuple[float, float]) -> None:
    sound = noise(1, 2)
    sound[:, 1] = 0
    beside = rendered(sound, [[(1.0, 2.0), silent_m]])
    assert float((beside - rendered(sound[:, :1], [[(1.0, 2.0)]])).abs().max()) < 1e-6


def test_arrays_of_other_shapes_are_rendered_in_their_order() -> None:
    bars = [((1.0, 0.0), 0.0), ((1.0, 5.0), 0.0), ((5.0, 1.0), 90.0)]
    mics = np.stack([arrays.linear_array(centre, direction, (-1.0, 0.0, 1.0)) for centre, direction in bars])
    heard = rendered(noise(1, 1), [[(3.0, 3.0)]], mics)
    assert heard.shape == (1, 3, 3, MIXTURE_SAMPLES)
    level = heard.double().square().mean(-1).sqrt()[0].numpy()
    distance = np.linalg.norm(mics - [3.0, 3.0], axis=-1)
    assert level * distance == pytest.approx(level[0, 0] * distance[0, 0], rel=0.05)  # the noise itself varies by that


def test_microphones_at_heights_equal_pyroomacoustics() -> None:
    model = arrays.MICROPHONE_ARRAYS["tetrahedron"]
    mics = np.stack([arrays.place_array((1.0, 1.0), 20.0, model), arrays.place_array((5.0, 2.0), 0.0, model)])
    mics[..., 2] += 0.4
    places = np.array([[(3.0, 3.0), (1.0, 5.0)]])
    field = propagation.FreeField((6.0, 6.0), mics)
    played = np.random.default_rng(0).standard_normal((1, 2, field.window.length)).astype(np.float32)
    ours = field.propagate(torch.from_numpy(played), torch.from_numpy(places)).double().numpy()[0]
    theirs = pyroom.simulate_free_field(played[0], places[0], mics, field.window.lead)
    assert decibels(ours, theirs, 7000) < -60
    flat = propagation.FreeField((6.0, 6.0), mics[..., :2])
    assert not np.allclose(flat.propagate(torch.from_numpy(played), torch.from_numpy(places))[0], ours, atol=0.01)


def test_a_copy_on_a_device_leaves_the_original_and_renders_the_same() -> None:
    spec = RoomSpec()
    field = propagation.FreeField(spec.size_m, spec.microphones_m())
    sources = torch.randn(2, 1, field.window.length, generator=torch.Generator().manual_seed(0))
    positions = torch.from_numpy(spec.draw_positions(np.random.default_rng(0), 2, 1))
    assert torch.equal(field.to("cpu").propagate(sources, positions), field.propagate(sources, positions))
    assert field.to("meta").propagate(sources.to("meta"), positions.to("meta")).device.type == "meta"
    assert field.propagate(sources, positions).device.type == "cpu"
