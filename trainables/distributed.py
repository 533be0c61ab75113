"""Data-parallel training: several processes train one model on shards of every batch and average their gradients.

The processes are those of torch's default process group; without one, this process is alone and all functions here leave
their arguments unchanged. `search.execution.ddp` starts the processes, one per GPU of a trial.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """Return the number of processes that train this model."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the index of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def rank_seed(common: int) -> int:
    """Return a seed that is unique to this process, and equal to `common` in the first one."""
    return common + (rank() << 40)


def shard_batch(size: int) -> slice:
    """Return the shard of a batch that belongs to this process.

    All shards have the same length, so a remainder is left out.

    Args:
        size: Number of items in the batch, the same in all processes.

    Returns:
        Range of `size // world_size()` items.
    """
    length = size // world_size()
    return slice(rank() * length, (rank() + 1) * length)


def wrap_ddp(network: nn.Module) -> nn.Module:
    """Wrap a network so that its gradients are averaged over all processes.

    Returns:
        The wrapper, or the network itself if this process is alone.
    """
    if world_size() == 1:
        return network
    # Heads that a loss leaves out have no gradient, which is not an error.
    return DistributedDataParallel(network, find_unused_parameters=True)


@torch.no_grad()
def all_reduce_mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes."""
    if world_size() > 1:
        value = value.clone()
        distributed.all_reduce(value)
        value /= world_size()
    return value
