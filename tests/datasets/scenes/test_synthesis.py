"""Whole recordings: what is heard agrees with what the labels say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.acoustics.directions import unit_vectors
from datasets.scenes import array_response, reverberation, synthesis
from datasets.scenes.events import EventSounds
from datasets.scenes.reverberation import SceneRoom
from datasets.scenes.schedule import FRAME, SoundEvent, Trajectory, label_rows
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import FRAMES, SAMPLE_RATE_HZ, SAMPLES
from datasets.tau2020.spec import GROUPS

SIZE = (6.0, 5.0, 3.0)
CENTRE = (3.0, 2.5, 1.5)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sounds() -> EventSounds:
    """Two classes of plain noise, so that a labelled frame always sounds."""

    def clip(group: int, kind: int, number: int) -> NDArray[np.float32]:
        return (0.1 * rng(100 * group + 10 * kind + number).standard_normal(5 * SAMPLE_RATE_HZ)).astype(np.float32)

    return EventSounds(
        ("hiss", "rush"),
        {
            group: tuple(tuple(clip(mark, kind, number) for number in range(2)) for kind in range(2))
            for mark, group in enumerate(GROUPS)
        },
    )


def event(azimuth: float, elevation: float, speed: float = 0.0, seconds: float = 2.0) -> SoundEvent:
    return SoundEvent(0, 0, 0, 0, round(seconds * SAMPLE_RATE_HZ), 0, Trajectory(azimuth, elevation, 1.4, speed))


def played(what: SoundEvent, rt60_s: float) -> NDArray[np.float64]:
    wave = (0.1 * rng(7).standard_normal(what.length)).astype(np.float32)
    return synthesis.render_recording(rng(1), SceneRoom(SIZE, CENTRE, rt60_s), what, wave).astype(np.float64)


def intensity(foa: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the mean active intensity Re(conj(W) (X, Y, Z)) between 100 Hz and 8 kHz, a unit vector."""
    spectra = np.fft.rfft(foa * np.hanning(foa.shape[1]))
    frequency = np.fft.rfftfreq(foa.shape[1], 1 / SAMPLE_RATE_HZ)
    band = (frequency > 100) & (frequency < 8_000)
    flow = (spectra[0].conj() * spectra[[3, 1, 2]]).real[:, band].sum(axis=1)
    return np.asarray(flow / np.linalg.norm(flow))


def angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.rad2deg(np.arccos(np.clip(first @ second, -1, 1))))


def labelled(row: NDArray[np.int64]) -> NDArray[np.float64]:
    return unit_vectors(np.array(float(row[3])), np.array(float(row[4])))


def frame_of(wave: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    """What a frame's sound is when it arrives over 1.4 m."""
    begin = frame * FRAME + round(1.4 / 343 * SAMPLE_RATE_HZ)
    return wave[:, begin : begin + FRAME]


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (-37, 20), (151, -30), (-100, -8)])
def test_intensity_points_to_the_label(azimuth: float, elevation: float) -> None:
    what = event(azimuth, elevation)
    row = label_rows((what,))[10]
    assert angle_deg(intensity(frame_of(played(what, 0.0)[:4], 10)), labelled(row)) < 2
    # Echoes pull a single frame to and fro; the mean over a second is what stays.
    echoing = played(what, 0.3)[:4]
    mean = sum(intensity(frame_of(echoing, frame)) for frame in range(5, 15))
    assert angle_deg(np.asarray(mean / np.linalg.norm(mean)), labelled(row)) < 10


def test_intensity_follows_a_moving_event() -> None:
    what = event(160.0, 15.0, speed=30.0)
    foa, rows = played(what, 0.0)[:4], label_rows((what,))
    assert len(rows) == 20
    for row in rows[1:-1]:
        assert angle_deg(intensity(frame_of(foa, int(row[0]))), labelled(row)) < 2


@pytest.mark.parametrize(("azimuth", "elevation"), [(10, 0), (90, 20), (-120, -25)])
def test_capsules_hear_it_in_the_order_of_the_label(azimuth: float, elevation: float) -> None:
    """Delays below 1 kHz are 1.5 R / c times the cosine between capsule and direction (Kuhn, 1977)."""
    what = event(azimuth, elevation)
    mic = played(what, 0.0)[4:]
    spectra = np.fft.rfft(mic)
    frequency = np.fft.rfftfreq(mic.shape[1], 1 / SAMPLE_RATE_HZ)
    low = (frequency > 100) & (frequency < 400)
    cosine = array_response.capsule_positions() @ labelled(label_rows((what,))[0])
    for first in range(4):
        for second in range(first):
            cross = (spectra[first] * spectra[second].conj())[low]
            # The slope of the phase, weighted with the power: one delay for all of the band.
            delay = -(np.angle(cross) * frequency[low] * np.abs(cross)).sum() / (
                2 * np.pi * (np.square(frequency[low]) * np.abs(cross)).sum()
            )
            expected = -1.5 * 0.042 / 343 * (cosine[first] - cosine[second])
            assert delay == pytest.approx(expected, abs=12e-6)  # of up to 300


@pytest.fixture(scope="module")
def spec() -> SceneSpec:
    return SceneSpec(
        folds={1: 2, 3: 2}, rooms=2, overlap_shares=(0.5, 0.5), rt60_s=(0.0, 0.0), snr_db=(12.0, 12.0), seed=4
    )


@pytest.fixture(scope="module")
def made(spec: SceneSpec, sounds: EventSounds) -> synthesis.Made:
    """Number 3: two events at once, no echo."""
    return synthesis.make_recording(spec, sounds, 3)


