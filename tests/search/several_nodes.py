"""A Ray cluster of several nodes on one machine, each with a loopback address of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

_AGENTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


@contextmanager
def several_nodes(sizes: Sequence[tuple[int, int]]) -> Iterator[Any]:
    """Start nodes with so many cores and GPUs each, the head first; nobody checks that they exist."""
    import runtime.ray_cluster  # noqa: F401, I001  # sets what Ray reads from the environment
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for number, (cpus, gpus) in enumerate(sizes):
            # 127.0.0.1 would be replaced by the outer address. Ports are given, since Ray waits but 15 s for its agents to
            # tell theirs, and they take longer on a busy machine.
            cluster.add_node(
                num_cpus=cpus,
                num_gpus=gpus,
                node_ip_address=f"127.0.0.{number + 2}",
                include_dashboard=False,
                include_log_monitor=False,
                no_monitor=True,
                wait=False,
                **dict(zip(_AGENTS, _free_ports(len(_AGENTS)), strict=True)),
            )
        yield cluster
    finally:
        cluster.shutdown()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]
