"""Training steps on a GPU: number formats, CUDA graphs, and batches that are copied ahead.

No trainable uses this module yet: `benchmarks.gpu` measures what each part gains, and defaults follow such measurements.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]

_WARM_UP_STEPS: Final = 3
"""Steps before a capture, in which libraries choose algorithms and the optimizer allocates its state."""


@contextmanager
def matmul_precision(*, tf32: bool) -> Iterator[None]:
    """Allow or forbid TF32 in matrix products and convolutions of single precision.

    Without this context PyTorch allows TF32 in convolutions and forbids it in matrix products.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


class CapturedStep:
    """Training step that is captured once as a CUDA graph and replayed for every batch.

    The step must not wait for the device, and its shapes must not change. The optimizer needs `capturable=True`; a learning
    rate that changes has to be a tensor. The steps that warm up and the captured one train on `inputs`.

    Args:
        step: Function from the inputs to the loss, which also steps the optimizer.
        inputs: Inputs of the first batch, on the device.
    """

    def __init__(self, step: Callable[..., Tensor], inputs: Tensors) -> None:
        self._inputs = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                step(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = step(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Train on one batch; return its loss, which the next call overwrites."""
        for own, value in zip(self._inputs, inputs, strict=True):
            own.copy_(value, non_blocking=True)
        self._graph.replay()
        return self._loss


def prefetch_batches(batches: Iterable[Tensors], device: torch.device, depth: int = 2) -> Iterator[Tensors]:
    """Read batches in a thread and copy them to the device from pinned memory, while earlier ones are in use.

    Args:
        batches: Batches in memory of the CPU; iterated in the thread.
        device: Device of the training; on a CPU nothing is copied.
        depth: Number of batches that wait to be used.

    Yields:
        The batches on the device, in their order.

    Raises:
        Exception: An exception of `batches`, after the batches before it.
    """
    ready: queue.Queue[tuple[Tensors, torch.cuda.Event | None] | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_copy_ahead, args=(batches, device, ready, stop), name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield _await_copy(*item)
    finally:
        stop.set()
        thread.join()


def _await_copy(tensors: Tensors, copied: torch.cuda.Event | None) -> Tensors:
    """Let the current stream wait for a copy, and keep the memory until the stream has used it."""
    if copied is not None:
        stream = torch.cuda.current_stream()
        stream.wait_event(copied)
        for value in tensors:
            value.record_stream(stream)
    return tensors


def _copy_ahead(
    batches: Iterable[Tensors],
    device: torch.device,
    ready: queue.Queue[tuple[Tensors, torch.cuda.Event | None] | BaseException | None],
    stop: threading.Event,
) -> None:
    last: BaseException | None = None
    try:
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        for batch in batches:
            if not _put(ready, _start_copy(batch, device, stream), stop):
                return
    except BaseException as error:  # noqa: BLE001  # raised again in the thread that uses the batches
        last = error
    _put(ready, last, stop)


def _start_copy(
    batch: Tensors, device: torch.device, stream: torch.cuda.Stream | None
) -> tuple[Tensors, torch.cuda.Event | None]:
    if stream is None:
        return tuple(value.to(device) for value in batch), None
    with torch.cuda.stream(stream):
        copies = tuple(value.pin_memory().to(device, non_blocking=True) for value in batch)
        return copies, stream.record_event()


def _put(
    ready: queue.Queue[tuple[Tensors, torch.cuda.Event | None] | BaseException | None],
    item: tuple[Tensors, torch.cuda.Event | None] | BaseException | None,
    stop: threading.Event,
) -> bool:
    """Put an item into the queue; return False if nobody takes batches any more."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False
