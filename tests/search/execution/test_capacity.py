"""How many trials fit onto the nodes while these come and go, and how many share a GPU."""

from __future__ import annotations

import pytest

from runtime.errors import InputError
from runtime.machines.machine import Gpu
from runtime.machines.nodes import Node
from search.execution import capacity
from search.execution.capacity import ConcurrencyLimit
from spaces.schema import Resources

ONE = Node("a", "10.0.0.2", {"CPU": 6.0})
TRIAL = Resources(cpu=4)


def test_nodes_that_join_or_are_lost_are_noticed() -> None:
    there, now = [ONE], [0.0]
    limit = ConcurrencyLimit(TRIAL, lambda: there, now=lambda: now[0])
    assert limit() == 1
    there.append(ONE)
    assert limit() == 1  # the nodes are not listed for every trial
    now[0] = 5.0
    assert limit() == 2
    there.clear()
    now[0] = 10.0
    assert limit() == 0


def test_trials_that_were_asked_for_wait_for_nodes() -> None:
    limit = ConcurrencyLimit(TRIAL, lambda: [], minimum=3)
    assert limit() == 3
    limit.require_capacity()


def test_where_no_trial_fits_and_none_may_wait_nothing_begins() -> None:
    with pytest.raises(InputError, match="room for a trial") as caught:
        ConcurrencyLimit(Resources(cpu=8), lambda: [ONE]).require_capacity()
    assert "--at-once" in caught.value.remedy


def test_cores_that_no_trial_takes_are_spare() -> None:
    assert ConcurrencyLimit(TRIAL, lambda: [ONE, ONE]).idle_cores() == 12 - 2 * 4
    assert ConcurrencyLimit(Resources(cpu=3), lambda: [ONE]).idle_cores() == 0


def node(cpus: float, gpus: float = 0.0) -> Node:
    return Node(f"{cpus}/{gpus}", "10.0.0.2", {"CPU": cpus, "GPU": gpus})


@pytest.mark.parametrize(
    ("nodes", "cpu", "gpu", "expected"),
    [
        ([node(4)], 1, 0, 4),
        ([node(3), node(3)], 2, 0, 2),  # not 6/2: no trial spans two nodes
        ([node(64, 4)], 2, 0.25, 16),
        ([node(8, 4)], 2, 0.25, 4),  # the cores run out first
        ([node(64, 2)], 1, 0.4, 4),  # two in each GPU; a fifth would need a fifth of both
        ([node(100, 1)], 1, 0.1, 10),
        ([node(64, 8), node(64, 3)], 8, 2, 5),  # two each: four here, one there
        ([node(4, 0), node(16, 1)], 2, 0.5, 2),  # a head without a GPU runs no trial
        ([node(1)], 2, 0, 0),
    ],
)
def test_trials_are_counted_node_by_node_and_gpu_by_gpu(
    nodes: list[Node], cpu: float, gpu: float, expected: int
) -> None:
    assert capacity.count_slots(nodes, Resources(cpu=cpu, gpu=gpu)) == expected


def test_where_nothing_fits_every_node_is_named() -> None:
    error = capacity.no_capacity_error([node(4), node(16)], Resources(cpu=2, gpu=1))
    assert error.value == "10.0.0.2: 4 CPU, 0 GPU; 10.0.0.2: 16 CPU, 0 GPU"
    assert "--profile laptop" in error.remedy


GIB = 2**30


def gpu(gib: int) -> Gpu:
    return Gpu("any", gib * GIB, "570")


@pytest.mark.parametrize(
    ("peak_gib", "gpus", "cpu", "expected"),
    [
        (5, {node(64, 1): [gpu(24)]}, 1, 4),  # 0.9 × 24 / 5 = 4.3
        (2.16, {node(64, 1): [gpu(24)]}, 1, 10),
        (30, {node(64, 1): [gpu(24)]}, 1, 1),  # too large for it, and yet it has to be tried
        (5, {node(64, 1): [gpu(80)], node(32, 1): [gpu(24)]}, 1, 4),  # the smallest decides
        (1, {node(8, 2): [gpu(24), gpu(24)]}, 2, 2),  # four cores a GPU
        (1, {node(8, 2): [gpu(24), gpu(24)], node(16, 1): [gpu(24)]}, 2, 8),  # the best supplied one is not held back
        (1, {node(1, 1): [gpu(24)]}, 2, 1),
    ],
)
def test_a_gpu_is_shared_by_as_many_as_its_memory_and_cores_allow(
    peak_gib: float, gpus: dict[Node, list[Gpu]], cpu: float, expected: int
) -> None:
    assert int(1 / capacity.gpu_fraction(int(peak_gib * GIB), gpus, cpu)) == expected


@pytest.mark.parametrize("parts", range(1, 33))
def test_so_many_shares_fit_into_a_gpu_as_ray_counts_it(parts: int) -> None:
    share = capacity.gpu_fraction(GIB, {node(parts, 1): [gpu(999)]}, 1)
    in_ten_thousandths = round(share * 10_000)
    assert share == in_ten_thousandths / 10_000
    assert parts * in_ten_thousandths <= 10_000 < (parts + 1) * in_ten_thousandths
    assert capacity.count_slots([node(parts, 1)], Resources(cpu=1, gpu=share)) == parts
