"""The only file that knows MLflow: one run for the search, one nested in it for every trial, all told in the background."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # of 7: trials start in the thread that waits for them
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # with whatever password is in it
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException, RestException

from datasets.building.provider import DatasetProvider
from runtime import uris
from runtime.errors import InputError
from runtime.storage import Store as DataStore
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial

for _noisy in ("alembic", "mlflow"):  # after the import, which sets levels of its own
    logging.getLogger(_noisy).setLevel(logging.ERROR)

_PARENT: Final = "mlflow.parentRunId"
_STEP_METRIC: Final = "loss"
_PATIENCE_S: Final = 30.0
_MOST_COMPARED: Final = 100
_AWAY_S: Final = 30.0
"""A server that does not answer is left alone for so long; the study has what it misses."""

_T = TypeVar("_T")
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

STATUS_OF: Final[dict[Outcome, Status]] = {
    "running": "KILLED",  # when it is written, the trial has been interrupted
    "finished": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
}


@dataclass(frozen=True)
class MlflowStore:
    """Where MLflow keeps things.

    Attributes:
        uri: Tracking URI.
        artifacts: Where artefacts go; None leaves it to a server.
    """

    uri: str
    artifacts: str | None

    @classmethod
    def from_uri(cls, storage: Path, uri: str | None) -> MlflowStore:
        """The store a user asked for, or SQLite in the storage folder."""
        if uri is not None:
            return cls(uri, None if uri.startswith("http") else (storage / "mlartifacts").as_uri())
        return cls(f"sqlite:///{storage / 'mlflow.db'}", (storage / "mlartifacts").as_uri())


class MlflowLogger:
    """Mirrors the study in MLflow.

    Metrics, ends and artefacts are queued and written by a thread, so that a slow store does not slow the search; what a
    store refuses is kept in `problems`. The study has everything, so `reconcile` can repeat it at the next launch.
    """

    def __init__(self, store: MlflowStore, experiment: str) -> None:
        self._store = store
        self._away_until = -math.inf
        try:
            self._client = MlflowClient(tracking_uri=store.uri)
            self.experiment_id = self._get_experiment(experiment)
        except MlflowException as error:
            raise InputError(
                "--tracking-uri",
                f"MLflow must answer at {uris.redact_uri(store.uri)}",
                value=self._describe_error(error),
                remedy="check the address, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; then go on with --resume",
            ) from None
        self.problems: list[str] = []
        self._queue: queue.Queue[Callable[[], object] | threading.Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._process_queue, name="mlflow", daemon=True)
        self._thread.start()

    def _get_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._store.artifacts is None else f"{self._store.artifacts}/{name}"
        return str(self._client.create_experiment(name, artifact_location=location))

    def open_run(
        self,
        run_id: str | None,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> str | None:
        """Create a run, or set an interrupted one going again.

        Returns:
            Its id, or None if the store is away; `reconcile` makes up for it.
        """
        nested = {} if parent is None else {_PARENT: parent}
        return self._attempt_request(
            lambda: self._reopen_run(run_id) or self._create_run(name, parameters, {**tags, **nested})
        )

    def _reopen_run(self, run_id: str | None) -> str | None:
        if run_id is None or not self._run_exists(run_id):
            return None
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create_run(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
        created = str(run.info.run_id)
        params = [Param(key, str(value)[:6000]) for key, value in parameters.items()]
        for first in range(0, len(params), 100):
            self._client.log_batch(created, params=params[first : first + 100])
        return created

    def _run_exists(self, run_id: str) -> bool:
        try:
            return str(self._client.get_run(run_id).info.lifecycle_stage) == "active"
        except MlflowException as error:
            if _is_away(error):
                raise
            return False

    def log_epoch(self, run_id: str, epoch: Epoch) -> None:
        """Log one epoch's metrics and the setting that was best."""
        metrics = _finite_metrics(epoch)
        self._queue.put(lambda: self._client.log_batch(run_id, metrics=metrics))

    def log_values(self, run_id: str, values: Mapping[str, float]) -> None:
        """Log figures that belong to no epoch."""
        metrics = _to_mlflow_metrics(values, 0)
        self._queue.put(lambda: self._client.log_batch(run_id, metrics=metrics))

    def log_data(self, run_id: str, store: DataStore, source: DatasetProvider) -> None:
        """Log a dataset: each split with its digest, its size and where it lies."""
        inputs = []
        for split in source.list_splits():
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

    def end_run(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        """End a run."""
        self._queue.put(lambda: self._end_run(run_id, status, tags))

    def _end_run(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        self._client.log_batch(run_id, tags=[RunTag(name, value[:4000]) for name, value in tags.items()])
        self._client.set_terminated(run_id, status)

    def finish_trial(self, trial: Trial) -> None:
        """End the run of an ended trial, with whatever of it has not been logged."""
        run_id = trial.run_id
        if run_id is not None:
            self._queue.put(lambda: self._log_again(trial, run_id))

    def reconcile(self, study: Study, reopen: Callable[[Trial], str | None] = lambda _: None) -> None:
        """Bring the runs of ended trials to what the study says, and end runs that nobody owns.

        Args:
            study: The truth.
            reopen: Makes the run of an ended trial that has none, since the store was away.
        """
        parent = study.parent_run_id()
        if parent is not None:
            done = threading.Event()
            self._queue.put(done)
            done.wait(_PATIENCE_S)
            self._away_until = -math.inf  # it may be back
            self._attempt_request(lambda: self._reconcile(study, parent, reopen))

    def _reconcile(self, study: Study, parent: str, reopen: Callable[[Trial], str | None]) -> None:
        trials = study.get_trials()
        owned = {trial.run_id for trial in trials}
        for run in self._unfinished_runs(parent):
            if run not in owned:
                self._end_run(run, "KILLED", {"outcome": "lost in a crash"})
        for trial in trials:
            if trial.outcome == "running":
                continue
            if trial.run_id is None and (made := reopen(trial)) is not None:
                study.set_run_id(trial.number, made)
                self._log_again(trial, made)
            elif trial.run_id is not None and self._run_exists(trial.run_id):
                self._log_again(trial, trial.run_id)

    def _log_again(self, trial: Trial, run_id: str) -> None:
        """Log what an ended trial's run has not got, and end it."""
        if self._client.get_run(run_id).info.status in ("FINISHED", "FAILED"):
            return
        logged = {metric.step for metric in self._client.get_metric_history(run_id, _STEP_METRIC)}
        for epoch in trial.epochs:
            if epoch.epoch not in logged:
                self._client.log_batch(run_id, metrics=_finite_metrics(epoch))
        self._end_run(run_id, STATUS_OF[trial.outcome], end_tags(trial))

    def _unfinished_runs(self, parent: str) -> list[str]:
        found = self._client.search_runs(
            [self.experiment_id], f"tags.`{_PARENT}` = '{parent}' and attributes.status = 'RUNNING'", max_results=10_000
        )
        return [str(run.info.run_id) for run in found]

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self.problems.append(f"the store did not take everything within {_PATIENCE_S:g} s")

    def _process_queue(self) -> None:
        while (task := self._queue.get()) is not None:
            if isinstance(task, threading.Event):
                task.set()
            else:
                self._attempt_request(task)

    def _attempt_request(self, request: Callable[[], _T]) -> _T | None:
        """Ask the store; what it refuses is noted, and a store that is away is not asked for a while."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return request()
        except Exception as error:  # noqa: BLE001  # a store that is away must not end the search
            if _is_away(error):
                self._away_until = time.monotonic() + _AWAY_S
            self.problems.append(f"{type(error).__name__}: {self._describe_error(error)}")
            return None

    def _describe_error(self, error: Exception) -> str:
        return uris.redact_text(next(iter(str(error).splitlines()), ""), self._store.uri)


def _is_away(error: Exception) -> bool:
    """Whether a server said nothing at all, or that it cannot just now."""
    if isinstance(error, RestException):
        return error.get_http_status_code() in (429, 502, 503, 504)
    return isinstance(error, MlflowException) and "API request to" in str(error)


def _finite_metrics(epoch: Epoch) -> list[Metric]:
    setting = {f"setting.{name}": value for name, value in epoch.setting.items()}
    return _to_mlflow_metrics({**epoch.metrics, **setting, "epoch_seconds": epoch.seconds}, epoch.epoch)


def _to_mlflow_metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in values.items()]


def end_tags(trial: Trial) -> dict[str, str]:
    """Tags of a trial that ended."""
    return {"outcome": trial.outcome, "reason": trial.reason, "epochs": str(len(trial.epochs))}


def comparison_links(store: MlflowStore, search: str | None) -> list[tuple[str, str]]:
    """Names of searches (one, or all) with the fragment of an address in MLflow that shows their trials side by side."""
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
