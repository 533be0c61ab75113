"""A search over three hosts: one is cut off and one loses its power, and it ends as if nothing had happened."""

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


def test_a_search_survives_a_cut_link_and_a_power_cut(lab: Lab) -> None:
    laptop = Laptop(
        lab,
        on_premise(cluster_yaml(), HEAD, [W1, W2], SHARED),
        {"RAY_UP_enable_autoscaler_v2": "0"},  # version 2 counts the head among a local cluster's workers
    )
    print(f"\nray up: {laptop.up():.0f} s")
    nodes = Nodes(lab, "head")
    print(f"three nodes: {until(lambda: len(nodes.alive()) == 3, 'three nodes'):.0f} s later")

    search = InSharedFolder(laptop, lab)
    search.until(lambda: search.epochs() >= 2, "two epochs")
    lab.cut("w1")
    noticed = search.until(lambda: W1 not in nodes.alive(), "noticed the cut link")
    print(f"cut link: noticed after {noticed:.1f} s, next epoch {search.goes_on():.1f} s later")
    lab.mend("w1")

    lab.kill("w2")
    noticed = search.until(lambda: W2 not in nodes.alive(), "noticed the power cut")
    print(f"power cut: noticed after {noticed:.1f} s, next epoch {search.goes_on():.1f} s later")
    search.ends_well()
    print(f"the mended host is {'a node again' if W1 in nodes.alive() else 'no node yet'}")

    laptop.down()
    assert "raylet" not in lab.run("head", "ps -eo args").stdout
    left = until(lambda: "raylet" not in lab.run("w1", "ps -eo args").stdout, "the worker saw that its head is gone")
    print(f"ray down: the worker ended {left:.0f} s later")
