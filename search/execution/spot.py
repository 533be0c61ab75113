"""AWS node provider of Ray with a fallback from spot to on-demand instances; `cluster.yaml` names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NO_SPOT: Final = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",
    }
)


class SpotFirst(AWSNodeProvider):  # type: ignore[misc]
    """Node provider that requests spot instances, and on-demand instances of the same type if AWS has no spot capacity.

    Ray's own autoscalers have no such fallback: they repeat the spot request while the trials wait.
    """

    def create_node(self, node_config: Mapping[str, Any], tags: Mapping[str, str], count: int) -> Any:
        """Launch instances.

        Raises:
            NodeLaunchException: If AWS refuses for another reason, or refuses the on-demand request as well.
        """
        try:
            return super().create_node(node_config, tags, count)
        except NodeLaunchException as refused:
            if "InstanceMarketOptions" not in node_config or refused.category not in _NO_SPOT:
                raise
        return super().create_node(on_demand_config(node_config), tags, count)


def on_demand_config(node_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of the same instance without its spot market options."""
    return {key: value for key, value in node_config.items() if key != "InstanceMarketOptions"}
