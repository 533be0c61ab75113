"""How many trials fit, counted by hand."""

from __future__ import annotations

import pytest

from datasets.nodes import Node
from search import placement
from spaces.schema import Resources


def node(cpus: float, gpus: float = 0.0) -> Node:
    return Node("id", "10.0.0.2", {"CPU": cpus, "GPU": gpus})


@pytest.mark.parametrize(
    ("nodes", "cpu", "gpu", "expected"),
    [
        ([node(4)], 1, 0, 4),
        ([node(3), node(3)], 2, 0, 2),  # not 6/2: no trial spans two nodes
        ([node(64, 4)], 2, 0.25, 16),
        ([node(8, 4)], 2, 0.25, 4),  # the cores run out first
        ([node(64, 2)], 1, 0.4, 4),  # two in each GPU; a fifth would need a fifth of both
        ([node(100, 1)], 1, 0.1, 10),
        ([node(4, 0), node(16, 1)], 2, 0.5, 2),  # a head without a GPU runs no trial
        ([node(1)], 2, 0, 0),
    ],
)
def test_trials_are_counted_node_by_node_and_gpu_by_gpu(
    nodes: list[Node], cpu: float, gpu: float, expected: int
) -> None:
    assert placement.slots(nodes, Resources(cpu=cpu, gpu=gpu)) == expected


def test_where_nothing_fits_every_node_is_named() -> None:
    error = placement.too_small([node(4), node(16)], Resources(cpu=2, gpu=1))
    assert error.value == "10.0.0.2: 4 CPU, 0 GPU; 10.0.0.2: 16 CPU, 0 GPU"
    assert "--profile laptop" in error.remedy
