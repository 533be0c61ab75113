"""Ray cluster of several nodes on one machine, each with its own loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

_AGENTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


@contextmanager
def local_cluster(sizes: Sequence[tuple[int, int]]) -> Iterator[Any]:
    """Start one node per pair of core and GPU counts, the head first; Ray does not check that the devices exist."""
    import runtime.machines.ray_cluster  # noqa: F401, I001  # sets what Ray reads from the environment
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for number, (cpus, gpus) in enumerate(sizes):
            # Ray would replace 127.0.0.1 by the outer address. Ports are fixed because Ray waits only 15 s for its agents to
            # report theirs, and they take longer on a busy machine.
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
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listening.getsockname()[1] for listening in sockets]
