"""Spot where there is capacity, on demand where there is none, and no silence about other refusals."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("boto3")

from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException

from search.execution.spot import SpotFirst

SPOT = {"InstanceType": "g6.xlarge", "InstanceMarketOptions": {"MarketType": "spot"}}
ON_DEMAND = {"InstanceType": "g6.xlarge"}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Requests to a fake AWS, which refuses instance types named like an error."""
    calls: list[dict[str, Any]] = []

    def create(_self: object, config: dict[str, Any], _tags: object, count: int) -> dict[str, int]:
        calls.append(config)
        if (error := config.get("refused")) and "InstanceMarketOptions" in config:
            raise NodeLaunchException(error, "no", None)
        if config.get("broken"):
            raise NodeLaunchException("InsufficientInstanceCapacity", "none of these at all", None)
        return {"i-1": count}

    monkeypatch.setattr(AWSNodeProvider, "create_node", create)
    return calls


def provider() -> SpotFirst:
    return SpotFirst.__new__(SpotFirst)  # without a connection


def test_spot_is_asked_for_first(requests: list[dict[str, Any]]) -> None:
    assert provider().create_node(SPOT, {}, 2) == {"i-1": 2}
    assert requests == [SPOT]


def test_without_spot_capacity_the_same_instance_comes_on_demand(requests: list[dict[str, Any]]) -> None:
    wanted = {**SPOT, "refused": "InsufficientInstanceCapacity"}
    assert provider().create_node(wanted, {}, 1) == {"i-1": 1}
    assert requests == [wanted, {**ON_DEMAND, "refused": "InsufficientInstanceCapacity"}]


def test_another_refusal_is_not_answered_with_money(requests: list[dict[str, Any]]) -> None:
    with pytest.raises(NodeLaunchException):
        provider().create_node({**SPOT, "refused": "UnauthorizedOperation"}, {}, 1)
    assert len(requests) == 1


def test_what_is_refused_on_demand_is_refused(requests: list[dict[str, Any]]) -> None:
    with pytest.raises(NodeLaunchException):
        provider().create_node({**SPOT, "broken": True}, {}, 1)
    assert len(requests) == 2
    with pytest.raises(NodeLaunchException):
        provider().create_node({**ON_DEMAND, "broken": True}, {}, 1)
    assert len(requests) == 3
