"""The only file that knows MLflow: one run for the search, one nested in it for every trial, all told in the background."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from datasets.datasource import DataSource
from datasets.store import Store as DataStore
from search.records import Epoch, Outcome, Trial
from search.study import Study

for _noisy in ("alembic", "mlflow"):  # after the import, which sets levels of its own
    logging.getLogger(_noisy).setLevel(logging.ERROR)

_PARENT: Final = "mlflow.parentRunId"
_STEP_METRIC: Final = "loss"
_PATIENCE_S: Final = 30.0
_MOST_COMPARED: Final = 100

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

STATUS_OF: Final[dict[Outcome, Status]] = {
    "running": "KILLED",  # when it is written, the trial has been interrupted
    "finished": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
}


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps things.

    Attributes:
        uri: Tracking URI.
        artifacts: Where artefacts go; None leaves it to a server.
    """

    uri: str
    artifacts: str | None

    @classmethod
    def at(cls, storage: Path, uri: str | None) -> Store:
        """The store a user asked for, or SQLite in the storage folder."""
        if uri is not None:
            return cls(uri, None if uri.startswith("http") else (storage / "mlartifacts").as_uri())
        return cls(f"sqlite:///{storage / 'mlflow.db'}", (storage / "mlartifacts").as_uri())


class Tracker:
    """Mirrors the study in MLflow.

    Metrics, ends and artefacts are queued and written by a thread, so that a slow store does not slow the search; what a
    store refuses is kept in `problems`. The study has everything, so `reconcile` can repeat it at the next launch.
    """

    def __init__(self, store: Store, experiment: str) -> None:
        self._client = MlflowClient(tracking_uri=store.uri)
        found = self._client.get_experiment_by_name(experiment)
        if found is not None:
            self.experiment_id = found.experiment_id
        else:
            location = None if store.artifacts is None else f"{store.artifacts}/{experiment}"
            self.experiment_id = self._client.create_experiment(experiment, artifact_location=location)
        self.problems: list[str] = []
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def open(
        self,
        run_id: str | None,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> str:
        """Create a run, or set an interrupted one going again.

        Returns:
            Its id.
        """
        if run_id is not None and self._exists(run_id):
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        nested = {} if parent is None else {_PARENT: parent}
        run = self._client.create_run(self.experiment_id, run_name=name, tags={**tags, **nested})
        created = str(run.info.run_id)
        params = [Param(key, str(value)[:6000]) for key, value in parameters.items()]
        for first in range(0, len(params), 100):
            self._client.log_batch(created, params=params[first : first + 100])
        return created

    def _exists(self, run_id: str) -> bool:
        try:
            return str(self._client.get_run(run_id).info.lifecycle_stage) == "active"
        except MlflowException:
            return False

    def log_epoch(self, run_id: str, epoch: Epoch) -> None:
        """Log one epoch's metrics and the setting that was best."""
        now = int(time.time() * 1000)
        values = {
            **epoch.metrics,
            **{f"setting.{name}": v for name, v in epoch.setting.items()},
            "epoch_seconds": epoch.seconds,
        }
        metrics = [Metric(name, float(value), now, epoch.epoch) for name, value in values.items()]
        self._queue.put(lambda: self._client.log_batch(run_id, metrics=metrics))

    def log_values(self, run_id: str, values: Mapping[str, float]) -> None:
        """Log figures that belong to no epoch."""
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, 0) for name, value in values.items()]
        self._queue.put(lambda: self._client.log_batch(run_id, metrics=metrics))

    def log_data(self, run_id: str, store: DataStore, source: DataSource) -> None:
        """Log a dataset: each split with its digest, its size and where it lies."""
        inputs = []
        for split in source.splits():
            context = {"train": "training", "validate": "validation"}.get(split.name, "test")
            described = Dataset(
                name=split.name,
                digest=split.digest[:36],  # MLflow takes no more
                source_type="local" if store.is_local else store.uri.partition(":")[0],
                source=json.dumps({"uri": f"{store.name}/{split.folder}"}),
                profile=json.dumps({source.unit: split.samples}),
            )
            inputs.append(DatasetInput(described, [InputTag("mlflow.data.context", context)]))
        self._queue.put(lambda: self._client.log_inputs(run_id, inputs))

    def log_file(self, run_id: str, path: Path) -> None:
        """Log an artefact."""
        self._queue.put(lambda: self._client.log_artifact(run_id, str(path)))

    def end(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        """End a run."""
        self._queue.put(lambda: self._end(run_id, status, tags))

    def _end(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        self._client.log_batch(run_id, tags=[RunTag(name, value[:4000]) for name, value in tags.items()])
        self._client.set_terminated(run_id, status)

    def reconcile(self, study: Study) -> None:
        """Bring the runs of ended trials to what the study says, and end runs that nobody owns."""
        parent = study.parent_run_id()
        if parent is None:
            return
        trials = study.trials()
        owned = {trial.run_id for trial in trials}
        for run in self._unfinished(parent):
            if run not in owned:
                self._end(run, "KILLED", {"outcome": "lost in a crash"})
        for trial in trials:
            if trial.outcome != "running" and trial.run_id is not None and self._exists(trial.run_id):
                self._repeat(trial, trial.run_id)
        self._flush()

    def _repeat(self, trial: Trial, run_id: str) -> None:
        """Log what an ended trial's run has not got."""
        if self._client.get_run(run_id).info.status != "RUNNING":
            return
        logged = {metric.step for metric in self._client.get_metric_history(run_id, _STEP_METRIC)}
        for epoch in trial.epochs:
            if epoch.epoch not in logged:
                self.log_epoch(run_id, epoch)
        self.end(run_id, STATUS_OF[trial.outcome], end_tags(trial))

    def _unfinished(self, parent: str) -> list[str]:
        found = self._client.search_runs(
            [self.experiment_id], f"tags.`{_PARENT}` = '{parent}' and attributes.status = 'RUNNING'", max_results=10_000
        )
        return [str(run.info.run_id) for run in found]

    def _flush(self) -> None:
        done = threading.Event()
        self._queue.put(done.set)
        done.wait(_PATIENCE_S)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self.problems.append(f"the store did not take everything within {_PATIENCE_S:g} s")

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception as error:  # noqa: BLE001  # a store that is away must not end the search
                self.problems.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def end_tags(trial: Trial) -> dict[str, str]:
    """Tags of a trial that ended."""
    return {"outcome": trial.outcome, "reason": trial.reason, "epochs": str(len(trial.epochs))}


def comparisons(store: Store, search: str | None) -> list[tuple[str, str]]:
    """Links into MLflow's page that show the trials of each search side by side.

    Args:
        store: Where the runs are.
        search: Only this one, or all if None.

    Returns:
        Pairs of a search's name and the fragment of the address.
    """
    client = MlflowClient(tracking_uri=store.uri)
    links = []
    for experiment in client.search_experiments():
        if search is None or experiment.name == search:
            runs = client.search_runs([experiment.experiment_id], "tags.trial != ''", max_results=_MOST_COMPARED)
            if runs:
                links.append((experiment.name, _compare_link(experiment.experiment_id, [r.info.run_id for r in runs])))
    return links


def _compare_link(experiment_id: str, run_ids: Sequence[str]) -> str:
    ids = json.dumps(list(run_ids), separators=(",", ":"))
    return f"#/compare-runs?runs={quote(ids)}&experiments={quote(json.dumps([experiment_id]))}"
