"""Profiles of training sound: quantities of signals that are known, and recordings that are unlike the training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from trainables.prediction import Recording
from trainables.sound_profile import BAND, COHERENCE, FLATNESS, LEVEL, SoundExcerpts, SoundProfile, measure_windows
from trainables.sound_warnings import describe_departures

RATE_HZ = 16_000
WINDOW = 2560


def play_music(windows: int, seed: int) -> NDArray[np.float32]:
    """Return notes with overtones and a little breath, by one source per window at four microphones, shape (windows, 2560, 4)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(WINDOW) / RATE_HZ
    waves = []
    for _ in range(windows):
        pitch_hz, level_db, fall_hz = rng.uniform(110, 440), rng.uniform(-45, -15), rng.uniform(1500, 3000)
        partials = pitch_hz * np.arange(1, int(7900 / pitch_hz))
        weight = np.exp(-partials / fall_hz) * rng.uniform(0.3, 1, len(partials))
        phase = rng.uniform(0, 2 * np.pi, len(partials))
        delay_s = np.arange(4)[:, None, None] * rng.uniform(-1e-4, 1e-4)
        tones = np.sin(2 * np.pi * partials[:, None] * (time_s - delay_s) + phase[:, None])
        wave = (weight[:, None] * tones).sum(1).T
        waves.append(wave / wave.std() * 10 ** (level_db / 20))
    return np.stack(waves).astype(np.float32)


@pytest.fixture(scope="module")
def profile() -> SoundProfile:
    return SoundProfile.from_excerpts(SoundExcerpts(RATE_HZ, play_music(150, 0)))


@pytest.fixture(scope="module")
def matching() -> NDArray[np.float32]:
    return play_music(40, 1).reshape(-1, 4)


def warnings(profile: SoundProfile, sound: NDArray[np.floating]) -> list[str]:
    """Return the first word of each warning about a recording."""
    return [line.split()[0].rstrip(":,") for line in describe_departures(profile, recorded(sound))]


def recorded(sound: NDArray[np.floating]) -> Recording:
    """Return sound as a recording."""
    stored = sound.astype(np.float32)
    return Recording("toy", len(stored), lambda first, samples: stored[first : first + samples])


def test_a_sine_has_its_level_and_its_octave() -> None:
    sine = np.sin(2 * np.pi * 3000 * np.arange(10 * WINDOW) / RATE_HZ).reshape(10, WINDOW, 1)
    measured = measure_windows(sine, RATE_HZ)
    assert measured[LEVEL] == pytest.approx(-3.01, abs=0.01)
    assert measured[f"{BAND}2000"] == pytest.approx(0, abs=0.01)
    assert measured[f"{BAND}4000"].max() < -60
    assert measured[FLATNESS].max() < -20
    assert COHERENCE not in measured


def test_white_noise_is_flat_and_incoherent_and_a_copy_is_coherent() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (50, WINDOW, 2))
    measured = measure_windows(noise, RATE_HZ)
    assert measured[LEVEL] == pytest.approx(-20, abs=0.3)
    assert measured[f"{BAND}4000"] == pytest.approx(10 * np.log10(0.5), abs=0.5)
    assert measured[FLATNESS].mean() > -0.6  # 0 for an average over many frames
    assert measured[COHERENCE].mean() < 0.25
    assert measure_windows(noise[:, :, [0, 0]], RATE_HZ)[COHERENCE] == pytest.approx(1)


def test_pauses_are_left_out() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (20, WINDOW, 1))
    noise[::2] *= 1e-3
    assert len(measure_windows(noise, RATE_HZ)[LEVEL]) == 10


def test_a_matching_recording_gives_no_warning(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    assert warnings(profile, matching) == []


def test_pauses_give_no_warning(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    paused = np.concatenate([matching, 1e-4 * matching, 1e-4 * matching])
    assert warnings(profile, paused) == []


def test_a_quiet_and_a_loud_recording(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    assert warnings(profile, 1e-3 * matching) == ["quiet"]
    assert warnings(profile, 30 * matching) == ["loud"]
    assert warnings(profile, 0 * matching) == ["quiet"]


def test_a_low_passed_recording(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    sections = signal.butter(8, 2000, fs=RATE_HZ, output="sos")
    low_passed = signal.sosfilt(sections, matching, axis=0)
    stored = np.round(low_passed * 32767) / 32767
    for sound in (low_passed, stored):
        [line] = describe_departures(profile, recorded(sound))
        assert line.startswith("band-limited: the octave above 2000 Hz has")


def test_a_recording_drenched_in_white_noise(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, matching.std(), matching.shape)
    found = warnings(profile, matching + noise)
    assert {"noisy", "reverberation"} <= set(found)
    in_all_channels = warnings(profile, matching + noise[:, :1])
    assert "noisy" in in_all_channels
    assert "reverberation" not in in_all_channels


@pytest.mark.parametrize("reverberation_s", [0.3, 1.0, 2.0])
def test_a_reverberant_recording(profile: SoundProfile, matching: NDArray[np.float32], reverberation_s: float) -> None:
    samples = round(RATE_HZ * reverberation_s)
    decay = 10 ** (-3 * np.arange(samples) / samples)[:, None]
    tail = np.random.default_rng(0).normal(0, 1, (samples, 4)) * decay
    response = np.concatenate([np.ones((1, 4)), tail / np.sqrt(np.square(tail).sum(0))])
    reverberant = signal.oaconvolve(matching, response, axes=0)[: len(matching)]
    assert "reverberation" in warnings(profile, 0.5 * reverberant)


def test_a_profile_survives_a_file(profile: SoundProfile) -> None:
    assert SoundProfile.from_values(json.loads(json.dumps(profile.to_values()))) == profile
    with pytest.raises(ValueError, match="three quantiles"):
        SoundProfile.from_values({**profile.to_values(), "quantiles": {LEVEL: [0, 1]}})


def test_few_windows_are_not_compared(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    assert warnings(profile, 1e-3 * matching[: 4 * WINDOW]) == []
    assert warnings(profile, 1e-3 * matching[: WINDOW - 1]) == []


def test_only_some_windows_of_a_long_recording_are_read(profile: SoundProfile, matching: NDArray[np.float32]) -> None:
    asked = []

    def read(first: int, samples: int) -> NDArray[np.float32]:
        asked.append((first, samples))
        return matching[first % (len(matching) - samples) :][:samples]

    profile.find_departures(Recording("a day", 86_400 * RATE_HZ, read))
    assert len(asked) <= 200
    assert {samples for _, samples in asked} == {WINDOW}
    assert asked[-1][0] == 86_400 * RATE_HZ - WINDOW
