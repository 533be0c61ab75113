"""Batches that are copied ahead; what needs a GPU is measured by benchmarks.gpu."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from trainables.acceleration import matmul_precision, prefetch_batches

CPU = torch.device("cpu")


def numbered(count: int) -> Iterator[tuple[Tensor, ...]]:
    for number in range(count):
        yield torch.tensor(number), torch.tensor(-number)


def test_prefetched_batches_keep_their_order() -> None:
    found = [(int(first), int(second)) for first, second in prefetch_batches(numbered(20), CPU, depth=3)]
    assert found == [(number, -number) for number in range(20)]


def test_an_error_of_the_data_reaches_the_training_after_the_batches_before_it() -> None:
    def broken() -> Iterator[tuple[Tensor, ...]]:
        yield from numbered(2)
        raise OSError("the disk is gone")

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        found += [batch for batch in prefetch_batches(broken(), CPU)]  # noqa: C416
    batches = prefetch_batches(broken(), CPU)
    assert [int(next(batches)[0]) for _ in range(2)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_a_training_that_stops_early_stops_the_thread() -> None:
    batches = prefetch_batches(numbered(10_000), CPU)
    next(batches)
    assert any(thread.name == "prefetch" for thread in threading.enumerate())
    batches.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_the_precision_is_restored_after_an_error() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    inside = []

    def fail() -> None:
        with matmul_precision(tf32=not before[1]):
            inside.append(torch.backends.cudnn.allow_tf32)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert inside == [not before[1]]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
