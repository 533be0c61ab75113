"""Procedural music from a seed, so that a first run needs no external music.

The genres differ in the properties that matter to a localizer: tonal and percussive content, bandwidth, and rests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from datasets.acoustics.arrays import SAMPLE_RATE_HZ

Wave = NDArray[np.float64]

_MAJOR: Final = np.array([0, 2, 4, 5, 7, 9, 11])
_MINOR: Final = np.array([0, 2, 3, 5, 7, 8, 10])
_DORIAN: Final = np.array([0, 2, 3, 5, 7, 9, 10])


def synthesize_excerpt(genre: str, seed: int, seconds: float) -> NDArray[np.float32]:
    """Synthesize an excerpt of music.

    Args:
        genre: One of classical, funk and jazz.
        seed: Random seed; the samples depend on genre, seed and length only.
        seconds: Length, in seconds.

    Returns:
        Waveform, shape (samples,), 16 kHz, mono, not normalised.
    """
    generator = np.random.default_rng([_SEED_OF_GENRE[genre], seed])
    piece = np.zeros(round(seconds * SAMPLE_RATE_HZ))
    _SYNTHESIZERS[genre](generator, piece)
    return piece.astype(np.float32)


def _synthesize_classical(generator: np.random.Generator, piece: Wave) -> None:
    """Add bowed and plucked voices with slow attacks and rests, without percussion."""
    beat = 60 / generator.uniform(60, 120)
    root, scale = generator.uniform(100, 180), (_MAJOR, _MINOR)[generator.integers(2)]
    for voice in range(int(generator.integers(2, 5))):
        plucked = generator.random() < 0.3
        octave, pattern = 2 ** min(voice, 3), float(generator.choice([0.25, 0.5, 1.0, 2.0]))
        brightness = generator.uniform(0.6, 1.3)
        for start in np.arange(0, len(piece) / SAMPLE_RATE_HZ, beat * pattern):
            if generator.random() < 0.12:
                continue
            length = beat * pattern * generator.uniform(0.7, 1.1)
            note = _synthesize_tone(
                _note_frequency(root * octave, scale, int(generator.integers(0, 8))),
                length,
                roll_off=brightness + 0.5 * plucked,
                attack_s=0.004 if plucked else 0.05,
                decay_s=0.35 if plucked else 4.0,
                vibrato=0.0 if plucked else 0.004,
            )
            _mix_into(piece, start, note * generator.uniform(0.3, 1.0) / (1 + 0.4 * voice))


def _synthesize_funk(generator: np.random.Generator, piece: Wave) -> None:
    """Add drums in sixteenths, a plucked bass, short clavinet chords and rests."""
    step = 60 / generator.uniform(92, 122) / 4
    root, scale = generator.uniform(41, 62), _DORIAN
    kick, snare, clav, bass = (generator.random(16) < share for share in (0.25, 0.15, 0.4, 0.5))
    kick[0] = snare[4] = snare[12] = bass[0] = True
    drums, chords = generator.random() < 0.85, generator.random() < 0.8
    for index, start in enumerate(np.arange(0, len(piece) / SAMPLE_RATE_HZ, step)):
        slot, accent = index % 16, generator.uniform(0.5, 1.0)
        if generator.random() < 0.04:
            continue
        if drums and kick[slot]:
            _mix_into(piece, start, 1.2 * accent * _synthesize_kick())
        if drums and snare[slot]:
            _mix_into(piece, start, 0.9 * accent * _synthesize_noise(generator, 0.16, 900, 7500))
        if drums:
            _mix_into(piece, start, 0.35 * accent * _synthesize_noise(generator, 0.05, 4500, 7900))
        if bass[slot]:
            note = _synthesize_tone(
                _note_frequency(root, scale, int(generator.choice([0, 0, 2, 4, 6, 7]))),
                step * 1.5,
                roll_off=1.1,
                decay_s=0.2,
            )
            _mix_into(piece, start, accent * note)
        if chords and clav[slot]:
            pitches = [_note_frequency(root * 8, scale, degree) for degree in (0, 2, 4)]
            _mix_into(piece, start, 0.3 * accent * _synthesize_chord(pitches, step * 0.8, roll_off=0.5, decay_s=0.08))


def _synthesize_jazz(generator: np.random.Generator, piece: Wave) -> None:
    """Add a swinging ride cymbal, a walking bass, a breathy lead and sparse seventh chords."""
    beat = 60 / generator.uniform(100, 200)
    root, scale = generator.uniform(45, 70), (_DORIAN, _MAJOR)[generator.integers(2)]
    ride, lead = generator.random() < 0.8, generator.random() < 0.85
    degree = 0
    for start in np.arange(0, len(piece) / SAMPLE_RATE_HZ, beat):
        degree = int(np.clip(degree + generator.integers(-2, 3), -3, 9))
        _mix_into(
            piece, start, 0.8 * _synthesize_tone(_note_frequency(root, scale, degree), beat, roll_off=1.5, decay_s=0.5)
        )
        if ride:
            _mix_into(piece, start, 0.3 * _synthesize_noise(generator, 0.3, 3000, 7900))
            _mix_into(piece, start + beat * 0.66, 0.2 * _synthesize_noise(generator, 0.15, 3000, 7900))
        if lead and generator.random() < 0.7:
            pitch = _note_frequency(root * 8, scale, int(generator.integers(-2, 10)))
            note = _synthesize_tone(
                pitch, beat * generator.uniform(0.4, 1.2), roll_off=0.8, attack_s=0.03, decay_s=2.0, vibrato=0.008
            )
            breath = 0.05 * _synthesize_noise(generator, len(note) / SAMPLE_RATE_HZ, 1500, 6000)
            _mix_into(
                piece, start + beat * float(generator.choice([0, 0.66])), 0.8 * note + np.resize(breath, len(note))
            )
        if generator.random() < 0.25:
            pitches = [_note_frequency(root * 4, scale, step) for step in (0, 2, 4, 6)]
            _mix_into(piece, start, 0.25 * _synthesize_chord(pitches, beat, roll_off=1.2, decay_s=0.4))


_SYNTHESIZERS: Final[dict[str, Callable[[np.random.Generator, Wave], None]]] = {
    "classical": _synthesize_classical,
    "funk": _synthesize_funk,
    "jazz": _synthesize_jazz,
}
_SEED_OF_GENRE: Final = {genre: index for index, genre in enumerate(_SYNTHESIZERS)}


def _note_frequency(root_hz: float, scale: NDArray[np.int_], degree: int) -> float:
    octave, step = divmod(degree, len(scale))
    return float(root_hz * 2 ** (octave + scale[step] / 12))


def _synthesize_tone(
    pitch_hz: float,
    seconds: float,
    *,
    roll_off: float,
    attack_s: float = 0.003,
    decay_s: float = 0.3,
    vibrato: float = 0.0,
) -> Wave:
    """Synthesize a harmonic tone whose n-th partial has the amplitude n^-roll_off.

    The partials follow from the recurrence sin(n+1)φ = 2 cos φ sin nφ - sin(n-1)φ, which is faster than computing sines.
    """
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * pitch_hz * (time + vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time))
    partials = max(1, min(24, int(7600 / pitch_hz)))
    twice = (2 * np.cos(phase)).astype(np.float32)  # phases need double precision, partials do not
    before, partial = np.zeros_like(twice), np.sin(phase).astype(np.float32)
    wave = partial.copy()
    for number in range(2, partials + 1):
        before *= -1
        before += twice * partial
        before, partial = partial, before
        wave += partial * np.float32(number**-roll_off)
    release = np.minimum(1.0, (time[-1:] - time) / 0.01) if len(time) else time
    envelope: Wave = np.minimum(1.0, time / attack_s) * np.exp(-time / decay_s) * release
    return np.asarray(wave * envelope)


def _synthesize_chord(pitches_hz: list[float], seconds: float, *, roll_off: float, decay_s: float) -> Wave:
    return np.asarray(
        np.sum([_synthesize_tone(pitch, seconds, roll_off=roll_off, decay_s=decay_s) for pitch in pitches_hz], axis=0)
    )


@cache
def _synthesize_kick() -> Wave:
    time = np.arange(round(0.15 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    click = np.exp(-time / 0.002) * np.sin(2 * np.pi * 2500 * time)
    return np.asarray(
        np.sin(2 * np.pi * (50 * time + 4 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.05) + 0.4 * click
    )


def _synthesize_noise(generator: np.random.Generator, seconds: float, low_hz: float, high_hz: float) -> Wave:
    samples = round(seconds * SAMPLE_RATE_HZ)
    coloured = signal.sosfilt(_filter_band(low_hz, high_hz), generator.standard_normal(samples))
    return np.asarray(coloured * np.exp(-np.arange(samples) / (0.3 * samples)))


@cache
def _filter_band(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    return np.asarray(signal.butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE_HZ, output="sos"))


def _mix_into(piece: Wave, start_s: float, note: Wave) -> None:
    start = round(start_s * SAMPLE_RATE_HZ)
    audible = note[: max(0, len(piece) - start)]
    piece[start : start + len(audible)] += audible
