"""How trials fit onto the nodes of a cluster: decisions, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from datasets.errors import InputError
from datasets.nodes import Node
from spaces.schema import Resources

_SLACK: Final = 1e-6
"""Ten times 0.1 is a whole GPU, in floats too."""


def slots(nodes: Sequence[Node], resources: Resources) -> int:
    """How many trials run side by side: each on one node, and a fraction of a GPU on one GPU."""
    return sum(_slots_of(node, resources) for node in nodes)


def _slots_of(node: Node, resources: Resources) -> int:
    by_cpu = int(node.cpus / resources.cpu + _SLACK)
    if not resources.gpu:
        return by_cpu
    if resources.gpu < 1:
        return min(by_cpu, int(node.gpus) * int(1 / resources.gpu + _SLACK))
    return min(by_cpu, int(node.gpus / resources.gpu + _SLACK))


def to_come(config: Mapping[str, Any], there: Sequence[Node]) -> list[Node]:
    """The workers that an autoscaler may still add, largest GPU first.

    Args:
        config: Of the cluster, as `ray up` left it on the head.
        there: Nodes that are up, the head among them.
    """
    types = config.get("available_node_types", {})
    workers = [
        Node("", name, kind["resources"])
        for name, kind in types.items()
        if name != config.get("head_node_type")
        for _ in range(kind.get("max_workers", 0))
    ]
    workers.sort(key=lambda node: node.gpus, reverse=True)
    return workers[: max(0, config.get("max_workers", 0) - (len(there) - 1))]


def too_small(nodes: Sequence[Node], resources: Resources) -> InputError:
    """Why no trial can ever run."""
    there = "; ".join(f"{node.name}: {node.cpus:g} CPU, {node.gpus:g} GPU" for node in nodes)
    return InputError(
        "resources",
        f"a node must have room for a trial, {resources.cpu:g} CPU and {resources.gpu:g} GPU",
        value=there,
        remedy="--set resources.cpu=… --set resources.gpu=…, --profile laptop for the small network, or larger nodes",
    )
