"""How trials fit onto the nodes of a cluster: decisions, without Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from runtime.errors import InputError
from runtime.machine import Gpu
from runtime.nodes import Node
from spaces.schema import Resources

_SLACK: Final = 1e-6
"""Ten times 0.1 is a whole GPU, in floats too."""
_USABLE: Final = 0.9
"""Of a GPU's memory: trials differ, and allocators leave gaps."""
_GRAIN: Final = 10_000
"""Ray counts in ten-thousandths."""


def count_slots(nodes: Sequence[Node], resources: Resources) -> int:
    """How many trials run side by side: each on one node, and a share of a GPU on one GPU."""
    return sum(_node_slots(node, resources) for node in nodes)


def _node_slots(node: Node, resources: Resources) -> int:
    by_cpu = int(node.cpus / resources.cpu + _SLACK)
    if not resources.gpu_share:
        return by_cpu
    if resources.gpu_share > 1:
        return min(by_cpu, int(node.gpus) // int(resources.gpu_share))
    return min(by_cpu, int(node.gpus) * int(1 / resources.gpu_share + _SLACK))


def no_capacity_error(nodes: Sequence[Node], resources: Resources) -> InputError:
    """Why no trial can ever run."""
    there = "; ".join(f"{node.name}: {node.cpus:g} CPU, {node.gpus:g} GPU" for node in nodes)
    return InputError(
        "resources",
        f"a node must have room for a trial, {resources.cpu:g} CPU and {resources.gpu_share:g} GPU",
        value=there,
        remedy="wait until `ray status` shows the workers, or ask for nodes with --at-once N where Ray starts them; "
        "else --profile laptop, or --set resources.cpu=… --set resources.gpu=…",
    )


def gpu_fraction(peak_bytes: int, gpus: Mapping[Node, Sequence[Gpu]], cpu: float) -> float:
    """What part of a GPU a trial gets, as one part in a whole number.

    The smallest GPU decides: Ray may put any trial onto any of them. There are no more parts than the best supplied GPU has
    cores for.

    Args:
        peak_bytes: What the baseline takes.
        gpus: Of the nodes that have some.
        cpu: Cores of a trial.

    Returns:
        1/n, rounded down to what Ray counts in, so that n trials fit.
    """
    smallest = min(gpu.memory_bytes for there in gpus.values() for gpu in there)
    by_memory = int(_USABLE * smallest / peak_bytes)
    by_cores = max(int(node.cpus / len(there) / cpu + _SLACK) for node, there in gpus.items())
    return math.floor(_GRAIN / max(1, min(by_memory, by_cores))) / _GRAIN


def no_gpu_error() -> InputError:
    """Why `auto` cannot be answered on a cluster."""
    return InputError(
        "resources.gpu",
        "auto needs a node with a GPU to measure a trial on",
        value="none of the nodes has one",
        remedy="wait until `ray status` shows GPUs, or --profile laptop, or --set resources.gpu=…",
    )
