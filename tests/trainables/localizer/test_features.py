"""Spectra against numpy and scipy; phase differences of known delays; gains in decibels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import get_window
from torch import Tensor

from trainables.localizer import features
from trainables.localizer.config import LocalizerConfig


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


def delayed(signal: Tensor, samples: float) -> Tensor:
    """The signal some samples later, also a fraction of one; it wraps around."""
    frequencies = 2 * torch.pi * torch.fft.rfftfreq(signal.shape[-1], dtype=torch.float64)
    shift = torch.polar(torch.ones_like(frequencies), -frequencies * samples)
    return torch.fft.irfft(torch.fft.rfft(signal.double()) * shift, signal.shape[-1]).float()


def test_a_delay_is_a_phase_that_grows_with_frequency() -> None:
    frames = torch.arange(features.BINS)
    tone = torch.stack([torch.cos(2 * torch.pi * (k + 1) * torch.arange(2560) / 512) for k in frames[3:-3:8]])
    heard = torch.stack([tone, delayed(tone, 0.7), delayed(tone, -1.3)], dim=1)[:, None]
    found = features.phase_features(features.stft_features(heard))
    assert found.shape == (len(tone), 1, 5, 9, 256)
    for row, k in enumerate(frames[3:-3:8]):
        phases = -2 * torch.pi * (int(k) + 1) / 512 * torch.tensor([0.7, -1.3])
        expected = torch.cat([phases.cos(), phases.sin()])[:, None].expand(-1, 9)
        torch.testing.assert_close(found[row, 0, :4, :, int(k)], expected, rtol=0, atol=1e-3)


def test_phase_differences_ignore_the_level_and_the_power_does_not() -> None:
    quiet, loud = (features.phase_features(features.stft_features(gain * waves())) for gain in (1.0, 10.0))
    torch.testing.assert_close(quiet[:, :, :-1], loud[:, :, :-1], rtol=0, atol=1e-4)
    assert float((loud - quiet)[:, :, -1].median()) == pytest.approx(np.log(100) / 4, rel=1e-3)


def test_silence_has_no_direction() -> None:
    found = features.phase_features(features.stft_features(torch.zeros(1, 2, 4, 2560)))
    assert torch.equal(found[:, :, :-1], torch.zeros(1, 2, 6, 9, 256))
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("kind", "encoder", "shape"),
    [
        ("spectra", "array", (2, 8)),
        ("spectra", "single", (2, 8)),
        ("ipd", "array", (2, 7)),
        ("ipd", "single", (1, 15)),
    ],
)
def test_features_have_as_many_channels_as_are_counted(kind: str, encoder: str, shape: tuple[int, int]) -> None:
    config = LocalizerConfig.model_validate({"encoder": encoder, "features": {"kind": kind, "gain": "rms"}})
    found = features.compute_features(waves(), config)
    assert found.shape == (3, *shape, 9, 256)
    joined = shape[0] * shape[1] if encoder == "single" else shape[1]
    assert features.count_channels(config, 2, 4) == joined


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
