"""`cluster.yaml`, and its variants without AWS: with the changes that docs/cluster.md names, and no others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.cluster.lab import ROOT

Config = dict[str, Any]


def cluster_yaml() -> Config:
    """Return the content of the file."""
    loaded: Config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    return loaded


def on_premise(config: Mapping[str, Any], head: str, workers: Sequence[str], storage: str) -> Config:
    """Return the variant for existing machines."""
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
    """Return the variant for the mock AWS: its public addresses are unreachable, and root is the only user of the hosts."""
    result = _with_storage(config, storage)
    result["provider"]["use_internal_ips"] = True
    result["auth"]["ssh_user"] = "root"
    return result
