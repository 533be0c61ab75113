"""Trials that share the card: the sum of their rates."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.gpu.session import Session, describe_error
from benchmarks.gpu.steps import EAGER, GRAPHS, make_step
from benchmarks.gpu.workloads import list_workloads

_COUNTS: Final = (1, 2, 4, 8)
_SECONDS: Final = 1.5
_NETWORKS: Final = ("rg_laptop", "rg_paper")
_WAIT_S: Final = 40.0
"""Longest wait of one process for the others."""

Round = tuple[str, str, int]
"""Network, variant and number of processes that train at once."""


def measure(session: Session) -> None:
    """Start processes once, and let more and more of them train at the same time."""
    counts, networks = ((1, 2), _NETWORKS[:1]) if session.miniature else (_COUNTS, _NETWORKS)
    variants = ("bf16",) if session.miniature else ("bf16", "bf16_graph")
    rounds = [(network, variant, count) for network in networks for variant in variants for count in counts]
    results = run_rounds(rounds, miniature=session.miniature)
    for network, variant, count in rounds:
        session.attempt(f"{network}/{variant}/{count}", _summarise_next, results)


def _summarise_next(results: Iterator[list[float | str]]) -> dict[str, Any]:
    """Return the sum and the extremes of the rates, and the first error if there is one."""
    values = next(results)
    rates = [value for value in values if not isinstance(value, str)]
    errors = [value for value in values if isinstance(value, str)]
    found: dict[str, Any] = {"error": errors[0]} if errors else {}
    if rates:
        found |= {"sum_items_per_second": sum(rates), "least": min(rates), "greatest": max(rates)}
    return found


def run_rounds(rounds: Sequence[Round], *, miniature: bool) -> Iterator[list[float | str]]:
    """Yield the rates of each round's processes, or the text of their errors."""
    context = multiprocessing.get_context("spawn")
    processes = max(count for _, _, count in rounds)
    barrier = context.Barrier(processes)
    queues = [context.Queue() for _ in range(processes)]
    workers = [
        context.Process(target=_train_in_turn, args=(rank, rounds, miniature, barrier, queue), daemon=True)
        for rank, queue in enumerate(queues)
    ]
    for worker in workers:
        worker.start()
    try:
        for _, _, count in rounds:
            yield [queue.get(timeout=_WAIT_S) for queue in queues[:count]]
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _train_in_turn(rank: int, rounds: Sequence[Round], miniature: bool, barrier: Any, queue: Any) -> None:
    torch.set_num_threads(1)
    session = Session(Path(os.devnull), Path(os.devnull), miniature)
    for network, variant, count in rounds:
        step = _prepare_step(session, network, variant) if rank < count else "idle"
        barrier.wait(_WAIT_S)
        if rank < count:
            queue.put(_measure_rate(session, network, step))
        step = None
        session.empty_cache()
        barrier.wait(_WAIT_S)


def _prepare_step(session: Session, network: str, variant: str) -> Any:
    """Return a training step that has been run, or the text of its error; the other processes wait at the barrier."""
    try:
        workload = list_workloads(miniature=session.miniature)[network]
        chosen = next(known for known in (*EAGER, *GRAPHS) if known.name == variant)
        step = make_step(workload, chosen, workload.batch, session)
        for _ in range(5):
            step()
        session.synchronize()
    except Exception as error:  # noqa: BLE001
        return describe_error(error)
    return step


def _measure_rate(session: Session, network: str, step: Any) -> float | str:
    if isinstance(step, str):
        return step
    batch = list_workloads(miniature=session.miniature)[network].batch

    def train() -> int:
        step()
        return batch

    try:
        return session.measure_rate(train, 0.05 if session.miniature else _SECONDS, warm_up=0)
    except Exception as error:  # noqa: BLE001
        return describe_error(error)
