"""`cluster.yaml` as it is, and as it becomes where there is no AWS: the changes that docs/cluster.md names, no others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.cluster.lab import ROOT

Config = dict[str, Any]


def cluster_yaml() -> Config:
    """The file as Ray reads it."""
    loaded: Config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    return loaded


def on_premise(config: Mapping[str, Any], head: str, workers: Sequence[str], storage: str) -> Config:
    """For machines that are there already."""
    result = _with_storage(config, storage)
    for key in ("available_node_types", "head_node_type", "upscaling_speed"):
        del result[key]
    result["provider"] = {"type": "local", "head_ip": head, "worker_ips": list(workers)}
    result["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id"}
    result["min_workers"] = result["max_workers"] = len(workers)
    return result


def _with_storage(config: Mapping[str, Any], storage: str) -> Config:
    result: Config = copy.deepcopy(dict(config))
    first = result["setup_commands"][0]
    result["setup_commands"][0] = first.replace("s3://CHANGE-ME/soundsweep", storage)
    assert first != result["setup_commands"][0]
    return result


def at_mock_aws(config: Mapping[str, Any], storage: str) -> Config:
    """For the mock: its public addresses lead nowhere, and the hosts know one user."""
    result = _with_storage(config, storage)
    result["provider"]["use_internal_ips"] = True
    result["auth"]["ssh_user"] = "root"
    return result
