"""Features against explicit loops in double precision, and against what plane waves must give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray

from trainables.doanet import features
from trainables.doanet.config import Format

SAMPLES = 480 * 12 + 100


def noise(seed: int = 0, channels: int = 4, samples: int = SAMPLES) -> NDArray[np.float64]:
    loudness = np.array([1.0, 0.3, 0.1, 0.03])[:channels, None]
    return np.random.default_rng(seed).standard_normal((channels, samples)) * 0.1 * loudness


def spectra_by_loops(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    """One channel: (frames, 513)."""
    window = np.zeros(1024)
    window[32:992] = scipy.signal.get_window("hann", 960, fftbins=True)
    padded = np.pad(wave, 512)
    return np.stack([np.fft.rfft(window * padded[480 * t : 480 * t + 1024]) for t in range(len(wave) // 480)])


def mel_by_loops() -> NDArray[np.float64]:
    """Every triangle drawn by interpolation between its three corners: (513, 64)."""
    top = 15 + np.log(12.0) / (np.log(6.4) / 27)
    mels = [top * n / 65 for n in range(66)]
    hz = [m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in mels]
    bins = [24_000 * k / 1024 for k in range(513)]
    return np.array(
        [
            [
                np.interp(f, [low, mid, high], [0, 2 / (high - low), 0])
                for low, mid, high in zip(hz[:-2], hz[1:-1], hz[2:], strict=True)
            ]
            for f in bins
        ]
    )


def log_mel_by_loops(spectrum: NDArray[np.complex128], top_db: float) -> NDArray[np.float64]:
    level = 10 * np.log10(np.maximum(np.abs(spectrum) ** 2 @ mel_by_loops(), 1e-10))
    return np.maximum(level, level.max() - top_db)


def test_the_scale_is_the_one_published_for_40_bands() -> None:
    found = features.mel_frequencies(40, 11_025.0)
    published = {0: 0.0, 1: 85.317, 11: 938.49, 12: 1024.856, 20: 2071.84, 30: 4994.285, 38: 10_096.408, 39: 11_025.0}
    for band, hz in published.items():
        assert found[band] == pytest.approx(hz, abs=6e-4)


def test_a_mel_band_has_the_area_1() -> None:
    matrix = features.mel_matrix()
    assert matrix.shape == (513, 64)
    np.testing.assert_allclose(matrix, mel_by_loops(), atol=1e-12)
    np.testing.assert_allclose(matrix[:, 40:].sum(0) * 24_000 / 1024, 1, atol=0.02)


def test_log_mel_follows_the_loops() -> None:
    wave = noise()
    found = features.extract_features(torch.as_tensor(wave)[None], "foa")[0, :4].numpy()
    for channel in range(4):
        np.testing.assert_allclose(found[channel], log_mel_by_loops(spectra_by_loops(wave[channel]), 80), atol=1e-8)


def test_a_minute_has_3000_frames() -> None:
    assert features.extract_features(torch.zeros(1, 4, 60 * 24_000), "foa").shape == (1, 7, 3000, 64)


def test_the_floor_is_80_db_below_the_channels_own_maximum() -> None:
    wave = noise() * 100  # so loud that 80 dB below is still above the least power
    wave[:, SAMPLES // 2 :] = 0
    both = torch.as_tensor(np.stack([wave, wave[::-1].copy()]))
    level = features.extract_features(both, "mic")[:, :4]
    span = level.amax((2, 3)) - level.amin((2, 3))
    torch.testing.assert_close(span, torch.full_like(span, 80.0))
    assert features.extract_features(both, "mic", top_db=None)[:, :4].amin() == pytest.approx(-100)
    assert features.extract_features(both, "mic", top_db=20.0)[0, 0].amin() == pytest.approx(
        float(level[0, 0].amax()) - 20
    )


def test_intensity_follows_the_loops() -> None:
    wave = noise(1)
    omni, *dipoles = (spectra_by_loops(channel) for channel in wave)
    energy = np.abs(omni) ** 2 + sum(np.abs(dipole) ** 2 for dipole in dipoles) / 3
    found = features.extract_features(torch.as_tensor(wave)[None], "foa")[0, 4:].numpy()
    for axis, dipole in enumerate(dipoles):
        expected = (np.real(np.conj(omni) * dipole) / (1e-8 + energy)) @ mel_by_loops()
        np.testing.assert_allclose(found[axis], expected, atol=1e-12)


def test_a_plane_wave_points_home() -> None:
    azimuth, elevation = np.deg2rad([70.0, -20.0])
    direction = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    wave = noise(2, channels=1) * np.array([1.0, *direction])[:, None]
    matrix = features.mel_matrix()
    found = features.extract_features(torch.as_tensor(wave)[None], "foa")[0, 4:].numpy() / matrix.sum(0)
    np.testing.assert_allclose(found, 0.75 * np.broadcast_to(direction[:, None, None], found.shape), atol=1e-4)


def test_gcc_phat_follows_the_loops() -> None:
    wave = noise(3)
    spectra = [spectra_by_loops(channel) for channel in wave]
    found = features.extract_features(torch.as_tensor(wave)[None], "mic")[0, 4:].numpy()
    assert found.shape == (6, 12, 64)
    for row, (m, n) in enumerate(itertools.combinations(range(4), 2)):
        phases = np.exp(1j * np.angle(np.conj(spectra[m]) * spectra[n]))
        correlation = np.fft.irfft(phases)
        expected = np.stack([correlation[:, lag % 1024] for lag in range(-32, 32)], axis=1)
        np.testing.assert_allclose(found[row], expected, atol=1e-10)


def test_the_later_microphone_has_a_positive_lag() -> None:
    source = np.random.default_rng(4).standard_normal(SAMPLES + 40)
    delays = [0, 4, 1, 9]
    wave = np.stack([source[20 - delay : 20 - delay + SAMPLES] for delay in delays])
    found = features.extract_features(torch.as_tensor(wave)[None], "mic")[0, 4:, 2:-2]
    lags = found.argmax(-1) - 32
    for row, (m, n) in enumerate(itertools.combinations(range(4), 2)):
        assert (lags[row] == delays[n] - delays[m]).all()


def test_silence_is_finite() -> None:
    fmt: Format
    for fmt, spatial in (("foa", 0.0), ("mic", 1.0)):
        found = features.extract_features(torch.zeros(1, 4, 4800), fmt)[0]
        assert (found[:4] == -100).all()
        assert found[4:].amax() == pytest.approx(spatial)


def test_a_silent_microphone_correlates_at_lag_0_with_all_others() -> None:
    wave = noise(6)
    wave[1] = 0
    found = features.extract_features(torch.as_tensor(wave)[None], "mic")[0, 4:]
    heard = features.extract_features(torch.as_tensor(noise(6))[None], "mic")[0, 4:]
    lag_0 = torch.zeros(64, dtype=found.dtype)
    lag_0[32] = 1
    for row, pair in enumerate(itertools.combinations(range(4), 2)):
        expected = lag_0.expand(12, 64) if 1 in pair else heard[row]
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("fmt", ["foa", "mic"])
@pytest.mark.parametrize("frames", [1, 5, 24])
def test_how_many_frames_are_worked_on_at_once_changes_nothing(
    fmt: Format, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves = torch.as_tensor(np.stack([noise(7), noise(8)]))
    expected = features.extract_features(waves, fmt)
    monkeypatch.setattr(features, "_CACHED_FRAMES", frames)
    torch.testing.assert_close(features.extract_features(waves, fmt), expected, atol=1e-10, rtol=0)


def test_single_precision_is_enough() -> None:
    wave = torch.as_tensor(noise(5))[None]
    for fmt in ("foa", "mic"):
        exact, single = features.extract_features(wave, fmt), features.extract_features(wave.float(), fmt)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), exact, atol=2e-3, rtol=0)


def test_the_scaler_pools_recordings_of_unequal_length() -> None:
    generator = np.random.default_rng(6)
    recordings = [generator.normal(3, 2, (7, frames, 5)).astype(np.float32) for frames in (4, 31, 17)]
    for recording in recordings:
        recording[3, :, 2] = 1.5
    scaler = features.fit_scaler(torch.as_tensor(recording) for recording in recordings)
    together = np.concatenate(recordings, axis=1).astype(np.float64)
    std = together.std(1)
    std[3, 2] = 1
    np.testing.assert_allclose(scaler.mean.numpy(), together.mean(1), rtol=1e-6)
    np.testing.assert_allclose(scaler.std.numpy(), std, rtol=1e-6)
    scaled = scaler.scale_features(torch.as_tensor(recordings[1])[None])
    expected = (recordings[1] - together.mean(1)[:, None]) / std[:, None]
    np.testing.assert_allclose(scaled[0].numpy(), expected, atol=1e-5)


def test_a_scaler_needs_a_recording() -> None:
    with pytest.raises(ValueError, match="at least one recording"):
        features.fit_scaler([])
