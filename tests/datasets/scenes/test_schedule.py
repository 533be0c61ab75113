"""Who sounds when and where, over many drawn recordings."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.scenes import reverberation
from datasets.scenes.schedule import FRAME, Lengths, SoundEvent, Trajectory, label_rows, schedule_events
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import FRAMES, SAMPLE_RATE_HZ, SAMPLES

LENGTHS: Lengths = ((2_400, 50_000), (400_000,), (30_000, 130_000, 240_000))


def drawn(seed: int, overlap: int, **changes: object) -> tuple[SoundEvent, ...]:
    spec = SceneSpec.model_validate(changes)
    return schedule_events(
        np.random.default_rng(seed), spec, reverberation.draw_room(spec, 1 + seed % 9), LENGTHS, overlap
    )


def sounding(events: tuple[SoundEvent, ...]) -> np.ndarray:
    """How many events sound at each sample."""
    steps = np.zeros(SAMPLES + 1, np.int64)
    for event in events:
        steps[event.onset] += 1
        steps[event.onset + event.length] -= 1
    return steps.cumsum()[:-1]


@pytest.mark.parametrize("seed", range(4))
def test_even_crowded_recordings_have_a_silent_second(seed: int) -> None:
    spec = SceneSpec(max_overlap=4, event_s=(6.0, 8.0))
    events = schedule_events(np.random.default_rng(seed), spec, reverberation.draw_room(spec, 1), ((400_000,),), 4)
    silent = np.flatnonzero(sounding(events) == 0)
    gaps = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
    assert max(len(gap) for gap in gaps) >= SAMPLE_RATE_HZ


@pytest.mark.parametrize("overlap", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_there_is_sound_and_silence_and_never_too_much_at_once(seed: int, overlap: int) -> None:
    events = drawn(seed, overlap, max_overlap=3)
    at_once = sounding(events)
    assert at_once.max() == overlap
    silent = np.flatnonzero(at_once == 0)
    gaps = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
    assert max(len(gap) for gap in gaps) >= SAMPLE_RATE_HZ
    frames, counts = np.unique(label_rows(events)[:, 0], return_counts=True)
    assert counts.max() <= overlap
    assert frames.min() >= 0
    assert frames.max() < FRAMES


def test_events_keep_to_the_clips_and_to_the_ranges() -> None:
    spec = SceneSpec(event_s=(0.4, 3.0))
    for seed in range(20):
        room = reverberation.draw_room(spec, 1 + seed % 9)
        for event in drawn(seed, 2, event_s=(0.4, 3.0)):
            assert event.start + event.length <= LENGTHS[event.kind][event.clip]
            assert 0.1 * SAMPLE_RATE_HZ <= event.length <= 3.0 * SAMPLE_RATE_HZ
            assert event.onset + event.length <= SAMPLES
            path = event.trajectory
            assert 1.0 <= path.distance_m <= 3.0
            azimuths = path.azimuth_at(np.linspace(0, event.length / SAMPLE_RATE_HZ, 50))
            for azimuth in azimuths:
                turn, rise = np.deg2rad(azimuth), np.deg2rad(path.elevation_deg)
                aim = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)])
                place = room.array_m + path.distance_m * aim
                assert (place > 0.29).all()
                assert (place < np.array(room.size_m) - 0.29).all()


def test_directions_cover_the_circle_evenly_and_half_of_the_events_move() -> None:
    events = [event for seed in range(60) for event in drawn(seed, 2)]
    azimuth = np.array([event.trajectory.azimuth_deg for event in events])
    count, _ = np.histogram(azimuth, bins=8, range=(-180, 180))
    assert count == pytest.approx(len(events) / 8, abs=5 * np.sqrt(len(events) / 8))
    speed = np.array([event.trajectory.speed_deg_s for event in events])
    assert (speed != 0).mean() == pytest.approx(0.5, abs=0.06)
    assert (speed[speed != 0] > 0).mean() == pytest.approx(0.5, abs=0.08)
    assert np.abs(speed[speed != 0]).min() >= 5
    assert np.abs(speed).max() <= 40


def test_the_share_of_moving_events_is_the_spec_s() -> None:
    assert all(event.trajectory.speed_deg_s == 0 for event in drawn(1, 2, moving=0))
    assert all(event.trajectory.speed_deg_s != 0 for event in drawn(1, 2, moving=1))


def test_labels_of_a_still_event_worked_out_by_hand() -> None:
    event = SoundEvent(4, 0, 0, onset=3_700, length=6_000, track=1, trajectory=Trajectory(-90.4, 12.6, 1.5))
    # Middles of frames lie at 1200, 3600, 6000, 8400, 10800; the event sounds from 3700 to 9700.
    assert label_rows((event,)).tolist() == [[2, 4, 1, -90, 13], [3, 4, 1, -90, 13]]


def test_labels_of_a_moving_event_follow_its_speed_and_turn_over_behind() -> None:
    event = SoundEvent(
        0, 0, 0, onset=0, length=12_000, track=0, trajectory=Trajectory(178.0, -0.4, 1.0, speed_deg_s=20.0)
    )
    rows = label_rows((event,))
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert rows[:, 3].tolist() == [179, -179, -177, -175, -173]  # 178 + 20 (0.05 + frame / 10)
    assert (rows[:, 4] == 0).all()


def test_labels_are_sorted_by_frame_then_track() -> None:
    still = Trajectory(0.0, 0.0, 1.0)
    later, earlier = SoundEvent(1, 0, 0, FRAME, 3 * FRAME, 0, still), SoundEvent(2, 0, 0, 0, 3 * FRAME, 1, still)
    rows = label_rows((earlier, later))
    assert rows[:, :3].tolist() == [[0, 2, 1], [1, 1, 0], [1, 2, 1], [2, 1, 0], [2, 2, 1], [3, 1, 0]]


def test_the_same_randomness_gives_the_same_events() -> None:
    assert drawn(3, 2) == drawn(3, 2)
    assert drawn(3, 2) != drawn(4, 2)
