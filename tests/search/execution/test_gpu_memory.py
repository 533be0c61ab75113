"""The probe measures while a trial trains, and does not wait for its end."""

from __future__ import annotations

import threading
import types
from typing import Any

import pytest
import torch

from search.execution import gpu_memory
from tests.search.support import space


class Training:
    """Trainable that takes memory when it validates, more when it trains, and trains until it is stopped."""

    def __init__(self, fails: bool = False) -> None:
        self.taken = 0
        self.training = threading.Event()
        self.stop = threading.Event()
        self._fails = fails

    def evaluate(self, *_: Any) -> None:
        self.taken = 2

    def train_epoch(self) -> None:
        if self._fails:
            raise RuntimeError("no memory at all")
        self.taken += 5
        self.training.set()
        self.stop.wait(30)


def test_memory_is_read_although_the_epoch_goes_on() -> None:
    trainable: Any = Training()

    def used() -> int:
        assert trainable.training.wait(30)
        return trainable.taken

    assert gpu_memory.measure_training(trainable, [{}], used, timeout_s=0.01) == 7
    trainable.stop.set()


def test_what_goes_wrong_is_raised() -> None:
    trainable: Any = Training(fails=True)
    with pytest.raises(RuntimeError, match="no memory at all"):
        gpu_memory.measure_training(trainable, [{}], lambda: 0)


def test_a_trainable_that_raises_takes_a_whole_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any) -> None:
        raise NameError("lamda is not defined")

    searched: Any = types.SimpleNamespace(space=space(), dataset_for=lambda _: None)
    monkeypatch.setattr(gpu_memory, "build_trainable", build)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3, 16))
    assert gpu_memory.measure_baseline(searched) == 16
