"""What the doctor says of nodes, from what they say of themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime import machine, nodes
from runtime.machine import Gpu
from runtime.nodes import Node, NodeReport
from search.doctor import nodes as checkup
from search.doctor.nodes import NodeCondition
from search.doctor.result import CheckResult

HEAD = Node("a", "10.0.0.2", {"CPU": 4.0})
WORKER = Node("b", "10.0.0.3", {"CPU": 16.0, "GPU": 2.0})
VERSIONS = {"python": "3.11.9", "torch": "2.13.0", "project": "abc"}
L4 = Gpu("NVIDIA L4", 23_034 << 20, "570.86")
FINE = NodeCondition(NodeReport(VERSIONS, (), 0.0), (), 0, None)
WITH_GPUS = replace(FINE, gpus=(L4, L4), usable=2)


def bad(found: dict[Node, NodeCondition | str], marks: tuple[Path, ...] = ()) -> list[str]:
    return [finding.what for finding in checkup.diagnose_nodes(VERSIONS, found, marks) if finding.state == "bad"]


def test_a_cluster_in_order_is_described_and_nothing_is_bad() -> None:
    found = list(checkup.diagnose_nodes(VERSIONS, {HEAD: FINE, WORKER: WITH_GPUS}, ()))
    assert [finding.state for finding in found] == ["ok", "ok", "ok"]
    assert found[0].what == "2 nodes, 20 cores, 2 GPUs"
    assert found[2].what.endswith("16 cores, 2 GPUs (NVIDIA L4 22 GiB)")


def test_other_versions_and_nodes_without_the_project_are_bad() -> None:
    older = replace(FINE, report=NodeReport(VERSIONS | {"torch": "2.5.1+cu121"}, (), 0.0))
    assert bad({HEAD: older, WORKER: "ModuleNotFoundError: No module named 'search'"}) == [
        "10.0.0.2: torch 2.5.1 instead of 2.13.0",
        "10.0.0.3 cannot run the project: ModuleNotFoundError: No module named 'search'",
    ]


@pytest.mark.parametrize(
    ("seen", "usable", "says"),
    [(2, 0, "torch can use 0 of 2 GPUs"), (1, 1, "Ray hands out 2 GPUs, its driver shows 1")],
)
def test_gpus_that_cannot_be_used_are_bad(seen: int, usable: int, says: str) -> None:
    assert bad({WORKER: replace(FINE, gpus=(L4,) * seen, usable=usable)}) == [f"10.0.0.3: {says}"]


def test_gpus_that_ray_does_not_hand_out_are_a_note() -> None:
    found = checkup.diagnose_nodes(VERSIONS, {HEAD: WITH_GPUS}, ())
    assert [f.what for f in found if f.state == "note"][-1] == "10.0.0.2: Ray hands out 0 of 2 GPUs"


def test_a_folder_that_a_node_does_not_see_is_bad_unless_there_is_one_node_alone(tmp_path: Path) -> None:
    mark = nodes.write_probe(tmp_path)
    seeing = replace(FINE, report=replace(nodes.make_report([mark], HEAD.id), versions=VERSIONS))
    assert bad({HEAD: seeing, WORKER: WITH_GPUS}, (mark,)) == [f"{tmp_path} is not shared by 10.0.0.3"]
    assert bad({HEAD: seeing}, (mark,)) == []


def test_a_bucket_is_asked_from_every_node() -> None:
    refused = replace(FINE, storage=CheckResult("bad", "s3://data: refused", "a remedy"))
    assert bad({HEAD: refused, WORKER: WITH_GPUS}) == ["10.0.0.2: s3://data: refused"]


def test_clocks_may_differ_by_a_second() -> None:
    assert checkup.check_clocks({HEAD: 0.0, WORKER: -0.9}).state == "ok"
    found = checkup.check_clocks({HEAD: 0.0, WORKER: -3.04})
    assert found.state == "bad"
    assert "10.0.0.3 by -3.0 s" in found.what


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert nodes.least_offset(10.0, 14.0, 20.0) == 0
    assert nodes.least_offset(10.0, 23.0, 20.0) == 3
    assert nodes.least_offset(10.0, 8.0, 20.0) == -2


def test_what_nvidia_smi_answers_is_read() -> None:
    said = "NVIDIA H100 80GB HBM3, 81559, 570.86.15\nNVIDIA L4, 23034, 570.86.15\n"
    assert machine.parse_gpus(said) == (
        Gpu("NVIDIA H100 80GB HBM3", 81_559 * 2**20, "570.86.15"),
        Gpu("NVIDIA L4", 23_034 * 2**20, "570.86.15"),
    )
    assert machine.parse_gpus("") == ()
