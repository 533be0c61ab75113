"""Synthesis of event sounds from a seed, in six clearly different classes; scenes then need no sound files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from datasets.tau2020.layout import SAMPLE_RATE_HZ

Wave = NDArray[np.float64]


def synthesize_event(kind: str, seed: tuple[int, ...], seconds: float) -> NDArray[np.float32]:
    """Synthesise an event.

    Args:
        kind: Class, one of `CLASSES`.
        seed: Seed; the same class and seed yield the same samples.
        seconds: Length in seconds.

    Returns:
        Shape (samples,), 24 kHz, not normalised, without pauses longer than 0.3 s.
    """
    generator = np.random.default_rng([CLASSES.index(kind), *seed])
    return _PLAYERS[kind](generator, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def _synthesize_alarm(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise two alternating tones, rich in odd partials."""
    low = generator.uniform(500, 1400)
    high, rate = low * generator.uniform(1.15, 1.6), generator.uniform(1.5, 5)
    pitch = np.where(np.sin(2 * np.pi * rate * _time_axis(samples)) > 0, high, low)
    phase = _integrate_phase(pitch)
    tone = sum(np.sin(partial * phase) / partial for partial in (1, 3, 5) if partial * high < 11_000)
    return np.asarray(tone)


def _synthesize_birds(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise chirps that glide between 2 and 7 kHz."""
    wave, start = np.zeros(samples), 0
    while start < samples:
        length = round(generator.uniform(0.06, 0.25) * SAMPLE_RATE_HZ)
        begin, end = generator.uniform(2_000, 7_000, 2)
        bow = generator.uniform(-800, 800) * np.sin(np.linspace(0, np.pi, length))
        chirp = np.sin(_integrate_phase(np.linspace(begin, end, length) + bow)) * np.hanning(length)
        _mix_into(wave, start, generator.uniform(0.5, 1.0) * chirp)
        start += length + round(generator.uniform(0.01, 0.15) * SAMPLE_RATE_HZ)
    return wave


def _synthesize_engine(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise a low pulse train of varying speed, with some hiss."""
    speed = generator.uniform(35, 90) * (
        1 + 0.15 * np.sin(2 * np.pi * generator.uniform(0.1, 0.5) * _time_axis(samples) + generator.uniform(0, 6))
    )
    phase = _integrate_phase(speed)
    pulses = sum(np.cos(partial * phase + partial**2) / partial**0.7 for partial in range(1, 40))
    return np.asarray(pulses + 0.5 * _filtered_noise(generator, samples, 300, 4_000) * (1 + 0.5 * np.cos(phase)))


def _synthesize_knocking(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise groups of short wooden blows."""
    wave, start = np.zeros(samples), 0
    modes, damping = generator.uniform(180, 1_600, 5), generator.uniform(0.008, 0.03, 5)
    blow = round(0.15 * SAMPLE_RATE_HZ)
    time = _time_axis(blow)
    body = (np.sin(2 * np.pi * modes[:, None] * time) * np.exp(-time / damping[:, None])).sum(axis=0)
    while start < samples:
        click = generator.standard_normal(blow) * np.exp(-time / 0.002)
        _mix_into(wave, start, generator.uniform(0.6, 1.0) * (body + click))
        start += round(generator.uniform(0.1, 0.3) * SAMPLE_RATE_HZ)
    return wave


def _synthesize_speech(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise syllables: a harmonic voice through three formants, some of them followed by breath noise."""
    wave, start = np.zeros(samples), 0
    voice = generator.uniform(90, 260)
    while start < samples:
        length = round(generator.uniform(0.1, 0.3) * SAMPLE_RATE_HZ)
        begin, end = generator.uniform(0.85, 1.2, 2)
        phase = _integrate_phase(voice * np.linspace(begin, end, length))
        source = np.asarray(sum(np.sin(partial * phase) / partial for partial in range(1, 25)))
        formants = generator.uniform((300, 900, 2_200), (850, 2_200, 3_400))
        syllable = sum(_resonance_filter(source, formant) / (1 + place) for place, formant in enumerate(formants))
        _mix_into(wave, start, generator.uniform(0.5, 1.0) * np.asarray(syllable) * np.hanning(length) ** 0.5)
        if generator.random() < 0.4:
            breath = round(0.08 * SAMPLE_RATE_HZ)
            _mix_into(wave, start, 0.15 * _filtered_noise(generator, breath, 3_000, 9_000) * np.hanning(breath))
        start += length + round(generator.uniform(0.02, 0.2) * SAMPLE_RATE_HZ)
    return wave


def _synthesize_water(generator: np.random.Generator, samples: int) -> Wave:
    """Synthesise a broadband hiss of varying level, with drops."""
    time = _time_axis(samples)
    swell = 1 + 0.5 * np.sin(2 * np.pi * generator.uniform(0.3, 1.5) * time + generator.uniform(0, 6))
    wave = _filtered_noise(generator, samples, generator.uniform(400, 1_000), generator.uniform(5_000, 10_000)) * swell
    for start in generator.integers(0, samples, max(1, samples // 4_000)):
        drop = _time_axis(round(0.03 * SAMPLE_RATE_HZ))
        pitch = generator.uniform(1_000, 3_000) * (1 + 12 * drop)
        _mix_into(wave, int(start), 2 * np.sin(_integrate_phase(pitch)) * np.exp(-drop / 0.008))
    return wave


_PLAYERS: Final[dict[str, Callable[[np.random.Generator, int], Wave]]] = {
    "alarm": _synthesize_alarm,
    "birds": _synthesize_birds,
    "engine": _synthesize_engine,
    "knocking": _synthesize_knocking,
    "speech": _synthesize_speech,
    "water": _synthesize_water,
}
CLASSES: Final = tuple(_PLAYERS)


def _time_axis(samples: int) -> Wave:
    return np.arange(samples) / SAMPLE_RATE_HZ


def _integrate_phase(pitch_hz: Wave) -> Wave:
    return np.asarray(2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ)


def _filtered_noise(generator: np.random.Generator, samples: int, low_hz: float, high_hz: float) -> Wave:
    band = signal.butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(band, generator.standard_normal(samples)))


def _resonance_filter(source: Wave, formant_hz: float) -> Wave:
    b, a = signal.iirpeak(formant_hz, 6, fs=SAMPLE_RATE_HZ)
    return np.asarray(signal.lfilter(b, a, source))


def _mix_into(wave: Wave, start: int, part: Wave) -> None:
    heard = part[: max(0, len(wave) - start)]
    wave[start : start + len(heard)] += heard
