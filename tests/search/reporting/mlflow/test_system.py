"""System metrics are sampled until the logger is closed, and never in the way of a search."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.reporting.mlflow import system as mlflow_system
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.store import MlflowStore
from search.reporting.mlflow.system import SystemSampler

INTERVAL_S = 0.02
WAIT_S = 20.0


def test_samples_come_until_the_sampler_is_closed() -> None:
    samples: list[Mapping[str, float]] = []
    arrived = threading.Event()

    def take(values: Mapping[str, float]) -> None:
        samples.append(values)
        if len(samples) == 2:
            arrived.set()

    sampler = SystemSampler(take, INTERVAL_S)
    assert arrived.wait(WAIT_S)
    sampler.close()
    count = len(samples)
    assert all(0 <= sample["system/cpu_utilization_percentage"] <= 100 for sample in samples)
    assert all(name.startswith("system/") for sample in samples for name in sample)
    assert not sampler.is_running
    assert len(samples) == count


def test_an_error_ends_the_sampler_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[object]:
        raise RuntimeError("no monitors")

    monkeypatch.setattr(mlflow_system, "open_system_monitors", fail)
    sampler = SystemSampler(lambda _: None, INTERVAL_S)
    sampler.close()
    assert not sampler.is_running


@pytest.mark.slow
def test_steps_count_intervals_since_the_start_of_the_run(tmp_path: Path) -> None:
    store = MlflowStore.from_uri(tmp_path, None)
    client = MlflowClient(store.uri)
    for launch in range(2):
        logger = MlflowLogger(store, "load")
        runs = client.search_runs([logger.experiment_id])
        run_id = logger.open_run(runs[0].info.run_id if runs else None, "search", {}, {})
        assert run_id is not None
        logger.watch_system(run_id, INTERVAL_S)
        wanted = launch + 1
        waited = threading.Event()
        for _ in range(round(WAIT_S / 0.1)):
            if len(client.get_metric_history(run_id, "system/cpu_utilization_percentage")) >= wanted:
                break
            waited.wait(0.1)
        logger.close()
        assert logger.problems == []
    history = client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    steps = [metric.step for metric in sorted(history, key=lambda metric: metric.timestamp)]
    assert len(steps) >= 2
    assert steps == sorted(steps)
