"""The paper's RG configuration on as many mixtures as can be rendered: F1 per epoch and per minute."""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.gpu.data import build_localizer
from benchmarks.gpu.datasets import build, open_built
from benchmarks.gpu.evaluation import inference_grid
from benchmarks.gpu.feeding import FEEDS, random_batches, train_fed
from benchmarks.gpu.session import Session
from datasets.rooms.dataset import Dataset
from trainables.localizer.trainable import Localizer

_NETWORK: Final = "rg_paper"
_MIXTURES: Final = 100_000
_BUILD_SHARE: Final = 0.35
"""Largest share of the time that may be spent on rendering all mixtures."""
_ASSUMED_PER_S: Final = 6000.0
"""Mixtures per second that are expected of 16 cores, including the start of the processes."""
_VALIDATED_EVERY_S: Final = 8.0
_EPOCHS: Final = 200


def measure(session: Session) -> None:
    """Render, train until the time is up, and extrapolate."""
    fits = _BUILD_SHARE * session.left_s > _MIXTURES / _ASSUMED_PER_S
    wanted = _MIXTURES if fits and not session.miniature else None
    if wanted is not None and session.attempt("render", build, session, wanted) is None:
        wanted = None
    session.attempt("training", _train_on, session, wanted)


def _train_on(session: Session, mixtures: int | None) -> dict[str, Any]:
    return _train(session, open_built(session, mixtures))


def _train(session: Session, data: Dataset) -> dict[str, Any]:
    """Train from memory of the card, and validate every few seconds."""
    model = build_localizer(session, data, _NETWORK)
    split = data.open_split("train")
    batches = FEEDS["resident_int16"](
        split, random_batches(len(split), model.config.optimizer.batch_size), model.device
    )
    train_batch = train_fed(model)

    def train() -> int:
        batch = next(batches)
        train_batch(batch)
        return len(batch.waves)

    curve: list[dict[str, float]] = []
    seen, train_s = 0, 0.0
    reserve_s, interval_s = (0.0, 0.02) if session.miniature else (6.0, _VALIDATED_EVERY_S)
    while session.left_s > reserve_s + interval_s and not (session.miniature and curve):
        done, spent = _train_for(session, model, train, interval_s)
        seen, train_s = seen + done, train_s + spent
        point = {"epoch": seen / len(split), "train_s": train_s, "f1_mean": _best_f1(model)}
        curve.append(point)
        print(f"  epoch {point['epoch']:.2f}, {train_s:.0f} s: F1 {point['f1_mean']:.4f}", flush=True)
        session.store("training", _summarise(len(split), curve, seen, train_s))
    return _summarise(len(split), curve, seen, train_s)


def _train_for(session: Session, model: Localizer, train: Any, seconds: float) -> tuple[int, float]:
    """Train for some seconds; return the number of mixtures and the time until the device has finished."""
    model.network.train()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        done += sum(train() for _ in range(8))
        session.synchronize()
    return done, time.perf_counter() - started


def _best_f1(model: Localizer) -> float:
    return max(metrics["f1_mean"] for metrics in model.evaluate("validate", inference_grid(_NETWORK)))


def _summarise(mixtures: int, curve: list[dict[str, float]], seen: int, seconds: float) -> dict[str, Any]:
    """Return the curve, the measured rate, and the computed duration of the paper's training without its validations."""
    result: dict[str, Any] = {"mixtures": mixtures}
    if seen:
        rate = seen / seconds
        result |= {"mixtures_per_second": rate, "hours_of_200_epochs_computed": _EPOCHS * _MIXTURES / rate / 3600}
    return result | {"curve": list(curve)}
