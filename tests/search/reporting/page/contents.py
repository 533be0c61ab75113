"""Contents of pages about searches that never ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search.execution.error_files import ModelErrors, Sweep
from search.reporting.page.content import PageContent
from search.study.importance import Importance
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Dimension, Stopping, Value
from trainables.error_analysis import SIMULTANEOUS, ErrorAnalysis, Estimates, Example, PositionAxes, SourceErrors

SEARCH = (
    Dimension("lr", "log_uniform", 1e-4, 1e-2),
    Dimension("loss", "choice", choices=("mse", "<huber> & co")),
    Dimension("delta", "uniform", 0.0, 1.0, when=(("loss", ("<huber> & co",)),)),
)
"""Dimensions with a condition and a name that HTML has to escape."""


def make_trial(number: int, curve: Sequence[float], outcome: Outcome = "finished", role: str = "trial") -> Trial:
    """Return a trial; every third one has the conditional dimension."""
    parameters: dict[str, Value] = {"lr": 10 ** (-4 + 2 * (number % 7) / 7), "loss": SEARCH[1].choices[number % 3 == 0]}
    parameters |= {"delta": 0.1 * (number % 10)} if number % 3 == 0 else {}
    epochs = tuple(
        Epoch(n + 1, {"f1": value, "cost": 1 - value**2}, {"threshold": 0.4}, 2.0) for n, value in enumerate(curve)
    )
    reason = "waits" if outcome == "paused" else ""
    return Trial(number, parameters, outcome, reason, epochs, None, number == 0, {}, role=role)


def make_content(count: int = 12, **changes: Any) -> PageContent:
    """Return a search with a baseline, a starting point and trials that wait at the rungs."""
    generator = np.random.default_rng(count)
    trials = []
    for number in range(count):
        length = 9 if number < 2 or number % 5 == 0 else 3 if number % 2 else 1
        top = 0.5 if number == 0 else float(generator.uniform(0.3, 0.9))
        curve = [top * (1 - math.exp(-n / 3)) for n in range(1, length + 1)]
        role = {0: "baseline", 1: "start 0"}.get(number, "trial")
        trials.append(make_trial(number, curve, "finished" if length == 9 else "paused", role))
    content = PageContent(
        name="a search",
        trainable="localizer",
        search=SEARCH,
        objectives=(("f1", "maximize"),),
        stopping=Stopping(rule="asha", first_rung=1, reduction=3),
        epochs=9,
        trials=trials,
        importances={
            "lr": Importance(0.7, 0.5, 0.9),
            "delta": Importance(0.2, 0.1, 0.4),
            "loss": Importance(0.1, 0.0, 0.2),
        },
        meanings={"f1": "F1 of <sources>"},
    )
    return replace(content, **changes)


def make_analysis(seed: int = 0, sources: int = 400) -> ErrorAnalysis:
    """Return errors of a model that finds the sources of the left half of an area only."""
    generator = np.random.default_rng(seed)
    positions = generator.uniform(0, 6, size=(sources, 2))
    is_left = positions[:, 0] < 3
    bias = np.where(is_left[:, None], [0.1, 0.0], np.nan)
    near = np.where(is_left, 0.1, np.nan)
    numbers = generator.integers(1, 3, size=sources).astype(np.float64)
    false = generator.uniform(0, 6, size=(40, 2))
    truth, sound = positions[None, :2], np.sin(np.arange(2560) / 9).astype(np.float32)
    titles = ("best: sample 1", "worst: sample 2")
    examples = tuple(Example(title, np.zeros(1), truth, truth + 0.1, sound, 16000) for title in titles)
    return ErrorAnalysis(
        PositionAxes(("x, m", "y, m"), ((0.0, 6.0), (0.0, 6.0)), "m", (0.3, 1.0), np.array([[0.0, 0.0], [6.0, 6.0]])),
        SourceErrors(positions, np.stack([near, near]), bias, {SIMULTANEOUS: numbers, "distance, m": positions[:, 0]}),
        Estimates(
            np.concatenate([positions[is_left] + [0.1, 0.0], false]),
            np.tile(np.arange(is_left.sum() + 40) >= is_left.sum(), (2, 1)),
            {SIMULTANEOUS: np.concatenate([numbers[is_left], np.ones(40)])},
        ),
        generator.uniform(size=100),
        "mean F1",
        examples,
    )


def make_trajectories() -> ErrorAnalysis:
    """Return errors in angles with an example that moves across 180°."""
    frames = 50
    azimuth = (np.linspace(150, 210, frames) + 180) % 360 - 180
    truth = np.stack([azimuth, np.zeros(frames)], axis=-1)[:, None]
    whole = make_analysis()
    example = Example(
        "median: recording 3", np.linspace(0, 4.9, frames), truth, truth + 1, np.zeros(24_000, np.float32), 24_000
    )
    axes = PositionAxes(
        ("azimuth, °", "elevation, °"), ((-180.0, 180.0), (-90.0, 90.0)), "°", (20.0, 180.0), is_circular=True
    )
    return replace(whole, axes=axes, examples=(example,), switches=7)


def make_errors() -> ModelErrors:
    """Return errors on two splits, with a sweep of the threshold."""
    values = tuple(sorted({*np.linspace(0, 1, 6).tolist(), 0.4}))
    metrics: dict[str, tuple[float | None, ...]] = {
        "f1": tuple(1 - abs(value - 0.4) for value in values),
        "precision_1m": tuple(values),
        "recall_1m": (*(1 - value for value in values[:-1]), None),
    }
    sweep = Sweep("threshold", values, metrics)
    return ModelErrors({"S0": make_analysis(), "S1": make_trajectories()}, {"S0": (sweep,), "S1": (sweep,)})


def make_robustness() -> list[dict[str, Any]]:
    """Return scores over two reverberation times and two levels of noise, for the model and a yardstick."""
    return [
        {
            "rt60_s": rt60_s,
            "snr_db": snr_db,
            "gain_db": 0.0,
            "sources": 1,
            "method": method,
            "metrics": {"f1_mean": value, "f1_1m": value, "f1_0.3m": value / 2},
        }
        for method, gain in (("model", 0.0), ("SRP-PHAT", -0.1))
        for (rt60_s, snr_db), value in zip(
            ((0.0, None), (0.0, 10.0), (0.4, None), (0.4, 10.0)),
            (0.9 + gain, 0.8 + gain, 0.5 + gain, 0.3 + gain),
            strict=True,
        )
    ]
