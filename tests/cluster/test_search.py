"""A search on three hosts completes although one is disconnected and one loses power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.configs import cluster_yaml, on_premise
from tests.cluster.lab import NETWORK, SHARED, Lab
from tests.cluster.laptop import Laptop
from tests.cluster.watch import InSharedFolder, Nodes, until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

HOSTS = {"laptop": 1, "head": 4, "w1": 5, "w2": 6}
HEAD, W1, W2 = (f"{NETWORK}.{HOSTS[name]}" for name in ("head", "w1", "w2"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab", HOSTS) as running:
        yield running


def test_a_search_survives_a_lost_link_and_a_power_cut(lab: Lab) -> None:
    laptop = Laptop(
        lab,
        on_premise(cluster_yaml(), HEAD, [W1, W2], SHARED),
        {"RAY_UP_enable_autoscaler_v2": "0"},  # version 2 counts the head as a worker of a local cluster
    )
    print(f"\nray up: {laptop.up():.0f} s")
    nodes = Nodes(lab, "head")
    print(f"three nodes: {until(lambda: len(nodes.alive()) == 3, 'three nodes'):.0f} s later")

    search = InSharedFolder(laptop, lab)
    search.until(lambda: search.epochs() >= 2, "two epochs")
    lab.disconnect("w1")
    noticed = search.until(lambda: W1 not in nodes.alive(), "noticed the lost link")
    print(f"lost link: noticed after {noticed:.1f} s, next epoch {search.wait_for_epoch():.1f} s later")
    lab.reconnect("w1")

    lab.kill("w2")
    noticed = search.until(lambda: W2 not in nodes.alive(), "noticed the power cut")
    print(f"power cut: noticed after {noticed:.1f} s, next epoch {search.wait_for_epoch():.1f} s later")
    search.assert_completes()
    print(f"the reconnected host is {'a node again' if W1 in nodes.alive() else 'not a node yet'}")

    laptop.down()
    assert "raylet" not in lab.run("head", "ps -eo args").stdout
    left = until(lambda: "raylet" not in lab.run("w1", "ps -eo args").stdout, "the worker detected the end of its head")
    print(f"ray down: the worker ended {left:.0f} s later")
