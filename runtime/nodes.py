"""What the nodes of a cluster have to have in common, decided without Ray."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime import machine
from runtime.errors import InputError

_HOST_PORT: Final = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}")


@dataclass(frozen=True)
class Node:
    """A machine that Ray runs on.

    Attributes:
        id: Ray's name of it.
        name: Its address, as people know it.
        resources: What Ray may hand out of it, e.g. `{"CPU": 16.0, "GPU": 2.0}`.
    """

    id: str
    name: str
    resources: Mapping[str, float] = field(hash=False)

    @property
    def cpus(self) -> float:
        """Cores."""
        return self.resources.get("CPU", 0.0)

    @property
    def gpus(self) -> float:
        """GPUs."""
        return self.resources.get("GPU", 0.0)

    @property
    def accelerator(self) -> str | None:
        """The kind of its GPUs, if Ray knows it."""
        prefix = "accelerator_type:"
        return next((name.removeprefix(prefix) for name in self.resources if name.startswith(prefix)), None)


@dataclass(frozen=True)
class NodeReport:
    """What a process of ours finds on a node.

    Attributes:
        versions: Of Python, the packages and the project.
        shared: Those of the driver's marks that it found and could answer.
        clock_s: Its clock, in seconds since 1970.
    """

    versions: Mapping[str, str]
    shared: tuple[str, ...]
    clock_s: float


def check_address(address: str) -> None:
    """Check how a cluster is named, without asking for it.

    Raises:
        InputError: If no cluster can be called so, or the search could not run from here.
    """
    if address == "auto" or _HOST_PORT.fullmatch(address):
        return
    if "://" in address:
        raise InputError(
            "--address",
            "the command runs on a node of the cluster, not through Ray's client or its dashboard",
            value=address,
            remedy="send it there, `ray exec cluster.yaml '… --address auto'` or `ray job submit -- … --address auto`",
        )
    raise InputError(
        "--address",
        "a cluster is named auto or HOST:PORT",
        value=address,
        remedy="--address auto on a node of the cluster, or e.g. --address 10.0.0.2:6379",
    )


def write_probe(folder: Path) -> Path:
    """Leave a file in a folder, created if need be, that the other nodes are to find."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".shared-{uuid.uuid4().hex}"
    path.write_text(path.name)
    return path


def remove_probe(path: Path) -> None:
    """Remove a mark and what nodes left beside it."""
    for found in path.parent.glob(f"{path.name}*"):
        found.unlink(missing_ok=True)


def make_report(marks: Sequence[Path], node: str) -> NodeReport:
    """What there is on this node; runs there.

    Args:
        marks: Left by `mark` on the driver's node.
        node: Its id.
    """
    shared = tuple(str(path) for path in marks if _answer_probe(path, node))
    return NodeReport(machine.package_versions() | {"project": machine.project_digest()}, shared, time.time())


def _answer_probe(path: Path, node: str) -> bool:
    try:
        if path.read_text() != path.name:
            return False
        _write_answer(path, node).write_text(node)
    except OSError:
        return False
    return True


def _write_answer(path: Path, node: str) -> Path:
    return path.with_name(f"{path.name}.{node}")


def least_offset(before_s: float, there_s: float, after_s: float) -> float:
    """How far another clock is off at least, if it was read between two readings of this one; positive if it is ahead."""
    return max(0.0, there_s - after_s) + min(0.0, there_s - before_s)


def version_differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Versions of a node that are not those of the driver's, in words; builds of one version count as the same."""

    def plain(version: str) -> str:
        return version.partition("+")[0]

    return [
        f"{name} {plain(there.get(name, 'missing'))} instead of {plain(version)}"
        for name, version in here.items()
        if plain(there.get(name, "missing")) != plain(version)
    ]


def require_same_versions(here: NodeReport, reports: Mapping[Node, NodeReport | str]) -> None:
    """Refuse a cluster whose nodes would not compute the same.

    Args:
        here: What the driver's process finds.
        reports: Of every node; in words where it could not run our code.

    Raises:
        InputError: If a node differs from the driver's.
    """
    wrong = []
    for node, found in reports.items():
        told = [found] if isinstance(found, str) else version_differences(here.versions, found.versions)
        wrong += [f"{node.name}: {', '.join(told)}"] if told else []
    if wrong:
        raise InputError(
            "--address",
            "every node needs the same Python, packages and project as this one",
            value="; ".join(wrong),
            remedy="bring it to all nodes, `ray up cluster.yaml` or `ray job submit --working-dir .`, then restart Ray there",
        )


def nodes_without_probe(path: Path, reports: Mapping[Node, NodeReport | str]) -> list[Node]:
    """Nodes that did not find a mark, or whose answer to it has not arrived at the driver's."""
    return [
        node
        for node, found in reports.items()
        if isinstance(found, str) or str(path) not in found.shared or not _write_answer(path, node.id).is_file()
    ]


def require_shared_folders(marks: Sequence[Path], reports: Mapping[Node, NodeReport | str]) -> None:
    """Refuse folders that some node does not write to.

    Raises:
        InputError: If there is one.
    """
    for path in marks:
        without = [node.name for node in nodes_without_probe(path, reports)]
        if without:
            raise InputError(
                "--storage",
                f"{path.parent} must be the same folder on every node: a trial goes on elsewhere when its node is lost",
                value="not shared by " + ", ".join(without),
                remedy="name a folder that all nodes mount (NFS, EFS, Filestore) at the same path, or a bucket, s3://…",
            )
