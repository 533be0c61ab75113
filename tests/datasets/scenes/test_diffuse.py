"""Diffuse noise: its covariance against many plane waves, and the noise against its covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, special

from datasets.scenes import array_response, diffuse
from datasets.tau2020.layout import SAMPLE_RATE_HZ


def test_the_covariance_is_that_of_plane_waves_from_everywhere() -> None:
    frequency = np.array([0.0, 200.0, 1_000.0, 4_000.0, 12_000.0])
    count = 4_000
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)  # a Fibonacci lattice
    level = np.sqrt(1 - height**2)
    directions = np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=1)
    legendre = special.eval_legendre(
        np.arange(31), np.clip(directions @ array_response.capsule_positions().T, -1, 1)[..., None]
    )
    capsules = np.einsum("fn,dcn->fdc", array_response.sphere_modes(frequency), legendre)
    foa = np.broadcast_to(array_response.foa_gains(directions), (len(frequency), count, 4))
    waves = np.concatenate([foa, capsules], axis=2)
    averaged = np.einsum("fdi,fdj->fij", waves, waves.conj()) / count
    assert np.abs(diffuse.diffuse_covariance(frequency) - averaged).max() < 1e-4


def test_white_noise_has_this_covariance_at_all_frequencies() -> None:
    noise = diffuse.white_noise(np.random.default_rng(0), 10 * SAMPLE_RATE_HZ).astype(np.float64)
    pairs = [(0, 0), (1, 1), (4, 5), (0, 4), (3, 6), (0, 1)]
    for first, second in pairs:
        frequency, density = signal.csd(noise[first], noise[second], SAMPLE_RATE_HZ, nperseg=256)
        wanted = diffuse.diffuse_covariance(frequency)[:, second, first]
        measured = density * SAMPLE_RATE_HZ / 2
        inner = slice(2, -10)
        # 10 s hold 1875 half-overlapping stretches: 3 % of scatter in a bin, and hardly 5 of these.
        assert np.abs(measured - wanted)[inner].max() < 0.15 * max(1.0, np.abs(wanted).max())
        assert abs((measured - wanted)[inner].mean()) < 0.02


def test_ambient_noise_falls_by_3_db_an_octave() -> None:
    noise = diffuse.ambient_noise(np.random.default_rng(1), 20 * SAMPLE_RATE_HZ)[0].astype(np.float64)
    frequency, density = signal.welch(noise, SAMPLE_RATE_HZ, nperseg=4_096)
    octaves = 250.0 * 2 ** np.arange(5)
    level = [10 * np.log10(density[(frequency >= low) & (frequency < 2 * low)].mean()) for low in octaves]
    assert np.diff(level) == pytest.approx(-10 * np.log10(2), abs=0.3)


def test_a_part_of_any_length_is_made_of_the_same_seed() -> None:
    once, again = (diffuse.white_noise(np.random.default_rng(3), 9_001) for _ in range(2))
    assert once.shape == (8, 9_001)
    assert once.tobytes() == again.tobytes()
    assert diffuse.white_noise(np.random.default_rng(3), 1).shape == (8, 1)
