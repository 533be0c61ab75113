"""Base class of trainables with one network, one optimizer and one loss."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables import distributed
from trainables.contract import DivergedError, Metrics, Trainable
from trainables.schedules import rate_factor

_NetworkT = TypeVar("_NetworkT", bound=nn.Module)


class NetworkTrainable(Trainable):
    """Trainable with one network.

    A subclass sets `network`, with `_build_seeded`, and builds its optimizer in `_build_optimizer` or sets `optimizer` itself;
    its `train_epoch` returns `_end_epoch(loss)`. The methods
    `_set_lr` and `_optimizer_step` need a Config with a group `optimizer` of `lr`, `schedule` and `clip_norm`; a subclass
    without it steps the optimizer itself. If the Config supports DDP, training steps call `_ddp_network()` instead of
    `network`. The order of samples and the augmentation are functions of `seed` and `epoch`, so the state does not contain
    them; a network with dropout is trained within `_seed_epoch()`.

    Attributes:
        network: Network in training.
        optimizer: Optimizer of its parameters, built at its first use: prediction needs none, and building the first one of a
            process takes seconds, in which torch imports its compiler.
        config: Hyperparameters.
        device: Device of the network.
        seed: Seed of the training.
        epoch: Number of completed epochs.
        epochs: Number of epochs of a full training.
    """

    network: nn.Module
    _ddp: nn.Module | None = None

    def __init__(self, config: Any, *, device: str, seed: int, epochs: int) -> None:
        self.config = config
        self.device = torch.device(device)
        self.seed = seed
        self.epochs = epochs
        self.epoch = 0

    @functools.cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Optimizer of the parameters of the network."""
        return self._build_optimizer()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        raise NotImplementedError

    def _build_seeded(self, build: Callable[[], _NetworkT]) -> _NetworkT:
        """Build a network with initial weights from the seed, leaving the global random state unchanged."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build().to(self.device)

    @contextlib.contextmanager
    def _seed_epoch(self) -> Iterator[None]:
        """Seed the global generators of torch, from which dropout draws, with seed and epoch; restore them at the end."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(distributed.rank_seed(self.seed * 100_003 + self.epoch))
            yield

    def _ddp_network(self) -> nn.Module:
        """Return the network for training steps; the first call broadcasts the weights of the first process."""
        if self._ddp is None:
            self._ddp = distributed.wrap_ddp(self.network)
        return self._ddp

    def _set_lr(self, fraction: float) -> None:
        """Set the learning rate at a completed fraction of this epoch, from 0 to 1."""
        progress = (self.epoch + fraction) / self.epochs
        rate = self.config.optimizer.lr * rate_factor(self.config.optimizer.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _optimizer_step(self, loss: Tensor) -> None:
        """Compute gradients, clip them, and step the optimizer."""
        step_optimizer(self.network, self.optimizer, loss, self.config.optimizer.clip_norm)

    def _end_epoch(self, loss: float) -> Metrics:
        """Increment the epoch and return its metrics.

        Args:
            loss: Mean training loss of the epoch.

        Raises:
            DivergedError: If the loss is not finite.
        """
        self.epoch += 1
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss of epoch {self.epoch} is {loss}")
        return {"train_loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def count_parameters(self) -> int:
        """Return the number of parameters of the network that have gradients."""
        return count_trainable(self.network)

    def state(self) -> dict[str, Any]:
        """Return weights, optimizer state and epoch."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return a copy of the weights on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights of the network."""
        self.network.load_state_dict(weights)


def step_optimizer(
    network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip_norm: float | None = None
) -> None:
    """Compute the gradients of a loss, clip them, and step the optimizer.

    Args:
        network: Network of the optimizer.
        optimizer: Optimizer of its parameters.
        loss: Loss of a batch.
        clip_norm: Largest norm of the gradients; 0 or None for any.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip_norm:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()


def count_trainable(network: nn.Module) -> int:
    """Return the number of parameters of a network that have gradients."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_unbuilt(build: Callable[[], nn.Module]) -> int:
    """Return the number of parameters with gradients of a network that is built without memory for them."""
    with torch.device("meta"):
        return count_trainable(build())


def epoch_indices(epoch: int, length: int, items: int, order: Callable[[int], NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the items of an epoch: a segment of the concatenated passes over the data.

    Args:
        epoch: Number of the epoch, from 0.
        length: Number of items per epoch.
        items: Number of items in the data.
        order: Function from the number of a pass to the order of its items, shape (items,).
    """
    first, last = epoch * length, (epoch + 1) * length
    passes = range(first // items, -(-last // items))
    stream = np.concatenate([order(number) for number in passes])
    return stream[first - passes[0] * items : last - passes[0] * items]
