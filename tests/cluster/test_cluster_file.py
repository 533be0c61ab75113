"""Static checks of `cluster.yaml` and the files it uses, including some that Ray does not make."""

from __future__ import annotations

import copy
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from deploy import services
from tests.cluster.configs import Config, at_mock_aws, cluster_yaml, on_premise
from tests.cluster.lab import ROOT

NODE_ENV = (ROOT / "deploy" / "node.env").read_text(encoding="utf-8")


def out_of_bounds(config: Config) -> list[str]:
    """Return violations of bounds that Ray's schema does not check."""
    types = config["available_node_types"]
    workers = {name: kind for name, kind in types.items() if name != config["head_node_type"]}
    violations = [
        f"{name}: max_workers {kind['max_workers']} < min_workers {kind['min_workers']}"
        for name, kind in workers.items()
        if kind["max_workers"] < kind["min_workers"]
    ]
    violations += [f"{name}: no GPU" for name, kind in workers.items() if kind["resources"].get("GPU", 0) < 1]
    if config["max_workers"] > sum(kind["max_workers"] for kind in workers.values()):
        violations.append("max_workers: more than the types allow together")
    if not 0 < config["idle_timeout_minutes"] <= 30:
        violations.append("idle_timeout_minutes: a forgotten cluster costs money")
    return violations


def changed(path: str, value: Any) -> Config:
    config = copy.deepcopy(cluster_yaml())
    *parents, last = path.split("/")
    section: Any = config
    for key in parents:
        section = section[key]
    section[last] = value
    return config


def test_ray_accepts_it() -> None:
    validate_config(prepare_config(cluster_yaml()))


def test_ray_accepts_its_on_premise_and_its_mock_form() -> None:
    validate_config(prepare_config(on_premise(cluster_yaml(), "10.0.0.1", ["10.0.0.2"], "/shared")))
    validate_config(prepare_config(at_mock_aws(cluster_yaml(), "s3://bucket/prefix")))


def test_its_bounds_hold() -> None:
    assert out_of_bounds(cluster_yaml()) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("available_node_types/worker/min_workers", 9, "worker: max_workers 8 < min_workers 9"),
        ("available_node_types/worker/resources", {"CPU": 4}, "worker: no GPU"),
        ("max_workers", 9, "max_workers: more than the types allow together"),
        ("idle_timeout_minutes", 600, "idle_timeout_minutes: a forgotten cluster costs money"),
    ],
)
def test_a_broken_bound_is_found(path: str, value: Any, complaint: str) -> None:
    assert out_of_bounds(changed(path, value)) == [complaint]


def test_every_mounted_path_exists_and_none_is_large() -> None:
    own = {remote: local for remote, local in cluster_yaml()["file_mounts"].items() if not local.startswith("~")}
    for local in own.values():
        assert (ROOT / local).exists(), local
    assert not {".", ".venv", ".git", "runs"} & set(own.values())
    assert all(remote == f"~/soundsweep/{local}" for remote, local in own.items())


def test_every_import_package_is_mounted() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.removesuffix("*") for pattern in patterns}
    assert "runtime" in packages
    mounted = set(cluster_yaml()["file_mounts"].values())
    assert packages <= mounted


def test_the_token_is_copied_to_every_node_and_required() -> None:
    assert cluster_yaml()["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "export RAY_AUTH_MODE=token" in NODE_ENV


def test_a_silent_node_counts_as_lost_within_twenty_seconds() -> None:
    period, timeout, threshold = (
        int(re.search(rf"RAY_health_check_{name}=(\d+)", NODE_ENV)[1])  # type: ignore[index]
        for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert threshold * (period + timeout) < 20_000
    assert timeout >= 3_000  # otherwise a node that swaps for a moment counts as lost
    assert threshold >= 3


def test_dashboard_and_mlflow_listen_on_loopback_only() -> None:
    start = " ".join(cluster_yaml()["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
    for command in services.service_commands("s3://bucket", Path("/state"), ""):
        assert "127.0.0.1" in " ".join(command)


def test_only_ssh_is_open() -> None:
    assert "security_group" not in cluster_yaml()["provider"]  # Ray's default group: port 22, and members of the group


def test_workers_are_spot_and_the_head_is_not() -> None:
    types = cluster_yaml()["available_node_types"]
    assert types["worker"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]


def test_the_environment_file_of_every_shell_parses() -> None:
    subprocess.run(["bash", "-n", str(ROOT / "deploy" / "node.env")], check=True)


@pytest.mark.parametrize("key", ["setup_commands", "head_start_ray_commands", "worker_start_ray_commands"])
def test_commands_parse(key: str) -> None:
    for command in cluster_yaml()[key]:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_nodes_install_pinned_packages() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert {"ray", "boto3", "torch", "mlflow", "optuna", "aiohttp-cors", "virtualenv"} <= pinned
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.split("[<>=~! ]", requirement)[0] for requirement in project["optional-dependencies"]["cluster"]}
    assert required >= {"ray[default]", "boto3"}
    assert "EXTRAS=cluster" in " ".join(cluster_yaml()["setup_commands"])
