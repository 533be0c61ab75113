"""What the nodes of a cluster must have in common, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.machines import machine, nodes
from runtime.machines.nodes import Node, NodeReport

A, B = Node("a", "10.0.0.2", {"CPU": 4.0}), Node("b", "10.0.0.3", {"CPU": 8.0, "GPU": 2.0, "accelerator_type:L4": 1.0})
VERSIONS = {"python": "3.11.9", "ray": "2.60.0", "torch": "2.13.0+cpu", "project": "abc"}


def report(**versions: str) -> NodeReport:
    return NodeReport(VERSIONS | versions, (), 0.0)


def test_nodes_that_agree_are_taken_and_a_cuda_build_is_the_same_torch() -> None:
    nodes.require_same_versions(report(), {A: report(), B: report(torch="2.13.0+cu128")})


def test_every_node_that_differs_is_named_with_what_differs() -> None:
    with pytest.raises(InputError, match="same Python, packages and project") as caught:
        nodes.require_same_versions(
            report(), {A: "ModuleNotFoundError: No module named 'datasets'", B: report(ray="2.9.0")}
        )
    assert caught.value.value == (
        "10.0.0.2: ModuleNotFoundError: No module named 'datasets'; 10.0.0.3: ray 2.9.0 instead of 2.60.0"
    )


def test_a_package_that_a_node_lacks_differs() -> None:
    assert nodes.version_differences({"ray": "2.60.0"}, {}) == ["ray missing instead of 2.60.0"]


def test_a_folder_is_shared_if_every_node_finds_the_mark_and_answers(tmp_path: Path) -> None:
    mark = nodes.write_probe(tmp_path / "runs")
    reports: dict[Node, NodeReport | str] = {node: nodes.make_report([mark], node.id) for node in (A, B)}
    nodes.require_shared_folders([mark], reports)
    nodes.remove_probe(mark)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_node_that_sees_another_folder_of_that_name_is_found(tmp_path: Path) -> None:
    mark = nodes.write_probe(tmp_path)
    reports: dict[Node, NodeReport | str] = {A: nodes.make_report([mark], A.id), B: report()}
    assert nodes.nodes_without_probe(mark, reports) == [B]
    claimed = NodeReport(VERSIONS, (str(mark),), 0.0)  # it read the mark, but its answer stayed on its own disk
    assert nodes.nodes_without_probe(mark, {A: reports[A], B: claimed}) == [B]
    with pytest.raises(InputError, match="same folder on every node") as caught:
        nodes.require_shared_folders([mark], {A: reports[A], B: claimed})
    assert "s3://" in caught.value.remedy
    assert caught.value.value == "not shared by 10.0.0.3"


def test_a_node_that_cannot_write_shares_nothing(tmp_path: Path) -> None:
    assert nodes.make_report([tmp_path / "no such mark"], "a").shared == ()


def test_a_report_tells_the_versions_of_this_machine_and_of_the_project() -> None:
    found = nodes.make_report([], "a").versions
    assert found["project"] == machine.project_digest()
    assert found["ray"] == machine.package_versions()["ray"]


def test_kind_and_number_of_gpus_are_read_from_what_ray_says() -> None:
    assert (A.cpus, A.gpus, A.accelerator) == (4.0, 0.0, None)
    assert (B.cpus, B.gpus, B.accelerator) == (8.0, 2.0, "L4")


@pytest.mark.parametrize("address", ["auto", "10.0.0.2:6379", "head.example.org:6379"])
def test_addresses_that_name_a_cluster(address: str) -> None:
    nodes.check_address(address)


@pytest.mark.parametrize("address", ["", "local", "10.0.0.2", "ray://10.0.0.2:10001", "http://10.0.0.2:8265"])
def test_addresses_that_do_not(address: str) -> None:
    with pytest.raises(InputError, match="--address"):
        nodes.check_address(address)
