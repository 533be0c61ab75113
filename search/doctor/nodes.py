"""Checks of all nodes of a Ray cluster, run from the node that drives the search."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.machines import machine, nodes
from runtime.machines.machine import Gpu
from runtime.machines.nodes import Node, NodeReport
from runtime.uris import is_uri
from search.doctor.result import CheckResult
from search.doctor.services import check_bucket

_MAX_CLOCK_OFFSET_S: Final = 1.0


@dataclass(frozen=True)
class NodeCondition:
    """State of a node, as inspected on that node.

    Attributes:
        report: Versions on the node, and the probes of the driver visible there.
        gpus: GPUs visible to the GPU driver.
        usable_gpus: Number of GPUs that torch can use.
        storage: Result of the bucket check on the node; None if the storage is a folder.
    """

    report: NodeReport
    gpus: tuple[Gpu, ...]
    usable_gpus: int
    storage: CheckResult | None


def inspect_node(node: str, probes: Sequence[Path], storage: str) -> NodeCondition:
    """Inspect the node that the function runs on."""
    gpus = machine.list_gpus()
    bucket = check_bucket(storage) if is_uri(storage) else None
    return NodeCondition(nodes.make_report(probes, node), gpus, _count_usable_gpus() if gpus else 0, bucket)


def _count_usable_gpus() -> int:
    """Return the number of GPUs that torch can use, from a separate process: Ray hides GPUs from tasks that hold none."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [
        sys.executable,
        "-c",
        "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)",
    ]
    completed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return int(completed.stdout.strip() or 0)


def check_cluster(address: str, storage: str) -> Iterator[CheckResult]:
    """Connect to a cluster and check all its nodes."""
    from runtime.machines import ray_cluster  # Ray takes seconds to load

    try:
        with ray_cluster.join_cluster(address):
            probes = [] if is_uri(storage) else [nodes.write_probe(Path(storage).absolute())]
            try:
                conditions = ray_cluster.on_every_node(lambda node: inspect_node(node, probes, storage))
                yield from diagnose_nodes(nodes.make_report((), "").versions, conditions, probes)
            finally:
                for probe in probes:
                    nodes.remove_probe(probe)
            yield check_clocks(ray_cluster.clock_offsets())
    except InputError as error:
        yield CheckResult("error", f"{error.place}: {error.value}", error.remedy)


def diagnose_nodes(
    driver_versions: Mapping[str, str], conditions: Mapping[Node, NodeCondition | str], probes: Sequence[Path]
) -> Iterator[CheckResult]:
    """Derive check results from the conditions of the nodes.

    Args:
        driver_versions: Versions on the driver.
        conditions: Condition of each node, or the error message if the node could not run the project.
        probes: Probe files that the driver wrote to folders that must be shared.
    """
    total = sum(node.gpus for node in conditions)
    yield CheckResult("ok", f"{len(conditions)} nodes, {sum(node.cpus for node in conditions):g} cores, {total:g} GPUs")
    if not total:
        yield CheckResult("note", "no node has a GPU for Ray", "--profile laptop searches the small network on cores")
    for node, condition in conditions.items():
        if isinstance(condition, str):
            yield CheckResult(
                "error",
                f"{node.name} cannot run the project: {condition}",
                "copy the project there with `ray up cluster.yaml`",
            )
            continue
        yield from _check_node(node, condition, driver_versions)
    if len(conditions) > 1:
        reports = {n: c if isinstance(c, str) else c.report for n, c in conditions.items()}
        for probe in probes:
            yield _check_folder(probe, [node.name for node in nodes.nodes_without_probe(probe, reports)])


def _check_node(node: Node, condition: NodeCondition, driver_versions: Mapping[str, str]) -> Iterator[CheckResult]:
    differing = nodes.version_differences(driver_versions, condition.report.versions)
    if differing:
        remedy = "install the same versions there, and copy the project with `ray up cluster.yaml`"
        yield CheckResult("error", f"{node.name}: {', '.join(differing)}", remedy)
    else:
        yield CheckResult(
            "ok", f"{node.name}: same Python, packages and project; {_describe_hardware(node, condition)}"
        )
    if condition.usable_gpus < len(condition.gpus):
        message = f"{node.name}: torch can use {condition.usable_gpus} of {len(condition.gpus)} GPUs"
        yield CheckResult("error", message, "install a CUDA build of the pinned torch that fits the driver")
    if node.gpus < len(condition.gpus):
        message = f"{node.name}: Ray offers {node.gpus:g} of {len(condition.gpus)} GPUs"
        yield CheckResult("note", message, "start Ray there without --num-gpus")
    if node.gpus > len(condition.gpus):
        message = f"{node.name}: Ray offers {node.gpus:g} GPUs, but the GPU driver shows {len(condition.gpus)}"
        yield CheckResult("error", message, "start Ray there without --num-gpus, and check `nvidia-smi`")
    if condition.storage is not None:
        bucket = condition.storage
        yield CheckResult(bucket.state, f"{node.name}: {bucket.message}", bucket.remedy)


def _describe_hardware(node: Node, condition: NodeCondition) -> str:
    kinds = ", ".join(sorted({f"{gpu.name} {gpu.memory_bytes / 2**30:.0f} GiB" for gpu in condition.gpus}))
    return f"{node.cpus:g} cores, {node.gpus:g} GPUs" + (f" ({kinds})" if kinds else "")


def _check_folder(probe: Path, nodes_without: Sequence[str]) -> CheckResult:
    if not nodes_without:
        return CheckResult("ok", f"{probe.parent} is shared by all nodes")
    remedy = "use a folder that all nodes mount at the same path, or a bucket, s3://…"
    return CheckResult("error", f"{probe.parent} is not shared by {', '.join(nodes_without)}", remedy)


def check_clocks(offsets: Mapping[Node, float]) -> CheckResult:
    """Check that all clocks agree with that of the driver; offsets are in seconds."""
    differing = [
        f"{node.name} by {offset:+.1f} s" for node, offset in offsets.items() if abs(offset) > _MAX_CLOCK_OFFSET_S
    ]
    if differing:
        return CheckResult(
            "error", f"clocks differ from that of this node: {', '.join(differing)}", "run chrony or ntpd on every node"
        )
    return CheckResult("ok", f"clocks agree within {_MAX_CLOCK_OFFSET_S:g} s")
