"""Noise of microphones and rooms: power, spectrum, and coherence between microphones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.noise import add_noise, noise_source

PAIR_M = 0.08
MICROPHONES = np.array([[[0.0, 0.0], [PAIR_M, 0.0]], [[4.0, 3.0], [4.0, 3.0 + PAIR_M]]])
SAMPLES = 400


def draw(kind: str) -> NDArray[np.float32]:
    shape = (SAMPLES, 2, 2, MIXTURE_SAMPLES)
    return noise_source(kind, MICROPHONES)(np.random.default_rng(1), shape)


def coherence(waves: NDArray[np.float32], first: tuple[int, int], second: tuple[int, int]) -> NDArray[np.float64]:
    """Return the real part of the coherence of two microphones, averaged over samples and 20 bins."""
    spectra = np.fft.rfft(waves)[..., 1:1281].astype(np.complex128)
    a, b = spectra[:, *first], spectra[:, *second]

    def blocks(values: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(values.real.reshape(len(values), -1, 20).mean((0, 2)))

    return blocks(a * b.conj()) / np.sqrt(blocks(a * a.conj()) * blocks(b * b.conj()))


@pytest.mark.parametrize("kind", ["white", "pink", "diffuse"])
def test_noise_has_power_one_at_every_microphone(kind: str) -> None:
    assert np.square(draw(kind)).mean((0, 3)) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("kind", ["pink", "diffuse"])
def test_power_falls_with_frequency_above_100_hz(kind: str) -> None:
    power = np.square(np.abs(np.fft.rfft(draw(kind)))).mean((0, 1, 2))
    frequency_hz = np.fft.rfftfreq(MIXTURE_SAMPLES, 1 / SAMPLE_RATE_HZ)
    octaves = [power[(frequency_hz >= low) & (frequency_hz < 2 * low)].sum() for low in (200, 400, 800, 1600, 3200)]
    assert max(octaves) / min(octaves) < 1.1


def test_diffuse_noise_is_coherent_as_in_an_isotropic_field() -> None:
    waves = draw("diffuse")
    frequency_hz = np.fft.rfftfreq(MIXTURE_SAMPLES, 1 / SAMPLE_RATE_HZ)[1:1281].reshape(-1, 20).mean(1)
    for array in (0, 1):
        expected = np.sinc(2 * frequency_hz * PAIR_M / SPEED_OF_SOUND_M_S)
        assert coherence(waves, (array, 0), (array, 1)) == pytest.approx(expected, abs=0.05)
    assert abs(coherence(waves, (0, 0), (1, 0))[1:]).max() < 0.06  # five metres apart, above 130 Hz


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_noise_of_microphones_is_independent(kind: str) -> None:
    assert abs(coherence(draw(kind), (0, 0), (0, 1))).max() < 0.06


@pytest.mark.parametrize("kind", ["white", "diffuse"])
def test_the_ratio_of_signal_and_noise_is_the_one_asked_for(kind: str) -> None:
    signal = torch.randn(64, 2, 2, MIXTURE_SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.01
    noisy = signal.clone()
    add_noise(noisy, np.random.default_rng(2), (10.0, 10.0), noise_source(kind, MICROPHONES))
    ratio = signal.square().mean() / (noisy - signal).square().mean()
    assert 10 * torch.log10(ratio) == pytest.approx(10, abs=0.2)


def test_dense_and_coinciding_microphones_are_no_matrix_error() -> None:
    dense = np.zeros((1, 16, 2))
    dense[0, :8, 0] = np.arange(8) * 0.001
    waves = noise_source("diffuse", dense)(np.random.default_rng(0), (2, 1, 16, MIXTURE_SAMPLES))
    assert np.isfinite(waves).all()
    assert np.allclose(waves[:, 0, 8], waves[:, 0, 15], atol=1e-2)  # at one place


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no blue noise"):
        noise_source("blue", MICROPHONES)
