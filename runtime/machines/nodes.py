"""Requirements that all nodes of a cluster must share, checked without Ray."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.machines import machine

_HOST_PORT: Final = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}")


@dataclass(frozen=True)
class Node:
    """Machine on which Ray runs.

    Attributes:
        id: Identifier in Ray.
        name: Address, for messages.
        resources: Resources that Ray assigns, e.g. `{"CPU": 16.0, "GPU": 2.0}`.
    """

    id: str
    name: str
    resources: Mapping[str, float] = field(hash=False)

    @property
    def cpus(self) -> float:
        """Number of CPU cores."""
        return self.resources.get("CPU", 0.0)

    @property
    def gpus(self) -> float:
        """Number of GPUs."""
        return self.resources.get("GPU", 0.0)

    @property
    def accelerator(self) -> str | None:
        """Type of the GPUs, or None if Ray did not detect it."""
        prefix = "accelerator_type:"
        return next((name.removeprefix(prefix) for name in self.resources if name.startswith(prefix)), None)


@dataclass(frozen=True)
class NodeReport:
    """Software, shared folders and clock of a node, as seen by a process on it.

    Attributes:
        versions: Versions of Python, the packages and the project.
        shared: Paths of the driver's probe files that the node could read and answer.
        clock_s: Time of the node's clock, in seconds since 1970.
    """

    versions: Mapping[str, str]
    shared: tuple[str, ...]
    clock_s: float


def check_address(address: str) -> None:
    """Check the form of a cluster's address, without connecting to it.

    Raises:
        InputError: If the address is invalid, or refers to a way into the cluster that a search cannot use.
    """
    if address == "auto" or _HOST_PORT.fullmatch(address):
        return
    if "://" in address:
        raise InputError(
            "--address",
            "the command runs on a node of the cluster, not through Ray's client or its dashboard",
            value=address,
            remedy="run it there with `ray exec cluster.yaml '… --address auto'` or `ray job submit -- … --address auto`",
        )
    raise InputError(
        "--address",
        "the address must be auto or HOST:PORT",
        value=address,
        remedy="--address auto on a node of the cluster, or e.g. --address 10.0.0.2:6379",
    )


def write_probe(folder: Path) -> Path:
    """Write a probe file that the other nodes must find into a folder; create the folder if necessary."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".shared-{uuid.uuid4().hex}"
    path.write_text(path.name)
    return path


def remove_probe(path: Path) -> None:
    """Remove a probe file and the answers of the nodes."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)


def make_report(probes: Sequence[Path], node: str) -> NodeReport:
    """Return the report of the node on which this function runs.

    Args:
        probes: Probe files that `write_probe` wrote on the driver's node.
        node: Identifier of the node.
    """
    shared = tuple(str(path) for path in probes if _answer_probe(path, node))
    return NodeReport(machine.package_versions() | {"project": machine.project_digest()}, shared, time.time())


def _answer_probe(path: Path, node: str) -> bool:
    try:
        if path.read_text() != path.name:
            return False
        _answer_path(path, node).write_text(node)
    except OSError:
        return False
    return True


def _answer_path(path: Path, node: str) -> Path:
    return path.with_name(f"{path.name}.{node}")


def least_offset(before_s: float, there_s: float, after_s: float) -> float:
    """Return the least offset of another clock that was read between two readings of this one; positive if it is ahead."""
    return max(0.0, there_s - after_s) + min(0.0, there_s - before_s)


def version_differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return descriptions of the versions that differ from the driver's; builds of one version count as equal."""

    def plain(version: str) -> str:
        return version.partition("+")[0]

    return [
        f"{name} {plain(there.get(name, 'missing'))} instead of {plain(version)}"
        for name, version in here.items()
        if plain(there.get(name, "missing")) != plain(version)
    ]


def require_same_versions(here: NodeReport, reports: Mapping[Node, NodeReport | str]) -> None:
    """Check that all nodes have the software versions of the driver, so that they compute the same results.

    Args:
        here: Report of the driver's process.
        reports: Report of every node, or the reason why the node could not produce one.

    Raises:
        InputError: If a node differs from the driver's node.
    """
    problems = []
    for node, report in reports.items():
        reasons = [report] if isinstance(report, str) else version_differences(here.versions, report.versions)
        problems += [f"{node.name}: {', '.join(reasons)}"] if reasons else []
    if problems:
        raise InputError(
            "--address",
            "every node needs the same Python, packages and project as this one",
            value="; ".join(problems),
            remedy="update all nodes with `ray up cluster.yaml` or `ray job submit --working-dir .`, then restart Ray there",
        )


def nodes_without_probe(path: Path, reports: Mapping[Node, NodeReport | str]) -> list[Node]:
    """Return the nodes that did not find a probe file, or whose answer is not visible on the driver's node."""
    return [
        node
        for node, report in reports.items()
        if isinstance(report, str) or str(path) not in report.shared or not _answer_path(path, node.id).is_file()
    ]


def require_shared_folders(probes: Sequence[Path], reports: Mapping[Node, NodeReport | str]) -> None:
    """Check that folders are shared by all nodes.

    Raises:
        InputError: If a node does not write to one of them.
    """
    for path in probes:
        without = [node.name for node in nodes_without_probe(path, reports)]
        if without:
            raise InputError(
                "--storage",
                f"{path.parent} must be the same folder on every node: a trial continues on another node when its node is lost",
                value="not shared by " + ", ".join(without),
                remedy="name a folder that all nodes mount (NFS, EFS, Filestore) at the same path, or a bucket, s3://…",
            )
