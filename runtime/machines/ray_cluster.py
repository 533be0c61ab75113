"""Ray sessions: local ones that are not reachable from outside, and existing clusters."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
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
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runtime.errors import InputError
from runtime.machines import nodes, processes
from runtime.machines.nodes import Node, NodeReport
from runtime.machines.surroundings import choose_ray_folder, provide_ray_token
from runtime.machines.working_folder import neutral_import_path

_CONNECT_TIMEOUT_S: Final = 5.0
_REPORT_TIMEOUT_S: Final = 120.0
"""Time for a node to start a process and import its modules, in seconds."""

T = TypeVar("T")


_print_ray_message: Final = ray_worker.print_to_stdstream


def _print_unless_reported(data: Mapping[str, Any], **options: Any) -> None:
    """Print a message of Ray, unless it is about the end of a worker, which the search reports itself in one line."""
    if not any("worker died or was killed" in line for line in data["lines"]):
        _print_ray_message(data, **options)


ray_worker.print_to_stdstream = _print_unless_reported  # Ray has no option for it


@contextmanager
def ray_session(address: str | None, shared: Sequence[Path] = ()) -> Iterator[dict[str, float]]:
    """Start Ray on this machine, or join the cluster at an address; yield its resources.

    Args:
        address: `auto` or `HOST:PORT`; None for a local session.
        shared: Folders that all nodes must share.

    Raises:
        InputError: If no cluster responds, or its nodes differ in software or do not share the folders.
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
        InputError: If Ray does not start within its own limit of half a minute, for instance on a busy machine, or runs in this
            process already.
    """
    if ray.is_initialized():
        raise InputError(
            "Ray",
            "a search starts a Ray of its own, and a process has one at a time",
            value="ray.is_initialized()",
            remedy="call ray.shutdown() first, or run the search in another process",
        )
    options = {
        "address": "local",
        "_node_ip_address": "127.0.0.1",
        "include_dashboard": False,
        "_temp_dir": choose_ray_folder(),
    }
    provide_ray_token()
    # Ray leaves its agents behind if it is interrupted while it starts, and gives all its processes a second to exit.
    with _loopback_only(), processes.end_started_processes(), ExitStack() as stack:
        try:
            resources = stack.enter_context(_start_ray(**options))
        except Exception as error:  # Ray raises this class directly
            raise InputError(
                "Ray",
                "Ray must start on this machine",
                value=str(error).strip().partition("\n")[0],
                remedy="close other programs, see `python -m search.doctor`, and run the command again; nothing is lost",
            ) from error
        yield resources


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Keep Ray on the loopback address, which it replaces by the public one where clusters are supported."""
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    supported, before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"  # in this process, and in those that Ray starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = supported
        os.environ.pop(name) if before is None else os.environ.update({name: before})


@contextmanager
def join_cluster(address: str) -> Iterator[dict[str, float]]:
    """Join the cluster of which this machine is a node; yield its resources.

    Raises:
        InputError: If no cluster responds.
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
def _start_ray(**options: Any) -> Iterator[dict[str, float]]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    # A local Ray starts within seconds; interrupted in between, it would abort at the end of this process.
    is_local = options.get("address") == "local"
    try:
        with processes.defer_interrupts() if is_local else nullcontext(), _keep_sigterm_handler():
            before = signal.getsignal(signal.SIGTERM)
            try:
                with neutral_import_path():
                    ray.init(logging_level="ERROR", log_to_driver=False, configure_logging=False, **options)
            finally:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, before)  # Ray's libraries install a handler, too
        yield dict(ray.cluster_resources())
    finally:
        with processes.defer_interrupts():
            ray.shutdown()


@contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Keep Ray from replacing the handler of SIGTERM by one that exits."""
    original = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = original


def _check_port(address: str) -> None:
    """Check that a port accepts connections; Ray itself would wait a minute for an absent host."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster_error(address, str(error)) from error


def _no_cluster_error(address: str, reason: str) -> InputError:
    return InputError(
        "--address",
        "a Ray cluster must respond, and this machine must be one of its nodes",
        value=f"{address}: {reason}",
        remedy="see `ray status` here; start one with `ray up cluster.yaml`, or omit --address to use this machine alone",
    )


def alive_nodes() -> list[Node]:
    """Return the nodes of the cluster that are alive."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    addresses = [node["NodeManagerAddress"] for node in alive]
    return [
        Node(
            node["NodeID"],
            address if addresses.count(address) == 1 else f"{address} ({node['NodeID'][:6]})",
            dict(node["Resources"]),
        )
        for node, address in zip(alive, addresses, strict=True)
    ]


def on_every_node(work: Callable[[str], T]) -> dict[Node, T | str]:
    """Call a function on every node with the node's identifier; return its results, or the reasons of failures."""
    task = ray.remote(num_cpus=0, max_retries=0)(work)
    references = {
        node: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(node.id)
        for node in alive_nodes()
    }
    ray.wait(list(references.values()), num_returns=len(references), timeout=_REPORT_TIMEOUT_S)
    return {node: _fetch_result(reference) for node, reference in references.items()}


def _fetch_result(reference: Any, timeout_s: float = 0.1) -> Any:
    try:
        return ray.get(reference, timeout=timeout_s)
    except ray.exceptions.GetTimeoutError:
        return f"no response within {_REPORT_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001  # any error of another machine
        cause = getattr(error, "cause", None) or error
        return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else ''}"


def _read_clock() -> float:
    return time.time()


def clock_offsets(rounds: int = 2) -> dict[Node, float]:
    """Return the least offset of each node's clock in seconds, positive if ahead; nodes without a response are omitted."""
    task = ray.remote(num_cpus=0, max_retries=0)(_read_clock)
    offsets: dict[Node, float] = {}
    for _ in range(rounds):  # the first round waits for processes to start and is imprecise
        for node in alive_nodes():
            pinned = task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
            before = time.time()
            remote = _fetch_result(pinned.remote(), _REPORT_TIMEOUT_S)
            if isinstance(remote, float):
                offsets[node] = max(offsets.get(node, 0.0), nodes.least_offset(before, remote, time.time()), key=abs)
    return offsets


def check_nodes(shared: Sequence[Path]) -> Mapping[Node, NodeReport | str]:
    """Check that all nodes match this one; return their reports.

    Raises:
        InputError: If a node differs, or does not share the folders.
    """
    probes = [nodes.write_probe(folder) for folder in shared]
    try:
        reports = on_every_node(lambda node: nodes.make_report(probes, node))
        nodes.require_same_versions(nodes.make_report((), ""), reports)
        if len(reports) > 1:
            nodes.require_shared_folders(probes, reports)
    finally:
        for probe in probes:
            nodes.remove_probe(probe)
    return reports
