"""What trainables share that are one network, one optimizer and a loss to descend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables import distributed
from trainables.contract import DivergedError, Metrics, Trainable
from trainables.schedules import rate_factor

Network = TypeVar("Network", bound=nn.Module)


class NetworkTrainable(Trainable):
    """A trainable with one network. Order and augmentation follow from seed and epoch, so they are in no state.

    A subclass sets `network`, from `_seeded`, and `optimizer`. Its Config has a group `optimizer` with `lr`, `schedule` and
    `clip_norm`. Where several processes train together, it calls `_in_training` in place of `network`.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    _beside: nn.Module | None = None

    def __init__(self, config: Any, *, device: str, seed: int, epochs: int) -> None:
        self.config = config
        self.device = torch.device(device)
        self.seed = seed
        self.epochs = epochs
        self.epoch = 0

    def _build_seeded(self, build: Callable[[], Network]) -> Network:
        """Build a network whose first weights the seed decides, and nothing else's randomness is touched."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build().to(self.device)

    def _ddp_network(self) -> nn.Module:
        """The network, for a step of training; the first call gives all processes the first one's weights."""
        if self._beside is None:
            self._beside = distributed.wrap_ddp(self.network)
        return self._beside

    def _set_lr(self, part: float) -> None:
        """Set the learning rate for a point of this epoch, from 0 to 1."""
        progress = (self.epoch + part) / self.epochs
        rate = self.config.optimizer.lr * rate_factor(self.config.optimizer.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _optimizer_step(self, loss: Tensor) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()

    def _end_epoch(self, loss: float) -> Metrics:
        """Count the epoch.

        Args:
            loss: Its mean.

        Raises:
            DivergedError: If that is not finite.
        """
        self.epoch += 1
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss of epoch {self.epoch} is {loss}")
        return {"train_loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def state(self) -> dict[str, Any]:
        """Weights, optimizer and epoch."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """The network's weights."""
        return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over a network's weights."""
        self.network.load_state_dict(weights)


def epoch_indices(epoch: int, length: int, whole: int, order: Callable[[int], NDArray[np.int64]]) -> NDArray[np.int64]:
    """What an epoch trains on: a stretch of passes over the data, one after the other.

    Args:
        epoch: Its number, from 0.
        length: How many items it takes.
        whole: How many items there are.
        order: All items, shape (whole,), in the order of a pass, by its number.
    """
    first, last = epoch * length, (epoch + 1) * length
    passes = range(first // whole, -(-last // whole))
    stream = np.concatenate([order(number) for number in passes])
    return stream[first - passes[0] * whole : last - passes[0] * whole]
