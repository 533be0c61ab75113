"""cluster.yaml from end to end on a mock AWS whose instances are hosts of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cloud import ADDRESSES, ENVIRONMENT, PROFILE, Cloud
from tests.cluster.configs import at_mock_aws, cluster_yaml
from tests.cluster.lab import ROOT, SHARED, Lab
from tests.cluster.laptop import FILE, Laptop
from tests.cluster.watch import Nodes, Search, Submitted, until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

PYTHON = Path(os.environ.get("MOTO_PYTHON", ROOT / ".venv-moto" / "bin" / "python"))
HEAD = "i4"
STORAGE = "s3://my-bucket/soundsweep"
WHERE = f"--storage {STORAGE} --study grpc://localhost:13000 --tracking-uri http://localhost:5000"
MAKE_BUCKET = """
import boto3
boto3.resource("s3").Bucket("my-bucket").create(CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
"""
LIST_BUCKET = f"""
from runtime.storage import storage_at
print(*storage_at("{STORAGE}").list_names(""))
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[Lab, Cloud]]:
    if not PYTHON.exists():
        pytest.skip(f"no moto at {PYTHON}; `make test-cluster` installs it")
    pytest.importorskip("boto3")
    everything = list(ADDRESSES)
    with (
        Lab(tmp_path / "lab", ADDRESSES, profile=PROFILE, later=everything[1:]) as lab,
        Cloud(lab, tmp_path / "aws", PYTHON) as mock,
    ):
        yield lab, mock


def assert_asked(request: dict[str, Any], instance_type: str, role: str, *, spot: bool) -> None:
    """Check the relevant fields of a request for an instance."""
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
    """Check that the security group admits only ssh and its own members."""
    for protocol, low, high, cidr, from_group in instance["open"]:
        assert (protocol, low, high, cidr) == ("tcp", 22, 22, "0.0.0.0/0") or (from_group and cidr is None)


def test_a_search_continues_while_workers_join_are_reclaimed_and_end(cloud: tuple[Lab, Cloud]) -> None:
    lab, aws = cloud
    config = at_mock_aws(cluster_yaml(), STORAGE)
    config["idle_timeout_minutes"] = 1
    config["max_workers"] = config["available_node_types"]["worker"]["max_workers"] = 2
    laptop = Laptop(lab, config, {**ENVIRONMENT, "RAY_AUTH_MODE": "token"})
    laptop.run_checked("python deploy/roles.py my-bucket && python deploy/roles.py my-bucket")
    laptop.python(MAKE_BUCKET)
    print(f"\nray up: {laptop.up():.0f} s")
    assert_asked(aws.requests()[0], "m7i.xlarge", "soundsweep-head", spot=False)
    assert_closed(aws.instances("running")[0])
    assert aws.workers() == []
    laptop.dashboard()
    (lab.shared / "hostname.py").write_text("import socket; print('this is', socket.gethostname())")
    assert f"this is {HEAD}" in laptop.run_checked(f"ray submit {FILE} {SHARED}/hostname.py")
    assert "ready" in laptop.on_head(f"python -m search.doctor --address auto {WHERE}")

    nodes = Nodes(lab, HEAD)
    options = ("--set resources.gpu=1", "--at-once 1")
    search = Submitted(laptop, lab, HEAD, "first", *options)
    asked = search.until(aws.workers, "a request for a worker")
    joined = search.until(lambda: len(nodes.alive()) == 2, "a worker that joins")
    print(f"first worker: requested after {asked:.0f} s, joined {joined:.0f} s later")
    assert_asked(aws.requests()[1], "g6.xlarge", "soundsweep-worker", spot=True)
    assert_closed(aws.workers()[0])
    search.until(lambda: search.epochs() >= 2, "two epochs")
    search.stop()
    before = search.trials()
    assert "was stopped" in search.status()

    search = Submitted(laptop, lab, HEAD, "second", *options, "--resume")
    print(f"stopped and resumed: next epoch {search.wait_for_epoch():.0f} s later")
    for spot in (True, False):
        aws.allow_spot(spot)
        _lose_a_worker(aws, nodes, search, spot=spot)
    search.assert_completes()
    assert "succeeded" in search.status()
    for trial in before:
        assert search.trials()[trial.number].epochs[: len(trial.epochs)] == trial.epochs
    laptop.on_head("python deploy/services.py keep")
    names = laptop.python(LIST_BUCKET).split()
    assert {name.partition("/")[0] for name in names} == {"datasets", "mlartifacts", "searches", "state"}
    assert {"state/study.db", "state/mlflow.db"} <= set(names)
    assert any(name.endswith("model.pt") for name in names)

    print(f"idle worker: ended after {until(lambda: not aws.workers(), 'the end of the idle worker'):.0f} s")
    laptop.down()
    assert aws.instances("running", "pending", "stopped", "stopping") == []
    until(lambda: set(lab.hosts) == {"laptop"}, "all hosts gone")


def _lose_a_worker(aws: Cloud, nodes: Nodes, search: Search, *, spot: bool) -> None:
    """Reclaim the only worker, and check that another one replaces it, as a spot instance or on demand."""
    asked_before = len(aws.requests())
    search.until(lambda: aws.workers() and len(nodes.ids()) == 2, "a worker to lose")
    victim = aws.workers()[0]
    node = next(node for node, address in nodes.ids().items() if address == victim["address"])
    aws.reclaim(victim["id"])
    gone = search.until(lambda: node not in nodes.ids(), "the detection of the loss")
    replaced = search.until(
        lambda: len(nodes.ids()) == 2 and [w for w in aws.workers() if w["id"] != victim["id"]],
        "the replacement of the worker",
    )
    print(f"reclaimed: noticed after {gone:.1f} s, replaced {replaced:.1f} s later", end=", ")
    print(f"next epoch {search.wait_for_epoch():.0f} s later")
    asked = aws.requests()[asked_before:]
    assert asked[0]["InstanceMarketOptions.MarketType"] == "spot"
    assert_asked(asked[-1], "g6.xlarge", "soundsweep-worker", spot=spot)
    assert all(request["refused"] for request in asked[:-1])