def counts(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(rows[:, 0], minlength=FRAMES)


def test_a_recording_has_the_form_of_the_data_set(made: synthesis.Made) -> None:
    name, foa, mic, rows = made
    assert name.file_stem == "fold3_room1_mix002_ov2"
    assert foa.shape == mic.shape == (4, SAMPLES)
    assert foa.dtype == mic.dtype == np.float32
    assert max(np.abs(foa).max(), np.abs(mic).max()) == pytest.approx(synthesis.PEAK)
    assert rows.dtype == np.int64
    assert rows.shape[1] == 5
    assert counts(rows).max() == 2
    assert set(rows[:, 1]) <= {0, 1}
    assert np.abs(rows[:, 3]).max() <= 180
    assert np.abs(rows[:, 4]).max() <= 35


def test_noise_lies_the_drawn_ratio_below_the_events(made: synthesis.Made) -> None:
    _, foa, _, rows = made
    power = np.square(foa[0].astype(np.float64)).reshape(FRAMES, FRAME).mean(axis=1)
    active = counts(rows) > 0
    # Frames beside an event hold a part of it.
    quiet = ~(active | np.roll(active, 1) | np.roll(active, -1))
    inside = active & np.roll(active, 1) & np.roll(active, -1)
    assert quiet.sum() >= 8
    noise = power[quiet].mean()
    assert 10 * np.log10((power[inside].mean() - noise) / noise) == pytest.approx(12, abs=1)


def test_every_labelled_frame_sounds_and_no_other(made: synthesis.Made) -> None:
    _, foa, _, rows = made
    # Above 5 kHz the noise of the room, which falls as 1/f, is far below the events.
    high = np.square(np.abs(np.fft.rfft(foa[0].reshape(FRAMES, FRAME).astype(np.float64))))[:, 500:].mean(axis=1)
    active = counts(rows) > 0
    edge = np.zeros(FRAMES, np.bool_)
    edge[1:] |= active[1:] != active[:-1]
    edge[:-1] |= active[1:] != active[:-1]
    # The farthest event is 10 dB below the nearest; 7 dB are left.
    assert high[active & ~edge].min() > 5 * high[~active & ~edge].max()


def test_lone_events_are_where_the_labels_say(made: synthesis.Made) -> None:
    _, foa, _, rows = made
    lone = [row for row in rows if counts(rows)[row[0]] == 1 and np.any(rows[:, 0] == row[0] + 1)]
    errors = [angle_deg(intensity(frame_of(foa.astype(np.float64), int(row[0]))), labelled(row)) for row in lone[::7]]
    assert len(errors) > 10
    assert np.median(errors) < 3  # the ambient noise is diffuse and only 12 dB down


def test_the_same_number_gives_the_same_bytes_whatever_else_is_made(spec: SceneSpec, sounds: EventSounds) -> None:
    once, again = (synthesis.make_recording(spec, sounds, 0) for _ in range(2))
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(once[1:], again[1:], strict=True))


def test_another_number_gives_another_scene(made: synthesis.Made, spec: SceneSpec, sounds: EventSounds) -> None:
    other = synthesis.make_recording(spec, sounds, 2)
    assert other[3].tobytes() != made[3].tobytes()
    assert counts(other[3]).max() == 1


def test_all_names_of_the_real_size() -> None:
    listed = synthesis.recordings_of(SceneSpec())
    assert [number for number, _ in listed] == list(range(600))
    assert len({name.file_stem for _, name in listed}) == 600
    for fold in range(1, 7):
        overlaps = [name.overlap for _, name in listed if name.fold == fold]
        assert (overlaps.count(1), overlaps.count(2)) == (50, 50)
    first = {(name.fold, name.room, name.mix) for _, name in listed}
    assert len(first) == 600


@pytest.mark.parametrize(("rooms_", "folds"), [(3, (1, 2, 3)), (9, (1, 2, 3, 6)), (4, (1, 4)), (9, (2, 3, 4))])
def test_no_room_serves_two_groups(rooms_: int, folds: tuple[int, ...]) -> None:
    spec = SceneSpec(rooms=rooms_, folds=dict.fromkeys(folds, 20))
    of_group = synthesis.rooms_of(spec)
    assert sorted(room for own in of_group.values() for room in own) == list(range(1, rooms_ + 1))
    heard: dict[int, set[str]] = {}
    for _, name in synthesis.recordings_of(spec):
        group = next(group for group, own in GROUPS.items() if name.fold in own)
        heard.setdefault(name.room, set()).add(group)
    assert set(heard) == set(range(1, rooms_ + 1))
    assert all(len(groups) == 1 for groups in heard.values())


def test_fewer_rooms_than_groups_are_shared() -> None:
    assert synthesis.rooms_of(SceneSpec(rooms=1)) == {"train": (1,), "validate": (1,), "test": (1,)}


def test_overlaps_come_in_the_given_shares() -> None:
    listed = synthesis.recordings_of(SceneSpec(folds={1: 10}, max_overlap=3, overlap_shares=(0.2, 0, 0.8)))
    assert [name.overlap for _, name in listed] == [1, 1, 3, 3, 3, 3, 3, 3, 3, 3]


def test_an_event_s_tail_is_not_cut_off_with_it() -> None:
    heard = played(event(30, 0, seconds=0.5), 0.6)
    after = heard[0, round(0.6 * SAMPLE_RATE_HZ) : round(0.7 * SAMPLE_RATE_HZ)]
    assert reverberation.late_response(rng(0), SceneRoom(SIZE, CENTRE, 0.6)).shape[1] == round(0.6 * SAMPLE_RATE_HZ)
    assert np.square(after).mean() > 1e-4 * np.square(heard[0, : SAMPLE_RATE_HZ // 2]).mean()
