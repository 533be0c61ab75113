"""Resampling section by section, against resampling at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.audio.resampling import ResampledSound
from datasets.audio.sound_files import resample_sound


@pytest.mark.parametrize(
    ("rate_hz", "wanted_hz"),
    [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (22_050, 24_000), (16_001, 16_000), (16_000, 24_000)],
)
def test_sections_are_those_of_the_whole(rate_hz: int, wanted_hz: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (rate_hz * 2 + 17, 2)).astype(np.float32)
    whole = resample_sound(sound, rate_hz, wanted_hz)
    resampled = ResampledSound(lambda first, samples: sound[first : first + samples], len(sound), rate_hz, wanted_hz)
    assert resampled.samples == len(whole)
    for first, samples in ((0, 1), (0, 777), (1, 777), (12_345, 2560), (len(whole) - 2560, 2560), (0, len(whole))):
        section = resampled.read_section(first, samples)
        assert section.shape == (samples, 2)
        assert np.allclose(section, whole[first : first + samples], atol=1e-6)


def test_a_section_reads_little_more_than_its_own_sound() -> None:
    asked = []

    def read(first: int, samples: int) -> NDArray[np.float32]:
        asked.append(samples)
        return np.zeros((samples, 1), np.float32)

    ResampledSound(read, 48_000 * 3600, 48_000, 16_000).read_section(16_000 * 1000, 2560)
    assert len(asked) == 1
    assert 3 * 2560 <= asked[0] < 3 * 2560 + 200


def test_a_tone_stays_the_tone() -> None:
    time_s = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time_s)[:, None].astype(np.float32)
    section = ResampledSound(lambda n, m: tone[n : n + m], 48_000, 48_000, 16_000).read_section(4000, 8000)
    assert np.allclose(section[:, 0], np.sin(2 * np.pi * 440 * np.arange(4000, 12_000) / 16_000), atol=2e-3)
