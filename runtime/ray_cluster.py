"""Ray: on this machine alone, out of reach from outside, or on a cluster that exists."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_AIR_NEW_OUTPUT="0",
    RAY_DEDUP_LOGS="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
)

import ray
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runtime import nodes
from runtime.errors import InputError
from runtime.nodes import Node, NodeReport

_KNOCK_S: Final = 5.0
_ANSWER_S: Final = 120.0
"""How long a node may take to start a process and load what it needs."""

T = TypeVar("T")


@contextmanager
def ray_session(address: str | None, shared: Sequence[Path] = ()) -> Iterator[dict[str, float]]:
    """Start Ray here, or join the cluster at an address; yield its resources.

    Args:
        address: `auto` or `HOST:PORT`; None for a Ray of our own on this machine.
        shared: Folders that all nodes write to.

    Raises:
        InputError: If no cluster answers, or its nodes have not in common what they must.
    """
    if address is None:
        with start_local_ray() as resources:
            yield resources
        return
    with join_cluster(address) as resources:
        check_nodes(shared)
        yield resources


@contextmanager
def start_local_ray() -> Iterator[dict[str, float]]:
    """Start Ray on the loopback interface; yield its resources.

    Raises:
        InputError: If it does not start: it gives itself half a minute, which a machine with other work may need.
    """
    how = {"address": "local", "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    with _unsupported_error(), ExitStack() as stack:
        try:
            resources = stack.enter_context(_start_ray(**how))
        except Exception as error:  # Ray raises this class itself
            raise InputError(
                "Ray",
                "Ray must start on this machine",
                value=str(error).strip().partition("\n")[0],
                remedy="let other programs end, see `python -m search.doctor`, and call again; nothing is lost",
            ) from error
        yield resources


@contextmanager
def _unsupported_error() -> Iterator[None]:
    """Keep Ray from listening to the world: where a cluster is possible, it puts the outer address in place of loopback."""
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    possible, before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"  # here, and in the processes that Ray starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = possible
        os.environ.pop(name) if before is None else os.environ.update({name: before})


@contextmanager
def join_cluster(address: str) -> Iterator[dict[str, float]]:
    """Join a cluster that this machine is a node of; yield its resources.

    Raises:
        InputError: If none answers.
    """
    nodes.check_address(address)
    _check_port(address)
    with ExitStack() as stack:
        try:
            resources = stack.enter_context(_start_ray(address=address))
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _no_cluster_error(address, str(error).strip().partition("\n")[0]) from error
        yield resources


@contextmanager
def _start_ray(**how: Any) -> Iterator[dict[str, float]]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    before = signal.getsignal(signal.SIGTERM)
    ray.init(logging_level="ERROR", log_to_driver=False, configure_logging=False, **how)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray takes it for itself
    try:
        yield dict(ray.cluster_resources())
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """Ray would wait a minute for a host that is not there."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster_error(address, str(error)) from error


def _no_cluster_error(address: str, reason: str) -> InputError:
    return InputError(
        "--address",
        "a Ray cluster must answer, and this machine must be one of its nodes",
        value=f"{address}: {reason}",
        remedy="see `ray status` here; start one with `ray up cluster.yaml`, or leave --address out for this machine alone",
    )


def alive_nodes() -> list[Node]:
    """The nodes of the running cluster."""
    there = [node for node in ray.nodes() if node["Alive"]]
    addresses = [node["NodeManagerAddress"] for node in there]
    return [
        Node(
            node["NodeID"],
            address if addresses.count(address) == 1 else f"{address} ({node['NodeID'][:6]})",
            dict(node["Resources"]),
        )
        for node, address in zip(there, addresses, strict=True)
    ]


def on_every_node(work: Callable[[str], T]) -> dict[Node, T | str]:
    """Call a function with each node's id, there; what it returns, or in words why it could not."""
    task = ray.remote(num_cpus=0, max_retries=0)(work)
    asked = {
        node: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(node.id)
        for node in alive_nodes()
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ANSWER_S)
    return {node: _run_on_node(reference) for node, reference in asked.items()}


def _run_on_node(reference: Any, timeout_s: float = 0.1) -> Any:
    try:
        return ray.get(reference, timeout=timeout_s)
    except ray.exceptions.GetTimeoutError:
        return f"no answer within {_ANSWER_S:g} s"
    except Exception as error:  # noqa: BLE001  # whatever goes wrong on another machine
        cause = getattr(error, "cause", None) or error
        return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else ''}"


def _read_clock() -> float:
    return time.time()


def clock_offsets(rounds: int = 2) -> dict[Node, float]:
    """Seconds by which each node's clock is ahead of this one's, or behind it, at least; what does not answer is left out."""
    task = ray.remote(num_cpus=0, max_retries=0)(_read_clock)
    offsets: dict[Node, float] = {}
    for _ in range(rounds):  # the first one waits for processes to start, and so tells little
        for node in alive_nodes():
            pinned = task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
            before = time.time()
            there = _run_on_node(pinned.remote(), _ANSWER_S)
            if isinstance(there, float):
                offsets[node] = max(offsets.get(node, 0.0), nodes.least_offset(before, there, time.time()), key=abs)
    return offsets


def check_nodes(shared: Sequence[Path]) -> Mapping[Node, NodeReport | str]:
    """Compare all nodes with this one; returns what they report.

    Raises:
        InputError: If one differs, or does not see the folders.
    """
    marks = [nodes.write_probe(folder) for folder in shared]
    try:
        reports = on_every_node(lambda node: nodes.make_report(marks, node))
        nodes.require_same_versions(nodes.make_report((), ""), reports)
        if len(reports) > 1:
            nodes.require_shared_folders(marks, reports)
    finally:
        for mark in marks:
            nodes.remove_probe(mark)
    return reports
