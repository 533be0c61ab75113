"""Number of trials that run concurrently on the nodes of a cluster, and the share of a GPU that each one gets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from runtime.errors import InputError
from runtime.machines.machine import Gpu
from runtime.machines.nodes import Node
from spaces.schema import Resources

_REFRESH_S: Final = 5.0
_TOLERANCE: Final = 1e-6
"""Rounding tolerance: ten times 0.1 is a whole GPU."""
_USABLE_MEMORY: Final = 0.9
"""Usable share of a GPU's memory: trials differ, and allocators leave gaps."""
_RAY_UNITS: Final = 10_000
"""Ray counts fractions of a resource in ten-thousandths."""


class ConcurrencyLimit:
    """Number of trials that fit onto the nodes; the nodes are listed again every few seconds.

    Args:
        resources: Resources per trial.
        list_nodes: Lists the nodes that are available.
        minimum: Number of trials to keep pending even if they do not fit, so that Ray's autoscaler adds nodes.
        now: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        resources: Resources,
        list_nodes: Callable[[], Sequence[Node]],
        minimum: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources = resources
        self._list_nodes = list_nodes
        self._minimum = minimum or 0
        self._now = now
        self._refreshed = -_REFRESH_S
        self._slots = 0

    def __call__(self) -> int:
        """Return the number of trials that may run or be pending at the same time."""
        if self._now() - self._refreshed >= _REFRESH_S:
            self._slots = count_slots(self._list_nodes(), self._resources)
            self._refreshed = self._now()
        return max(self._slots, self._minimum)

    def idle_cores(self) -> int:
        """Return the number of cores that stay free while all trials that fit are running."""
        nodes = self._list_nodes()
        cores = sum(node.cpus for node in nodes)
        return max(0, int(cores - count_slots(nodes, self._resources) * self._resources.cpu))

    def require_capacity(self) -> None:
        """Check that at least one trial fits or may be pending.

        Raises:
            InputError: If no trial can run.
        """
        if not self():
            raise no_capacity_error(self._list_nodes(), self._resources)


def count_slots(nodes: Sequence[Node], resources: Resources) -> int:
    """Return how many trials run concurrently: each one on one node, and a fraction of a GPU on one GPU."""
    return sum(_node_slots(node, resources) for node in nodes)


def _node_slots(node: Node, resources: Resources) -> int:
    by_cpu = int(node.cpus / resources.cpu + _TOLERANCE)
    if not resources.gpu_share:
        return by_cpu
    if resources.gpu_share > 1:
        return min(by_cpu, int(node.gpus) // int(resources.gpu_share))
    return min(by_cpu, int(node.gpus) * int(1 / resources.gpu_share + _TOLERANCE))


def gpu_fraction(peak_bytes: int, gpus: Mapping[Node, Sequence[Gpu]], cpu: float) -> float:
    """Return the fraction of a GPU per trial, 1/n.

    The smallest GPU decides, because Ray may place any trial on any of them. There are no more fractions than the GPU with
    the most cores has trials' worth of cores.

    Args:
        peak_bytes: GPU memory of the baseline.
        gpus: GPUs of each node that has some.
        cpu: Cores per trial.

    Returns:
        1/n, rounded down to a ten-thousandth so that n trials fit.
    """
    smallest = min(gpu.memory_bytes for node_gpus in gpus.values() for gpu in node_gpus)
    by_memory = int(_USABLE_MEMORY * smallest / peak_bytes)
    by_cores = max(int(node.cpus / len(node_gpus) / cpu + _TOLERANCE) for node, node_gpus in gpus.items())
    return math.floor(_RAY_UNITS / max(1, min(by_memory, by_cores))) / _RAY_UNITS


def no_capacity_error(nodes: Sequence[Node], resources: Resources) -> InputError:
    """Return the error for a cluster on which no trial can run."""
    available = "; ".join(f"{node.name}: {node.cpus:g} CPU, {node.gpus:g} GPU" for node in nodes)
    return InputError(
        "resources",
        f"a node must have room for a trial, {resources.cpu:g} CPU and {resources.gpu_share:g} GPU",
        value=available,
        remedy="wait until `ray status` shows the workers, or request nodes with --at-once N if Ray starts them; "
        "otherwise --profile laptop, or --set resources.cpu=… --set resources.gpu=…",
    )


def no_gpu_error() -> InputError:
    """Return the error for `resources.gpu: auto` on a cluster without a GPU."""
    return InputError(
        "resources.gpu",
        "auto needs a node with a GPU to measure a trial on",
        value="none of the nodes has one",
        remedy="wait until `ray status` shows GPUs, or --profile laptop, or --set resources.gpu=…",
    )
