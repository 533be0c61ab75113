"""Training steps on random inputs: rate, share of the card's peak, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.gpu.card import card_name, peak_tflops
from benchmarks.gpu.session import Session
from benchmarks.gpu.steps import BF16, COMPILED, EAGER, Variant, measure_step
from benchmarks.gpu.workloads import Workload, count_step_flop, list_workloads

_BATCHES: Final = (32, 64, 256, 512)
"""Batch sizes whose memory and rate are measured besides the workload's own."""
_COMPILED_NETWORKS: Final = ("rg_paper", "rg_laptop", "doanet")


def measure(session: Session) -> None:
    """Measure all networks in all eager variants, most telling first; then batch sizes."""
    workloads = list_workloads(miniature=session.miniature)
    if session.miniature:
        del workloads["hm_paper"]
    flop = count_all_flop(session, workloads)
    for variant in sorted(EAGER, key=lambda variant: variant.name not in ("bf16", "tf32", "fp32")):
        measure_variant(session, list(workloads.values()), variant, flop)
    for name in ("rg_paper", "rg_laptop"):
        for batch in (4,) if session.miniature else _BATCHES:
            session.attempt(
                f"{name}/bf16/batch_{batch}", _measure_share, session, workloads[name], BF16, flop.get(name), batch
            )


def measure_compiled(session: Session) -> None:
    """Measure networks compiled by `torch.compile`, with and without a CUDA graph."""
    workloads = list_workloads(miniature=session.miniature)
    chosen = [workloads[name] for name in _COMPILED_NETWORKS]
    flop = count_all_flop(session, {workload.name: workload for workload in chosen})
    for workload in chosen:
        for variant in COMPILED:
            measure_variant(session, [workload], variant, flop)


def count_all_flop(session: Session, workloads: dict[str, Workload]) -> dict[str, float]:
    """Count and store the operations per item of all workloads."""
    counted = {}
    for name, workload in workloads.items():
        value = session.attempt(f"{name}/flop_per_item", count_step_flop, workload)
        if value is not None:
            counted[name] = float(value)
    return counted


def measure_variant(session: Session, workloads: Sequence[Workload], variant: Variant, flop: dict[str, float]) -> None:
    """Measure workloads in a variant, and store rates and shares of the peak."""
    for workload in workloads:
        name = f"{workload.name}/{variant.name}"
        session.attempt(name, _measure_share, session, workload, variant, flop.get(workload.name))


def _measure_share(
    session: Session, workload: Workload, variant: Variant, flop: float | None, batch: int | None = None
) -> dict[str, Any]:
    """Measure a variant, with its rate of operations and the share of the card's peak where that is known."""
    measured = measure_step(workload, variant, session, batch)
    if flop is None:
        return measured
    tflops = measured["items_per_second"] * flop / 1e12
    peak = peak_tflops(card_name(session.device), variant.number_format)
    return measured | {"tflops": tflops, "share_of_peak": None if peak is None else tflops / peak}
