"""Measures of impulse responses whose decay is known."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.acoustics import measures


@pytest.mark.parametrize("rt60_s", [0.2, 0.5, 1.1])
def test_the_reverberation_time_of_decaying_noise_is_found(rt60_s: float) -> None:
    time = np.arange(round(2 * rt60_s * 16_000)) / 16_000
    noise = np.random.default_rng(0).standard_normal(len(time)) * 10 ** (-3 * time / rt60_s)
    found = measures.energy_decay(noise.astype(np.float32))
    assert found.rt60_s == pytest.approx(rt60_s, rel=0.05)
    assert found.curve_db[0] == 0
    assert (np.diff(found.curve_db) <= 0).all()


def test_a_response_that_hardly_fades_has_no_reverberation_time() -> None:
    assert measures.energy_decay(np.ones(100, np.float32)).rt60_s is None
    assert measures.energy_decay(np.zeros(100, np.float32)).rt60_s is None


@pytest.mark.parametrize("rt60_s", [0.3, 0.8])
def test_exponentially_decaying_noise_has_the_clarity_of_its_decay_and_one_decay_time(rt60_s: float) -> None:
    time = np.arange(round(2 * rt60_s * 16_000)) / 16_000
    noise = np.random.default_rng(0).standard_normal((20, len(time))) * 10 ** (-3 * time / rt60_s)
    found = measures.measure_responses(noise.astype(np.float32))
    assert np.median(found.edt_s) == pytest.approx(rt60_s, rel=0.05)
    assert np.median(found.t20_s) == pytest.approx(rt60_s, rel=0.05)
    late = 10 ** (-6 * 0.05 / rt60_s)
    assert np.median(found.c50_db) == pytest.approx(10 * np.log10((1 - late) / late), abs=0.5)


def test_the_direct_sound_and_what_follows_it_have_their_ratio() -> None:
    response = np.zeros(4_000, np.float32)
    response[100], response[1_000] = 1.0, 0.5
    found = measures.measure_responses(response)
    assert found.drr_db == pytest.approx([20 * np.log10(2)])
    assert found.c50_db == pytest.approx([20 * np.log10(2)])
