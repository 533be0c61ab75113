"""Whether a training on the card can be repeated and resumed, and whether bf16 changes its results."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.gpu.datasets import open_built
from benchmarks.gpu.evaluation import inference_grid
from benchmarks.gpu.session import Session
from benchmarks.gpu.workloads import localizer_config
from datasets.rooms.dataset import Dataset
from trainables.localizer.trainable import Localizer

_NETWORK: Final = "rg_laptop"
_SEEDS: Final = (0, 1, 2)
_EPOCHS: Final = 8
_EPOCH_SAMPLES: Final = 5500


def measure(session: Session) -> None:
    """Repeat and resume trainings, with and without deterministic algorithms; then compare fp32 and bf16."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = (
        ":4096:8"  # for deterministic algorithms; read when the device is first used
    )
    data = open_built(session)
    for network in (_NETWORK, "rg_paper"):
        for deterministic in (False, True):
            label = f"{network}/{'deterministic' if deterministic else 'default'}"
            session.attempt(label, _compare_runs, session, data, network, deterministic)
    for seed in _SEEDS:
        for precision in ("fp32", "bf16"):
            name = f"f1_mean/{precision}/seed_{seed}"
            session.attempt(name, _train_and_score, session, data, precision, seed)


def _build(session: Session, data: Dataset, network: str, precision: str, seed: int, epochs: int) -> Localizer:
    config = localizer_config(network, miniature=session.miniature)
    samples = 16 if session.miniature else min(_EPOCH_SAMPLES, len(data.open_split("train")))
    optimizer = config.optimizer.model_copy(update={"epoch_samples": samples, "schedule": "one_cycle"})
    changed = config.model_copy(update={"precision": precision, "optimizer": optimizer})
    return Localizer(changed, data, device=session.device.type, seed=seed, epochs=epochs)


@contextmanager
def _algorithms(*, deterministic: bool) -> Iterator[None]:
    torch.use_deterministic_algorithms(deterministic)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def _compare_runs(session: Session, data: Dataset, network: str, deterministic: bool) -> dict[str, Any]:
    """Train two epochs twice, and once with a checkpoint after the first.

    Returns:
        For the repeated and the resumed run: `equal` if all weights are equal to the last bit, or the first difference.
    """
    with _algorithms(deterministic=deterministic):
        once = _build(session, data, network, "auto", 0, 2)
        once.train_epoch()
        checkpoint = copy.deepcopy(once.state())
        seconds = session.measure_seconds(once.train_epoch)
        again = _build(session, data, network, "auto", 0, 2)
        again.train_epoch()
        again.train_epoch()
        resumed = _build(session, data, network, "auto", 0, 2)
        resumed.load_state(checkpoint)
        resumed.train_epoch()
    return {
        "repeated": first_difference(once.weights(), again.weights()) or "equal",
        "resumed": first_difference(once.weights(), resumed.weights()) or "equal",
        "epoch_s": seconds,
    }


def first_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Return the first tensor that differs with its largest deviation, and the number of those that differ; None if none does."""
    differing = [name for name, value in expected.items() if not torch.equal(value, found[name])]
    if not differing:
        return None
    name = differing[0]
    deviation = float((expected[name].double() - found[name].double()).abs().max())
    return {"tensor": name, "largest_deviation": deviation, "tensors": len(differing), "of": len(expected)}


def _train_and_score(session: Session, data: Dataset, precision: str, seed: int) -> dict[str, float]:
    """Return the best F1 over all inference parameters after a short training, and its seconds."""
    epochs = 1 if session.miniature else _EPOCHS
    model = _build(session, data, _NETWORK, precision, seed, epochs)
    seconds = session.measure_seconds(lambda: [model.train_epoch() for _ in range(epochs)])
    scores = model.evaluate("validate", inference_grid(_NETWORK))
    return {"f1_mean": max(metrics["f1_mean"] for metrics in scores), "train_s": seconds, "epochs": epochs}
