"""A linear model for tests of distributed training, with failures of one of its processes."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from search.execution.ddp import DdpWorkers
from trainables import distributed
from trainables.contract import Metrics
from trainables.network_trainable import NetworkTrainable

STEPS = 5
BATCH = 8
CPUS = ("cpu", "cpu")


class LinearTrainable(NetworkTrainable):
    """Fit of a plane by gradient descent, in batches of eight.

    Args:
        device: Torch device.
        failure: Failure of the second process: "cannot be built", "raises", "dies" or "diverges"; empty for none.
    """

    def __init__(self, device: str, failure: str = "") -> None:
        optimizer = SimpleNamespace(lr=0.1, schedule="constant", clip_norm=0.05)
        super().__init__(SimpleNamespace(optimizer=optimizer), device=device, seed=3, epochs=2)
        if distributed.rank() and failure == "cannot be built":
            raise ValueError("no room on this GPU")
        self.network = self._build_seeded(lambda: nn.Linear(3, 1))
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1)
        generator = torch.Generator().manual_seed(1)
        self._inputs = torch.randn(STEPS * BATCH, 3, generator=generator)
        self._targets = self._inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
        self._failure = failure

    def train_epoch(self) -> Metrics:
        if distributed.rank() and self._failure == "raises":
            raise ValueError("no more memory")
        if distributed.rank() and self._failure == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        total = torch.zeros(())
        for first in range(0, len(self._inputs), BATCH):
            part = distributed.shard_batch(BATCH)
            inputs, targets = (tensor[first : first + BATCH][part] for tensor in (self._inputs, self._targets))
            loss = (self._ddp_network()(inputs) - targets).square().mean()
            self._optimizer_step(loss)
            total += loss.detach()
        return self._end_epoch(
            float("nan") if self._failure == "diverges" else float(distributed.all_reduce_mean(total)) / STEPS
        )

    def evaluate(self, split: str, params_grid: Any) -> list[Metrics]:
        raise NotImplementedError


def main(failure: str, folder: Path) -> None:
    """Train in two processes and print the result; with the failure "waits", wait to be killed instead."""
    workers = DdpWorkers(CPUS, partial(LinearTrainable, failure=failure))
    (folder / "peer").write_text(str(workers._processes[0].pid))
    if failure == "waits":
        signal.pause()
    own = LinearTrainable("cpu")
    print(workers.run_on_all(own.train_epoch))
    workers.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
