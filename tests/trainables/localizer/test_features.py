"""Spectra against numpy and scipy; gains in decibels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import get_window
from torch import Tensor

from trainables.localizer import features


def waves(batch: int = 3, arrays: int = 2, mics: int = 4) -> Tensor:
    return torch.randn(batch, arrays, mics, 2560, generator=torch.Generator().manual_seed(0))


def decibels(ratio: Tensor) -> Tensor:
    return 20 * ratio.abs().log10()


@pytest.mark.parametrize(("arrays", "mics"), [(2, 4), (1, 2), (3, 5)])
def test_nine_frames_of_256_bins_and_two_channels_a_microphone(arrays: int, mics: int) -> None:
    assert features.stft_features(waves(3, arrays, mics)).shape == (3, arrays, 2 * mics, 9, 256)


@pytest.mark.parametrize("frame", [0, 4, 8])
def test_a_frame_is_the_fourier_transform_of_a_hamming_windowed_stretch(frame: int) -> None:
    heard = waves()
    found = features.stft_features(heard).double().numpy()[:, :, :, frame]
    stretch = heard.double().numpy()[..., 256 * frame : 256 * frame + 512] * get_window("hamming", 512, fftbins=True)
    expected = np.fft.rfft(stretch)[..., 1:]  # without DC
    assert np.abs(found[:, :, :4] - expected.real).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(found[:, :, 4:] - expected.imag).max() < 1e-5 * np.abs(expected).max()


def test_a_tone_sits_in_its_bin() -> None:
    time = torch.arange(2560) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * time).expand(1, 1, 1, 2560)
    spectrum = features.stft_features(tone).square().sum(2)[0, 0]
    assert spectrum.argmax(-1).tolist() == [31] * 9  # 1 kHz is the 32nd multiple of 31.25 Hz, and DC is gone


def test_a_constant_offset_is_hardly_heard() -> None:
    heard, shifted = waves(), waves() + 1.0
    change = (features.stft_features(shifted) - features.stft_features(heard)).abs()
    assert float(change[..., 2:].max()) < 1e-3  # Hamming's spectrum ends at the second bin


def test_normalised_samples_have_an_rms_of_one() -> None:
    normalised = features.normalise_gain(waves() * torch.tensor([1e-3, 1.0, 50.0])[:, None, None, None])
    assert normalised.square().mean((1, 2, 3)).sqrt().tolist() == pytest.approx([1.0] * 3, rel=1e-5)


def test_normalising_forgets_the_level() -> None:
    quiet, loud = features.normalise_gain(0.01 * waves()), features.normalise_gain(10 * waves())
    assert float(decibels(quiet / loud).abs().max()) < 1e-3  # decibels


def test_normalising_keeps_the_differences_between_microphones() -> None:
    heard = waves() * torch.rand(3, 2, 4, 1, generator=torch.Generator().manual_seed(1))
    normalised = features.normalise_gain(heard)
    before, after = (w.square().mean(-1).sqrt() for w in (heard, normalised))
    assert float(decibels((after / after[:, :1, :1]) / (before / before[:, :1, :1])).abs().max()) < 1e-3  # decibels


def test_silence_stays_silence() -> None:
    assert torch.equal(features.normalise_gain(torch.zeros(1, 2, 4, 2560)), torch.zeros(1, 2, 4, 2560))


def gains_db(level_db: float, channel_gain_db: float, seed: int = 0, batch: int = 500) -> Tensor:
    """What each microphone of each sample was changed by, shape (batch, arrays, mics)."""
    heard = torch.ones(batch, 2, 4, 2)
    generator = torch.Generator().manual_seed(seed)
    changed = features.vary_levels(heard, generator, level_db=level_db, channel_gain_db=channel_gain_db)
    assert torch.equal(changed[..., 0], changed[..., 1])
    return decibels(changed[..., 0])


def test_a_sample_keeps_its_balance_when_only_its_level_varies() -> None:
    gains = gains_db(10.0, 0.0)
    assert float((gains - gains[:, :1, :1]).abs().max()) < 1e-4  # decibels
    assert -10 <= float(gains.min()) < -9.5
    assert 9.5 < float(gains.max()) <= 10
    assert abs(float(gains[:, 0, 0].mean())) < 5 * 10 / np.sqrt(3 * 500)  # five standard errors


def test_microphones_vary_each_on_its_own() -> None:
    gains = gains_db(0.0, 3.0)
    assert -3 <= float(gains.min()) < -2.9
    assert 2.9 < float(gains.max()) <= 3
    correlation = np.corrcoef(gains.flatten(1).T.numpy()) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(500)


def test_both_changes_add_up_in_decibels() -> None:
    gains = gains_db(10.0, 3.0)
    assert 11 < float(gains.abs().max()) <= 13
    assert 4 < float((gains.amax((1, 2)) - gains.amin((1, 2))).max()) <= 6


def test_the_generator_decides() -> None:
    assert torch.equal(gains_db(5.0, 5.0, seed=1), gains_db(5.0, 5.0, seed=1))
    assert not torch.equal(gains_db(5.0, 5.0, seed=1), gains_db(5.0, 5.0, seed=2))
