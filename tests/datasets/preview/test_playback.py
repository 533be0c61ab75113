"""Sound on the page: decays of known length, cardioids that face away, tones at their frequency."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from datasets.preview import playback


@pytest.mark.parametrize(("azimuth_deg", "left", "right"), [(90, 1, 0), (-90, 0, 1), (0, 0.5, 0.5), (30, 0.75, 0.25)])
def test_each_ear_hears_a_plane_wave_as_a_cardioid_does(azimuth_deg: float, left: float, right: float) -> None:
    angle = np.deg2rad(azimuth_deg)
    wave = np.random.default_rng(1).standard_normal(50)
    foa = np.outer([1, np.sin(angle), 0, np.cos(angle)], wave).astype(np.float32)
    np.testing.assert_allclose(playback.cardioid_stereo(foa), np.outer([left, right], wave), atol=1e-6)


def test_a_tone_stands_at_its_frequency() -> None:
    tone = np.sin(2 * np.pi * 2_000 * np.arange(2_560) / 16_000).astype(np.float32)
    found = playback.spectrogram_db(tone, 512, 32)
    assert found.shape == (257, (2_560 - 512) // 32 + 1)
    assert (found.argmax(axis=0) == 2_000 // (16_000 / 512)).all()
    assert (found.max(), found.min()) == (pytest.approx(0, abs=1e-9), -70)


def test_silence_stays_silent() -> None:
    silent = np.zeros((2, 1_000), np.float32)
    played, gain_db = playback.make_playable(silent)
    assert (not played.any(), gain_db) == (True, 0)
    assert (playback.spectrogram_db(silent[0], 512, 32) == playback.spectrogram_db(silent[0], 512, 32).max()).all()


def test_the_gain_is_said_in_decibels() -> None:
    played, gain_db = playback.make_playable(np.array([[0.1, -0.35]], np.float32))
    assert np.abs(played).max() == pytest.approx(0.7)
    assert gain_db == pytest.approx(6.02, abs=0.01)


def test_a_file_holds_its_channels_in_16_bits_and_no_more_than_full_scale() -> None:
    heard = np.array([[0.0, 0.5, -0.25, 2.0], [1.0, -1.0, 0.0, -3.0]], np.float32)
    found, rate = soundfile.read(io.BytesIO(playback.encode_wav(heard, 24_000)), dtype="int16")
    assert rate == 24_000
    assert found.T.tolist() == [[0, 16384, -8192, 32767], [32767, -32767, 0, -32767]]


def test_a_loop_fades_at_its_ends_and_nowhere_else() -> None:
    looped = playback.loop_sound(np.ones((1, 2_560), np.float32)).reshape(9, 2_560)
    assert (looped == looped[0]).all()
    assert (looped[0, 160:-160] == 1).all()
    assert looped[0, 0] < 1e-4
    np.testing.assert_array_equal(looped[0], looped[0, ::-1])
    assert (np.diff(looped[0, :160]) > 0).all()
