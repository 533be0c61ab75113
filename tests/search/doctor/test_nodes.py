"""Checks of nodes by the doctor, derived from node reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime.machines import machine, nodes
from runtime.machines.machine import Gpu
from runtime.machines.nodes import Node, NodeReport
from search.doctor import nodes as doctor_nodes
from search.doctor.nodes import NodeCondition
from search.doctor.result import CheckResult

HEAD = Node("a", "10.0.0.2", {"CPU": 4.0})
WORKER = Node("b", "10.0.0.3", {"CPU": 16.0, "GPU": 2.0})
VERSIONS = {"python": "3.11.9", "torch": "2.13.0", "project": "abc"}
L4 = Gpu("NVIDIA L4", 23_034 << 20, "570.86")
HEALTHY = NodeCondition(NodeReport(VERSIONS, (), 0.0), (), 0, None)
WITH_GPUS = replace(HEALTHY, gpus=(L4, L4), usable_gpus=2)


def errors(conditions: dict[Node, NodeCondition | str], probes: tuple[Path, ...] = ()) -> list[str]:
    results = doctor_nodes.diagnose_nodes(VERSIONS, conditions, probes)
    return [result.message for result in results if result.state == "error"]


def test_a_healthy_cluster_is_described_without_errors() -> None:
    results = list(doctor_nodes.diagnose_nodes(VERSIONS, {HEAD: HEALTHY, WORKER: WITH_GPUS}, ()))
    assert [result.state for result in results] == ["ok", "ok", "ok"]
    assert results[0].message == "2 nodes, 20 cores, 2 GPUs"
    assert results[2].message.endswith("16 cores, 2 GPUs (NVIDIA L4 22 GiB)")


def test_other_versions_and_nodes_without_the_project_are_errors() -> None:
    older = replace(HEALTHY, report=NodeReport(VERSIONS | {"torch": "2.5.1+cu121"}, (), 0.0))
    assert errors({HEAD: older, WORKER: "ModuleNotFoundError: No module named 'search'"}) == [
        "10.0.0.2: torch 2.5.1 instead of 2.13.0",
        "10.0.0.3 cannot run the project: ModuleNotFoundError: No module named 'search'",
    ]


@pytest.mark.parametrize(
    ("visible", "usable", "message"),
    [(2, 0, "torch can use 0 of 2 GPUs"), (1, 1, "Ray offers 2 GPUs, but the GPU driver shows 1")],
)
def test_unusable_gpus_are_errors(visible: int, usable: int, message: str) -> None:
    assert errors({WORKER: replace(HEALTHY, gpus=(L4,) * visible, usable_gpus=usable)}) == [f"10.0.0.3: {message}"]


def test_gpus_that_ray_does_not_offer_are_a_note() -> None:
    results = doctor_nodes.diagnose_nodes(VERSIONS, {HEAD: WITH_GPUS}, ())
    assert [r.message for r in results if r.state == "note"][-1] == "10.0.0.2: Ray offers 0 of 2 GPUs"


def test_a_folder_that_a_node_does_not_share_is_an_error_except_on_a_single_node(tmp_path: Path) -> None:
    probe = nodes.write_probe(tmp_path)
    sharing = replace(HEALTHY, report=replace(nodes.make_report([probe], HEAD.id), versions=VERSIONS))
    assert errors({HEAD: sharing, WORKER: WITH_GPUS}, (probe,)) == [f"{tmp_path} is not shared by 10.0.0.3"]
    assert errors({HEAD: sharing}, (probe,)) == []


def test_the_bucket_is_checked_on_every_node() -> None:
    refused = replace(HEALTHY, storage=CheckResult("error", "s3://data: refused", "a remedy"))
    assert errors({HEAD: refused, WORKER: WITH_GPUS}) == ["10.0.0.2: s3://data: refused"]


def test_clocks_may_differ_by_a_second() -> None:
    assert doctor_nodes.check_clocks({HEAD: 0.0, WORKER: -0.9}).state == "ok"
    result = doctor_nodes.check_clocks({HEAD: 0.0, WORKER: -3.04})
    assert result.state == "error"
    assert "10.0.0.3 by -3.0 s" in result.message


def test_a_slow_reply_is_not_a_clock_offset() -> None:
    assert nodes.least_offset(10.0, 14.0, 20.0) == 0
    assert nodes.least_offset(10.0, 23.0, 20.0) == 3
    assert nodes.least_offset(10.0, 8.0, 20.0) == -2


def test_the_output_of_nvidia_smi_is_parsed() -> None:
    output = "NVIDIA H100 80GB HBM3, 81559, 570.86.15\nNVIDIA L4, 23034, 570.86.15\n"
    assert machine.parse_gpus(output) == (
        Gpu("NVIDIA H100 80GB HBM3", 81_559 * 2**20, "570.86.15"),
        Gpu("NVIDIA L4", 23_034 * 2**20, "570.86.15"),
    )
    assert machine.parse_gpus("") == ()
