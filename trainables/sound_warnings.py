"""Warnings for users about recordings that are unlike the training data of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trainables.prediction import Recording
from trainables.sound_profile import BAND, COHERENCE, FLATNESS, LEVEL, Departure, SoundProfile

_SILENCE_DBFS: Final = -100.0
"""Level below which a spectrum is that of rounding errors."""


def describe_departures(profile: SoundProfile, recording: Recording) -> list[str]:
    """Return a line of text per difference between a recording and the training data."""
    found = {departure.quantity: departure for departure in profile.find_departures(recording)}
    level = _describe_level(found.get(LEVEL))
    if level and found[LEVEL].value < _SILENCE_DBFS:
        return level
    bands = [float(name.removeprefix(BAND)) for name in profile.quantiles if name.startswith(BAND)]
    lines = level + _describe_bands(found, sorted(bands, reverse=True))
    return lines + _describe_noise(found.get(FLATNESS), found.get(COHERENCE))


def _describe_level(level: Departure | None) -> list[str]:
    if level is None:
        return []
    word = "loud" if level.is_above else "quiet"
    return [f"{word}: its level is {level.value:.0f} dBFS; {_training_range(level, '.0f')} dBFS"]


def _describe_bands(found: dict[str, Departure], edges_hz: Sequence[float]) -> list[str]:
    """Describe the upper limit of the spectrum, and octave bands that are weaker or stronger in all other cases."""
    departures = [found.get(f"{BAND}{edge:g}") for edge in edges_hz]
    lines = []
    missing = 0  # number of octaves from the top that are too weak
    while missing < len(departures) and (band := departures[missing]) is not None and not band.is_above:
        missing += 1
    if missing:
        band = departures[missing - 1]
        assert band is not None
        lines.append(
            f"band-limited: the octave above {edges_hz[missing - 1]:g} Hz has {band.value:.0f} dB of the total; "
            f"{_training_range(band, '.0f')} dB"
        )
    for edge, band in zip(edges_hz[missing:], departures[missing:], strict=True):
        if band is not None:
            word = "strong" if band.is_above else "weak"
            lines.append(
                f"{word} between {edge:g} and {2 * edge:g} Hz: {band.value:.0f} dB of the total; "
                f"{_training_range(band, '.0f')} dB"
            )
    return lines


def _describe_noise(flatness: Departure | None, coherence: Departure | None) -> list[str]:
    lines = []
    if flatness is not None and flatness.is_above:
        lines.append(
            f"noisy: the flatness of its spectrum is {flatness.value:.1f} dB (white noise 0 dB); "
            f"{_training_range(flatness, '.1f')} dB"
        )
    if coherence is not None:
        cause = "one signal in all channels" if coherence.is_above else "reverberation, noise or another array"
        lines.append(
            f"{cause}: the coherence of neighbouring channels is {coherence.value:.2f}; "
            f"{_training_range(coherence, '.2f')}"
        )
    return lines


def _training_range(departure: Departure, form: str) -> str:
    side = "below" if departure.is_above else "above"
    return f"19 of 20 training samples are {side} {departure.bound:{form}}"
