"""Acoustic conditions of samples: reverberation, noise and deviating gains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AcousticCondition:
    """Surroundings of samples.

    Attributes:
        rt60_s: Reverberation time by Sabine's formula, in seconds; 0 is free field.
        snr_db: Ratio of the signal to white sensor noise, in dB; None without noise.
        gain_db: Largest deviation of the gain of a microphone, in dB, up or down, drawn per sample and microphone.
    """

    rt60_s: float
    snr_db: float | None
    gain_db: float

    def describe(self) -> str:
        """Return the condition in words."""
        parts = ["free field" if self.rt60_s == 0 else f"RT60 {self.rt60_s:g} s"]
        parts.append("no noise" if self.snr_db is None else f"SNR {self.snr_db:g} dB")
        return ", ".join(parts + ([f"gains ± {self.gain_db:g} dB"] if self.gain_db else []))


def list_conditions(
    rt60_s: Sequence[float], snr_db: Sequence[float | None], gain_db: Sequence[float]
) -> list[AcousticCondition]:
    """Return all combinations, in the order of the values."""
    return [AcousticCondition(*values) for values in itertools.product(rt60_s, snr_db, gain_db)]
