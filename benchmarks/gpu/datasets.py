"""The datasets that the measurements need, rendered by a pool of processes, and the speed of rendering."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu.session import Session
from benchmarks.gpu.workloads import SPEC, SPEC_VALUES
from datasets.acoustics.propagation import FreeField
from datasets.building.builder import Builder, ShardExecutor
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriterFactory, WriteShard
from datasets.rooms.dataset import Dataset, open_dataset
from datasets.rooms.plan import RoomPlan
from datasets.rooms.spec import RoomSpec
from runtime.machines import machine
from runtime.storage import storage_at

_MINIATURE: Final = {"train": 40, "validate": 16, "excerpts": 8, "excerpt_s": 1.0}
_RENDERED: Final = (32, 256, 2048)
"""Numbers of mixtures that the card renders at once."""
_writers: list[WriteShard] = []


def plan_dataset(session: Session, train: int | None = None) -> RoomPlan:
    """Return the plan of a dataset.

    Args:
        session: A miniature has its own sizes.
        train: Number of training mixtures; that of `workloads.SPEC` by default.
    """
    changes = _MINIATURE if session.miniature else {} if train is None else {"train": train}
    spec = RoomSpec.model_validate(SPEC_VALUES | changes)
    return RoomPlan.from_spec(spec, "benchmarks.gpu")


def open_built(session: Session, train: int | None = None) -> Dataset:
    """Open a dataset that the first measurement has built.

    Raises:
        InputError: If it is incomplete.
    """
    return open_dataset(plan_dataset(session, train), storage_at(str(session.data)), session.data)


def build(session: Session, train: int | None = None) -> dict[str, Any]:
    """Build what is missing of a dataset.

    Returns:
        Rows, seconds and rows per second of every unit, with the starts of the processes.
    """
    marks: dict[str, list[tuple[float, int]]] = {}

    def mark(unit: str, done: int, _total: int) -> None:
        marks.setdefault(unit, []).append((time.perf_counter(), done))

    processes = 1 if session.miniature else machine.count_cores()
    started = time.perf_counter()
    Builder(storage_at(str(session.data)), mark, write_in_pool(processes)).build(plan_dataset(session, train))
    result: dict[str, Any] = {"seconds": time.perf_counter() - started, "processes": processes}
    for unit, times in marks.items():
        rows, seconds = times[-1][1] - times[0][1], times[-1][0] - times[0][0]
        result[unit] = {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds if seconds else None}
    return result


def write_in_pool(processes: int) -> ShardExecutor:
    """Return an executor that writes shards in processes of this machine."""

    def over(factory: WriterFactory, shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        with multiprocessing.get_context("spawn").Pool(processes, _prepare_worker, (factory,)) as pool:
            yield from pool.imap_unordered(_write_shard, shards)

    return over


def _prepare_worker(factory: WriterFactory) -> None:
    torch.set_num_threads(1)
    machine.disable_malloc_trim()
    _writers.append(factory())


def _write_shard(shard: Shard) -> ShardEntry:
    return _writers[0](shard)


def measure(session: Session) -> None:
    """Build the dataset of the other measurements, and render on the card."""
    session.attempt("render_on_cpu", build, session)
    for batch in (4,) if session.miniature else _RENDERED:
        session.attempt(f"render_on_card/batch_{batch}", _render_on_card, session, batch)
    session.attempt("render_on_card/deviation", _compare_renderers, session)


def _draw_sources(field: FreeField, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    waves = generator.standard_normal((batch, 2, field.window.length)).astype(np.float32)
    return torch.from_numpy(waves), torch.from_numpy(SPEC.draw_positions(generator, batch, 2))


def _render_on_card(session: Session, batch: int) -> dict[str, float]:
    """Return mixtures per second of the propagation alone; the signals of the sources are on the device."""
    field = FreeField(SPEC.size_m, SPEC.microphones_m()).to(session.device)
    waves, positions = (value.to(session.device) for value in _draw_sources(field, batch))

    def render() -> int:
        field.propagate(waves, positions)
        return batch

    return {"mixtures_per_second": session.measure_rate(render)}


def _compare_renderers(session: Session) -> float:
    """Return the largest deviation of the card's waves from those of the CPU, relative to the largest sample."""
    field = FreeField(SPEC.size_m, SPEC.microphones_m())
    waves, positions = _draw_sources(field, 16)
    expected = field.propagate(waves, positions)
    found = field.to(session.device).propagate(waves.to(session.device), positions.to(session.device)).cpu()
    return float((found - expected).abs().max() / expected.abs().max())
