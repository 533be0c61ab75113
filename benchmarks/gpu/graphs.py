"""Training steps as CUDA graphs, on random inputs and fed with mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from benchmarks.gpu.data import measure_fed_rate
from benchmarks.gpu.datasets import open_built
from benchmarks.gpu.feeding import FEEDS, random_batches
from benchmarks.gpu.session import Session
from benchmarks.gpu.steps import GRAPHS, make_training_function
from benchmarks.gpu.training import count_all_flop, measure_variant
from benchmarks.gpu.workloads import LocalizerLoss, list_workloads, localizer_config
from datasets.rooms.dataset import Batch
from trainables.acceleration import CapturedStep

_NETWORKS: Final = ("rg_laptop", "rg_paper", "hm_paper", "doanet")
"""In this order, since a capture that fails may affect later ones; DOAnet's losses are the most likely to."""


def measure(session: Session) -> None:
    """Measure all networks as graphs, and trainings on resident mixtures."""
    workloads = list_workloads(miniature=session.miniature)
    flop = count_all_flop(session, workloads)
    for network in ("rg_laptop", "rg_paper"):
        session.attempt(f"training/{network}/resident_int16", _measure_fed_graph, session, network)
    for variant in GRAPHS:
        for name in _NETWORKS:
            measure_variant(session, [workloads[name]], variant, flop)


def _measure_fed_graph(session: Session, network: str) -> float:
    """Return mixtures per second of a training from the memory of the card; a miniature is not captured."""
    config = localizer_config(network, miniature=session.miniature)
    split = open_built(session).open_split("train")
    indices = random_batches(len(split), config.optimizer.batch_size)
    batches = FEEDS["resident_int16"](split, indices, session.device)
    module = LocalizerLoss(config).to(session.device)
    module.bf16 = True
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train: Callable[..., Any] = make_training_function(module, captured=not session.miniature)
    if not session.miniature:
        first = next(batches)
        train = CapturedStep(train, (first.waves, module.make_target(first.positions_m)))

    def step(batch: Batch) -> None:
        train(batch.waves, module.make_target(batch.positions_m))

    return measure_fed_rate(session, batches, step)
