"""Ratios between measurements, which transfer better to other machines than rates do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_STEPS: Final = ("training", "graphs", "compiled")
_FEEDS: Final = {"data": "", "graphs": "_graph"}
"""Measurements of trainings that are fed, and what is appended to the name of the feed."""


def compute_ratios(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return ratios of rates by network; what is missing or failed has none.

    Args:
        results: Results by measurement and step.

    Returns:
        Under `NETWORK/steps` the rate of every variant over that of fp32, and under `NETWORK/feeding` the rate of every training
        over that of bf16 steps on random inputs, which need no data.
    """
    found: dict[str, dict[str, float]] = {}
    for measurement, steps in results.items():
        for step, value in steps.items():
            words, rate = step.split("/"), _read_rate(value)
            if measurement in _STEPS and len(words) == 2 and isinstance(value, Mapping):
                _add_ratio(found, f"{words[0]}/steps", words[1], rate, _rate_of(results, f"{words[0]}/fp32"))
            elif measurement in _FEEDS and words[0] == "training":
                name = words[2] + _FEEDS[measurement]
                _add_ratio(found, f"{words[1]}/feeding", name, rate, _rate_of(results, f"{words[1]}/bf16"))
    return found


def _add_ratio(found: dict[str, dict[str, float]], key: str, name: str, rate: float | None, base: float | None) -> None:
    if rate is not None and base:
        found.setdefault(key, {})[name] = rate / base


def _rate_of(results: Mapping[str, Any], step: str) -> float | None:
    return _read_rate(results.get("training", {}).get(step))


def _read_rate(value: Any) -> float | None:
    rate = value.get("items_per_second") if isinstance(value, Mapping) else value
    return rate if isinstance(rate, float) else None
