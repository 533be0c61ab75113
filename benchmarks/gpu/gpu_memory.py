"""Memory that `gpu: auto` measures, compared with that of complete epochs and validations."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.gpu.data import build_localizer
from benchmarks.gpu.datasets import open_built
from benchmarks.gpu.evaluation import inference_grid
from benchmarks.gpu.session import Session
from search.execution import gpu_memory


def measure(session: Session, network: str) -> None:
    """Measure one network; the process must not have used the card before.

    Args:
        session: State of the measurement.
        network: Key of `workloads.LOCALIZERS`.
    """
    session.attempt(network, _measure_network, session, network)


def _measure_network(session: Session, network: str) -> dict[str, Any]:
    model = build_localizer(session, open_built(session), network)
    grid = [dict(params) for params in inference_grid(network)]
    started = time.perf_counter()
    timeout_s = min(gpu_memory.PROBE_S, session.left_s / 2)
    probed = gpu_memory.measure_training(model, grid[:1], lambda: _read_used(session), timeout_s)
    taken = time.perf_counter() - started
    model.train_epoch()
    model.evaluate("validate", grid)
    used = _read_used(session)
    result = {"probe_bytes": probed, "probe_s": taken, "epoch_and_sweep_bytes": used}
    if session.device.type == "cuda":
        result |= {
            "max_allocated_bytes": torch.cuda.max_memory_allocated(),
            "max_reserved_bytes": torch.cuda.max_memory_reserved(),
            "probe_over_use": probed / used,
        }
    return result


def _read_used(session: Session) -> int:
    return gpu_memory.used_gpu_bytes() if session.device.type == "cuda" else 0
