"""Validation with the sweep of all inference parameters, and the features of DOAnet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu.data import build_localizer
from benchmarks.gpu.datasets import open_built
from benchmarks.gpu.session import Session
from datasets.rooms.dataset import Dataset, Split
from trainables.contract import InferenceParams
from trainables.doanet.config import Format
from trainables.doanet.features import SAMPLE_RATE_HZ, extract_features
from trainables.localizer.network import run_network
from trainables.localizer.trainable import Localizer

THRESHOLDS: Final = tuple(round(0.1 + 0.05 * step, 2) for step in range(17))
RADII_M: Final = (0.5, 0.75, 1.0, 1.5)
_AT_ONCE: Final = 250
_FORMATS: Final[tuple[Format, ...]] = ("foa", "mic")


def inference_grid(network: str) -> list[InferenceParams]:
    """Return the 68 settings of spaces/rg_rep.yaml, or the 102 of spaces/hm_rep.yaml."""
    if network.startswith("hm"):
        combinations = itertools.product(THRESHOLDS, (0.5, 1.0), (0.0, 0.15, 0.3162))
        return [{"threshold": t, "nms_radius_m": r, "smoothing_m": s} for t, r, s in combinations]
    return [{"threshold": t, "nms_radius_m": r} for t, r in itertools.product(THRESHOLDS, RADII_M)]


def measure(session: Session) -> None:
    """Measure the validation of the networks, and the features of recordings."""
    data = open_built(session)
    for network in ("rg_paper", "rg_laptop", "hm_paper"):
        session.attempt(network, measure_validation, session, data, network)
    for fmt in _FORMATS:
        session.attempt(f"doanet_features/{fmt}", measure_features, session, fmt)


@torch.inference_mode()
def measure_validation(session: Session, data: Dataset, network: str) -> dict[str, Any]:
    """Return the seconds of a validation and of its parts: reading, copy and network, and the sweep as the rest."""
    model = build_localizer(session, data, network)
    grid = inference_grid(network)
    model.network.eval()
    split = data.open_split("validate")
    model.evaluate("validate", grid[:1])
    total = _least_seconds(session, lambda: model.evaluate("validate", grid))
    one = _least_seconds(session, lambda: model.evaluate("validate", grid[:1]))
    reading = _least_seconds(session, lambda: _for_batches(split, split.read_batch))
    running = _least_seconds(session, lambda: _for_batches(split, lambda rows: _run(model, split, rows)))
    return {
        "mixtures": len(split),
        "settings": len(grid),
        "seconds": total,
        "seconds_one_setting": one,
        "reading": reading,
        "network_and_copy": running - reading,
        "sweep": total - running,
    }


def _least_seconds(session: Session, work: Callable[[], Any]) -> float:
    """Return the shorter of two durations: parts are differences, to which other load would add."""
    return min(session.measure_seconds(work) for _ in range(2))


def _run(model: Localizer, split: Split, rows: Any) -> None:
    waves = split.read_batch(rows).waves.to(model.device)
    run_network(model.network, waves, model.config, bf16=model._bf16)


def _for_batches(split: Split, work: Callable[[Any], Any]) -> None:
    for first in range(0, len(split), _AT_ONCE):
        work(np.arange(first, min(first + _AT_ONCE, len(split))))


def measure_features(session: Session, fmt: Format) -> dict[str, float]:
    """Return recordings of 60 s per second, on the device and with all threads of the CPU."""
    recordings, seconds = (1, 2) if session.miniature else (4, 60)
    waves = torch.randn(recordings, 4, seconds * SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0)) * 0.1
    moved = waves.to(session.device)

    def extract(content: torch.Tensor) -> int:
        extract_features(content, fmt)
        return recordings

    return {
        "recordings_per_second": session.measure_rate(lambda: extract(moved)),
        "recordings_per_second_cpu": session.measure_rate(lambda: extract(waves), warm_up=1),
    }
