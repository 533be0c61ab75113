"""cluster.yaml from end to end against a mock AWS, whose instances are hosts of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cloud import ADDRESSES, ENVIRONMENT, PROFILE, Cloud
from tests.cluster.configs import at_mock_aws, cluster_yaml
from tests.cluster.lab import ROOT, SHARED, Lab
from tests.cluster.laptop import Laptop
from tests.cluster.watch import Nodes, Search, until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

PYTHON = Path(os.environ.get("MOTO_PYTHON", ROOT / ".venv-moto" / "bin" / "python"))
HEAD = "i4"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[Lab, Cloud]]:
    if not PYTHON.exists():
        pytest.skip(f"no moto at {PYTHON}; `make test-cluster` puts it there")
    pytest.importorskip("boto3")
    everything = list(ADDRESSES)
    with (
        Lab(tmp_path / "lab", ADDRESSES, profile=PROFILE, later=everything[1:]) as lab,
        Cloud(lab, tmp_path / "aws", PYTHON) as mock,
    ):
        yield lab, mock


def assert_asked(request: dict[str, Any], instance_type: str, role: str, *, spot: bool) -> None:
    """What matters of a request for an instance."""
    types = cluster_yaml()["available_node_types"]
    disk = types["head"]["node_config"]["BlockDeviceMappings"][0]["Ebs"]
    assert request["InstanceType"] == instance_type
    assert request["IamInstanceProfile.Name"] == role
    assert request["ImageId"] == types["head"]["node_config"]["ImageId"]
    assert request["BlockDeviceMapping.1.Ebs.VolumeSize"] == str(disk["VolumeSize"])
    assert request["BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
    assert request["BlockDeviceMapping.1.Ebs.DeleteOnTermination"] == "true"
    assert request["MetadataOptions.HttpTokens"] == "required"
    assert request.get("InstanceMarketOptions.MarketType") == ("spot" if spot else None)
    tags = {request[key]: request[key.replace("Key", "Value")] for key in request if key.endswith(".Key")}
    assert tags["project"] == "soundsweep"


def assert_closed(instance: dict[str, Any]) -> None:
    """The security group lets in ssh, and the group's own members."""
    for protocol, low, high, cidr, from_group in instance["open"]:
        assert (protocol, low, high, cidr) == ("tcp", 22, 22, "0.0.0.0/0") or (from_group and cidr is None)


def test_workers_come_are_reclaimed_are_replaced_and_go(cloud: tuple[Lab, Cloud]) -> None:
    lab, aws = cloud
    config = at_mock_aws(cluster_yaml(), SHARED)
    config["idle_timeout_minutes"] = 1
    config["max_workers"] = config["available_node_types"]["worker"]["max_workers"] = 2
    laptop = Laptop(lab, config, ENVIRONMENT)
    laptop.says("python deploy/roles.py my-bucket && python deploy/roles.py my-bucket")
    print(f"\nray up: {laptop.up():.0f} s")
    assert_asked(aws.requests()[0], "m7i.xlarge", "soundsweep-head", spot=False)
    assert_closed(aws.instances("running")[0])
    assert aws.workers() == []

    nodes = Nodes(lab, HEAD)
    search = Search(laptop, lab, "--set resources.gpu=1", "--at-once 1")
    asked = search.until(aws.workers, "asked for a worker")
    joined = search.until(lambda: len(nodes.alive()) == 2, "a worker joined")
    print(f"first worker: asked for after {asked:.0f} s, there {joined:.0f} s later")
    assert_asked(aws.requests()[1], "g6.xlarge", "soundsweep-worker", spot=True)
    assert_closed(aws.workers()[0])
    search.until(lambda: search.epochs() >= 2, "two epochs")

    for spot in (True, False):
        aws.allow_spot(spot)
        before = len(aws.requests())
        victim = aws.workers()[0]
        node = next(node for node, address in nodes.ids().items() if address == victim["address"])
        aws.reclaim(victim["id"])
        gone = search.until(lambda node=node: node not in nodes.ids(), "noticed the loss")
        replaced = search.until(
            lambda lost=victim["id"]: len(nodes.ids()) == 2 and [w for w in aws.workers() if w["id"] != lost],
            "replaced the worker",
        )
        print(f"reclaimed: noticed after {gone:.1f} s, replaced {replaced:.1f} s later", end=", ")
        print(f"next epoch {search.goes_on():.0f} s later")
        asked_now = aws.requests()[before:]
        assert asked_now[0]["InstanceMarketOptions.MarketType"] == "spot"
        assert_asked(asked_now[-1], "g6.xlarge", "soundsweep-worker", spot=spot)
        assert all(request["refused"] for request in asked_now[:-1])

    search.ends_well()
    print(f"idle worker: gone after {until(lambda: not aws.workers(), 'ended the idle worker'):.0f} s")
    laptop.down()
    assert aws.instances("running", "pending", "stopped", "stopping") == []
    until(lambda: set(lab.hosts) == {"laptop"}, "all hosts gone")
