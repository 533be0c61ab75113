"""Augmentation does what its Config says, and nothing without one."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.localizer import augmentation
from trainables.localizer.config import AugmentConfig

WAVES = 0.1 * torch.randn(200, 2, 4, 2560, generator=torch.Generator().manual_seed(0))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_without_changes_the_signals_are_returned_and_nothing_is_drawn() -> None:
    own = generator()
    before = own.get_state()
    assert augmentation.augment_waves(WAVES, own, AugmentConfig()) is WAVES
    assert torch.equal(own.get_state(), before)


def test_the_snr_is_drawn_between_its_lowest_value_and_30_db_above() -> None:
    noise = augmentation.add_white_noise(WAVES, generator(), 10.0) - WAVES
    ratios_db = 10 * (WAVES.square().mean((1, 2, 3)) / noise.square().mean((1, 2, 3))).log10()
    assert 9.5 < ratios_db.min() < 11
    assert 38 < ratios_db.max() < 40.5
    powers = noise.square().mean(-1)  # the same at every microphone, and not the same noise
    assert (powers.amax((1, 2)) / powers.amin((1, 2))).max() < 1.4
    assert torch.corrcoef(noise[0].reshape(8, -1)).fill_diagonal_(0).abs().max() < 0.1


def test_all_microphones_of_an_array_are_delayed_alike() -> None:
    delayed = augmentation.delay_arrays(WAVES, generator(), 500.0)
    cross = torch.fft.irfft(torch.fft.rfft(delayed) * torch.fft.rfft(WAVES).conj())
    lag = cross.argmax(-1)
    lag = torch.where(lag > 1280, lag - 2560, lag)
    assert (lag == lag[:, :, :1]).all()
    assert lag.abs().max() <= math.ceil(500e-6 * 16_000)
    assert len(lag.unique()) > 10
    assert not torch.equal(lag[:, 0], lag[:, 1])
    assert torch.allclose(delayed.square().mean(-1), WAVES.square().mean(-1), rtol=0.02)


def test_a_delay_of_a_whole_sample_shifts_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.ones(shape))
    delayed = augmentation.delay_arrays(WAVES, generator(), 1e6 / 16_000)
    assert torch.allclose(delayed, WAVES.roll(1, -1), atol=2e-3)  # but for the Nyquist bin


def test_the_generator_decides() -> None:
    config = AugmentConfig(level_db=3, channel_gain_db=1, array_delay_us=20, snr_db=0)
    first, second = (augmentation.augment_waves(WAVES[:4], generator(), config) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, WAVES[:4])
