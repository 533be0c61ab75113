"""Several processes that train one model: each learns from its part of every batch, with the mean of all gradients.

The processes are those of torch's default process group; without one, this process is alone and nothing here changes
anything. `search.execution.ddp` starts them, one for each GPU of a trial.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """How many processes train this model."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def rank_seed(common: int) -> int:
    """A seed that no other of the processes has, and that is `common` in the first."""
    return common + (rank() << 40)


def shard_batch(size: int) -> slice:
    """This process's part of a batch; all parts are of one length, so a rest is left out.

    Args:
        size: Of the batch, the same in all processes.

    Returns:
        `size // count()` places, or all where the process is alone.
    """
    each = size // world_size()
    return slice(rank() * each, (rank() + 1) * each)


def wrap_ddp(network: nn.Module) -> nn.Module:
    """A network as a step of training is to call it: its gradients become the mean over all processes.

    Where the process is alone, that is the network itself.
    """
    if world_size() == 1:
        return network
    # Heads that a loss leaves out have no gradient, which is no mistake.
    return DistributedDataParallel(network, find_unused_parameters=True)


@torch.no_grad()
def all_reduce_mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    if world_size() > 1:
        value = value.clone()
        distributed.all_reduce(value)
        value /= world_size()
    return value
