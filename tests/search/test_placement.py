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
        ([node(16, 3)], 1, 2, 1),
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


CLUSTER = {
    "max_workers": 3,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 2}, "max_workers": 0},
        "cpu": {"resources": {"CPU": 8}, "max_workers": 4},
        "gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 2},
    },
}


@pytest.mark.parametrize(("there", "gpus"), [(1, [1, 1, 0]), (2, [1, 1]), (4, []), (5, [])])
def test_workers_that_may_come_are_those_of_the_file_less_those_that_are_there(there: int, gpus: list[float]) -> None:
    assert [node.gpus for node in placement.to_come(CLUSTER, [node(2)] * there)] == gpus


def test_no_worker_comes_where_no_autoscaler_is() -> None:
    assert placement.to_come({}, [node(4)]) == []
