"""A trainable small enough to compute by hand, and the ways in which one of its processes can fail."""

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


class Line(NetworkTrainable):
    """Fits a plane by gradient descent, in batches of eight."""

    def __init__(self, device: str, trouble: str = "") -> None:
        optimizer = SimpleNamespace(lr=0.1, schedule="constant", clip_norm=0.05)
        super().__init__(SimpleNamespace(optimizer=optimizer), device=device, seed=3, epochs=2)
        if distributed.rank() and trouble == "cannot be built":
            raise ValueError("no room on this GPU")
        self.network = self._build_seeded(lambda: nn.Linear(3, 1))
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1)
        generator = torch.Generator().manual_seed(1)
        self._inputs = torch.randn(STEPS * BATCH, 3, generator=generator)
        self._wanted = self._inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
        self._trouble = trouble

    def train_epoch(self) -> Metrics:
        if distributed.rank() and self._trouble == "raises":
            raise ValueError("no more memory")
        if distributed.rank() and self._trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        total = torch.zeros(())
        for first in range(0, len(self._inputs), BATCH):
            part = distributed.shard_batch(BATCH)
            inputs, wanted = (whole[first : first + BATCH][part] for whole in (self._inputs, self._wanted))
            loss = (self._ddp_network()(inputs) - wanted).square().mean()
            self._optimizer_step(loss)
            total += loss.detach()
        return self._end_epoch(
            float("nan") if self._trouble == "diverges" else float(distributed.all_reduce_mean(total)) / STEPS
        )

    def evaluate(self, split: str, settings: Any) -> list[Metrics]:
        raise NotImplementedError

    def predict(self, audio: Any, settings: Any) -> Any:
        raise NotImplementedError


def main(trouble: str, folder: Path) -> None:
    """Train with another process, and say what came of it; `waits` stands still in between, to be killed."""
    peers = DdpWorkers(CPUS, partial(Line, trouble=trouble))
    (folder / "peer").write_text(str(peers._processes[0].pid))
    if trouble == "waits":
        signal.pause()
    own = Line("cpu")
    print(peers.run_on_all(own.train_epoch))
    peers.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
