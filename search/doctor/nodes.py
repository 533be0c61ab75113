"""The doctor's checks of a cluster: of every node, from the node that will drive the search."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime import machine, nodes
from runtime.errors import InputError
from runtime.machine import Gpu
from runtime.nodes import Node, NodeReport
from runtime.uris import is_uri
from search.doctor.result import CheckResult
from search.doctor.services import check_bucket

_SKEW_S: Final = 1.0


@dataclass(frozen=True)
class NodeCondition:
    """What a node says of itself.

    Attributes:
        report: Its versions, and the driver's marks that it found.
        gpus: What its driver sees.
        usable: How many of them torch can use.
        storage: What came of writing to the bucket from there; None if storage is a folder.
    """

    report: NodeReport
    gpus: tuple[Gpu, ...]
    usable: int
    storage: CheckResult | None


def inspect_node(node: str, marks: Sequence[Path], storage: str) -> NodeCondition:
    """Look around; runs on the node."""
    gpus = machine.list_gpus()
    bucket = check_bucket(storage) if is_uri(storage) else None
    return NodeCondition(nodes.make_report(marks, node), gpus, _usable_folder() if gpus else 0, bucket)


def _usable_folder() -> int:
    """GPUs that torch can use; asked in a process of its own, since Ray hides them from tasks that hold none."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [
        sys.executable,
        "-c",
        "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return int(done.stdout.strip() or 0)


def check_cluster(address: str, storage: str) -> Iterator[CheckResult]:
    """Join a cluster and check every node."""
    from runtime import ray_cluster  # Ray takes seconds to load

    try:
        with ray_cluster.join_cluster(address):
            marks = [] if is_uri(storage) else [nodes.write_probe(Path(storage).absolute())]
            try:
                found = ray_cluster.on_every_node(lambda node: inspect_node(node, marks, storage))
                yield from diagnose_nodes(nodes.make_report((), "").versions, found, marks)
            finally:
                for mark in marks:
                    nodes.remove_probe(mark)
            yield check_clocks(ray_cluster.clock_offsets())
    except InputError as error:
        yield CheckResult("bad", f"{error.place}: {error.value}", error.remedy)


def diagnose_nodes(
    here: Mapping[str, str], found: Mapping[Node, NodeCondition | str], marks: Sequence[Path]
) -> Iterator[CheckResult]:
    """Say what is wrong with the nodes.

    Args:
        here: Versions of the driver.
        found: Of every node; in words where it could not run our code.
        marks: Left by the driver in folders that must be shared.
    """
    total = sum(node.gpus for node in found)
    yield CheckResult("ok", f"{len(found)} nodes, {sum(node.cpus for node in found):g} cores, {total:g} GPUs")
    if not total:
        yield CheckResult("note", "no node has a GPU for Ray", "--profile laptop searches the small network on cores")
    for node, condition in found.items():
        if isinstance(condition, str):
            yield CheckResult(
                "bad", f"{node.name} cannot run the project: {condition}", "`ray up cluster.yaml` copies it there"
            )
            continue
        yield from _check_node(node, condition, here)
    if len(found) > 1:
        reports = {n: c if isinstance(c, str) else c.report for n, c in found.items()}
        for mark in marks:
            yield _check_folder(mark, [node.name for node in nodes.nodes_without_probe(mark, reports)])


def _check_node(node: Node, condition: NodeCondition, here: Mapping[str, str]) -> Iterator[CheckResult]:
    differing = nodes.version_differences(here, condition.report.versions)
    if differing:
        remedy = "install the same there, and `ray up cluster.yaml` copies the project"
        yield CheckResult("bad", f"{node.name}: {', '.join(differing)}", remedy)
    else:
        yield CheckResult(
            "ok", f"{node.name}: Python, packages and project as here; {_describe_hardware(node, condition)}"
        )
    if condition.usable < len(condition.gpus):
        what = f"{node.name}: torch can use {condition.usable} of {len(condition.gpus)} GPUs"
        yield CheckResult("bad", what, "install a CUDA build of the pinned torch that fits the driver")
    if node.gpus < len(condition.gpus):
        what = f"{node.name}: Ray hands out {node.gpus:g} of {len(condition.gpus)} GPUs"
        yield CheckResult("note", what, "start Ray there without --num-gpus")
    if node.gpus > len(condition.gpus):
        what = f"{node.name}: Ray hands out {node.gpus:g} GPUs, its driver shows {len(condition.gpus)}"
        yield CheckResult("bad", what, "start Ray there without --num-gpus, and see `nvidia-smi`")
    if condition.storage is not None:
        found = condition.storage
        yield CheckResult(found.state, f"{node.name}: {found.what}", found.remedy)


def _describe_hardware(node: Node, condition: NodeCondition) -> str:
    kinds = ", ".join(sorted({f"{gpu.name} {gpu.memory_bytes / 2**30:.0f} GiB" for gpu in condition.gpus}))
    return f"{node.cpus:g} cores, {node.gpus:g} GPUs" + (f" ({kinds})" if kinds else "")


def _check_folder(mark: Path, blind: Sequence[str]) -> CheckResult:
    if not blind:
        return CheckResult("ok", f"{mark.parent} is shared by all nodes")
    remedy = "name a folder that all nodes mount at the same path, or a bucket, s3://…"
    return CheckResult("bad", f"{mark.parent} is not shared by {', '.join(blind)}", remedy)


def check_clocks(offsets: Mapping[Node, float]) -> CheckResult:
    """Whether all clocks agree with the driver's, in seconds."""
    late = [f"{node.name} by {offset:+.1f} s" for node, offset in offsets.items() if abs(offset) > _SKEW_S]
    if late:
        return CheckResult(
            "bad", f"clocks differ from this node's: {', '.join(late)}", "run chrony or ntpd on every node"
        )
    return CheckResult("ok", f"clocks agree within {_SKEW_S:g} s")
