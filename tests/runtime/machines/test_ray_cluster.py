"""A Ray that does not start is told, and not thrown at somebody."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from runtime.errors import InputError
from runtime.machines import ray_cluster


def test_a_machine_too_busy_for_ray_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(**_: Any) -> None:
        raise Exception("The current node timed out during startup. This could happen because\nof …")

    monkeypatch.setattr(ray, "init", too_late)
    with pytest.raises(InputError, match="Ray must start on this machine") as told, ray_cluster.start_local_ray():
        pytest.fail("it has not started")
    assert told.value.value == "The current node timed out during startup. This could happen because"
    assert "nothing is lost" in told.value.remedy


def test_what_goes_wrong_while_ray_runs_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "cluster_resources", dict)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(KeyError), ray_cluster.start_local_ray():
        raise KeyError("of a search")
