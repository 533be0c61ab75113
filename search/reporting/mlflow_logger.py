"""Mirror of a search in MLflow: one run per search, and one nested run per trial.

Besides this module, only `mlflow_models` imports MLflow.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault(
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"
)  # default 7: trials start in the thread that waits for these requests
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # the URL may contain a password
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException, RestException

from datasets.building.provider import DatasetProvider
from runtime import uris
from runtime.storage import Storage as DataStore
from search.reporting.mlflow_errors import BUSY, closed_store_error, describe_error
from search.reporting.mlflow_experiments import ExperimentFinder
from search.reporting.mlflow_files import ARTIFACTS, DATABASE, remove_stray_folders
from search.reporting.mlflow_models import register_model
from search.reporting.mlflow_names import encode_name
from search.reporting.mlflow_views import TableView, experiment_link, view_link, view_tag
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.values import to_text

for _noisy in ("alembic", "mlflow"):  # after the import, which sets log levels
    logging.getLogger(_noisy).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs tracebacks of errors that are reported

_PARENT: Final = "mlflow.parentRunId"
_SEARCH_RUNS: Final = "tags.role = 'search'"
_STEP_METRIC: Final = "epoch_seconds"
"""Metric of every epoch of every trainable, which shows the epochs that are already logged."""
_FLUSH_TIMEOUT_S: Final = 30.0
_MAX_PARAM_LENGTH: Final = 6000
_MAX_TAG_LENGTH: Final = 4000
_METRICS_PER_BATCH: Final = 1000
_INVALID: Final = "INVALID_PARAMETER_VALUE"
_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", _INVALID)
"""Error codes of a request for a run that does not exist."""
_OUTAGE_PAUSE_S: Final = 30.0
"""Pause of all requests after a server did not answer; the study has the values that are dropped meanwhile."""

_T = TypeVar("_T")
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

STATUS_OF: Final[dict[Outcome, Status]] = {
    "running": "KILLED",  # written only when the trial is interrupted
    "finished": "FINISHED",
    "paused": "FINISHED",  # reopened if the trial continues
    "stopped": "FINISHED",
    "failed": "FAILED",
}


@dataclass(frozen=True)
class MlflowStore:
    """Locations of MLflow's data.

    Attributes:
        uri: Tracking URI.
        artifacts: URI of the artifact root; None leaves the location to the server.
    """

    uri: str
    artifacts: str | None

    @classmethod
    def from_uri(cls, storage: Path, uri: str | None) -> MlflowStore:
        """Create the store at a tracking URI, or by default in SQLite in the storage folder."""
        if uri is not None:
            return cls(uri, None if uri.startswith("http") else (storage / ARTIFACTS).as_uri())
        return cls(uris.sqlite_uri(storage / DATABASE), (storage / ARTIFACTS).as_uri())


class MlflowLogger:
    """Mirrors a study in MLflow.

    A background thread writes metrics, outcomes and artifacts, so a slow store does not slow down the search. The study is
    complete without MLflow, so `reconcile` can write missing values at the next launch.

    Args:
        store: Locations of MLflow's data.
        experiment: Name of a new MLflow experiment.
        parent: MLflow run of the search, if it has been started before; its experiment is used.
        archives: Names of the archived searches of this name, by their MLflow run, oldest first.

    Attributes:
        problems: Messages about failed requests.
        notices: Messages about experiments and runs that were restored or renamed.

    Raises:
        InputError: If MLflow does not answer.
    """

    def __init__(
        self,
        store: MlflowStore,
        experiment: str,
        parent: str | None = None,
        archives: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._paused_until = -math.inf
        self.problems: list[str] = []
        self.notices: list[str] = []
        try:
            self._client = MlflowClient(tracking_uri=store.uri)
            finder = ExperimentFinder(self._client, self._find_run, self.notices.append)
            self.experiment_id = finder.find_or_create(experiment, store.artifacts, parent, archives)
            remove_stray_folders(store.uri)
        except Exception as error:  # noqa: BLE001  # a database raises classes of its own, depending on what is wrong with it
            raise closed_store_error(error, store.uri) from None
        self._queue: queue.Queue[Callable[[], object] | threading.Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._process_queue, name="mlflow", daemon=True)
        self._thread.start()

    def open_run(
        self,
        run_id: str | None,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> str | None:
        """Create a run, or reopen an interrupted one.

        Args:
            run_id: Run to reopen, restored if it was deleted; None, or the id of a run that does not exist, creates one.
            name: Name of a new run.
            parameters: Parameters of a new run.
            tags: Tags of a new run.
            parent: Run in which the run is nested.

        Returns:
            Id of the run, or None if the store is unreachable; `reconcile` creates the run later.
        """
        nested = {} if parent is None else {_PARENT: parent}
        return self._attempt_request(
            lambda: self._reopen_run(run_id, parent) or self._create_run(name, parameters, {**tags, **nested})
        )

    def _reopen_run(self, run_id: str | None, parent: str | None) -> str | None:
        run = None if run_id is None else self._find_run(run_id)
        if run_id is None or run is None:
            return None
        self._restore_run(run, parent)
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create_run(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        run = self._client.create_run(
            self.experiment_id, run_name=name, tags={encode_name(tag): value for tag, value in tags.items()}
        )
        new_id = str(run.info.run_id)
        params = [Param(encode_name(key), to_text(value)[:_MAX_PARAM_LENGTH]) for key, value in parameters.items()]
        for first in range(0, len(params), 100):
            self._client.log_batch(new_id, params=params[first : first + 100])
        return new_id

    def _find_run(self, run_id: str) -> Run | None:
        """Return a run, also a deleted one; None if there is none."""
        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise

    def _restore_run(self, run: Run, parent: str | None) -> None:
        """Restore a run that was deleted, since the study still has its trial, and nest it in the run of the search."""
        if run.info.lifecycle_stage != "active":
            self._client.restore_run(run.info.run_id)
            self.notices.append(f"the deleted run {run.info.run_name!r} is restored")
        if parent is not None and run.data.tags.get(_PARENT) != parent:  # the previous one was removed for good
            self._client.set_tag(run.info.run_id, _PARENT, parent)

    def log_epoch(self, run_id: str, epoch: Epoch) -> None:
        """Log the metrics of an epoch and its best inference parameters."""
        metrics = _epoch_metrics(epoch)
        self._queue.put(lambda: self._log_metrics(run_id, metrics))

    def log_values(self, run_id: str, values: Mapping[str, float]) -> None:
        """Log metrics that belong to no epoch, at step 0."""
        metrics = _to_mlflow_metrics(values, 0)
        self._queue.put(lambda: self._log_metrics(run_id, metrics))

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Log metrics in batches; of a rejected batch, all that the store accepts one by one.

        Raises:
            MlflowException: If the store is unreachable, or rejects one of the metrics.
        """
        rejected: MlflowException | None = None
        for first in range(0, len(metrics), _METRICS_PER_BATCH):
            batch = metrics[first : first + _METRICS_PER_BATCH]
            try:
                self._client.log_batch(run_id, metrics=batch)
            except MlflowException as error:
                if len(batch) == 1 or error.error_code != _INVALID:
                    raise
                rejected = self._log_one_by_one(run_id, batch) or rejected
        if rejected is not None:
            raise rejected

    def _log_one_by_one(self, run_id: str, metrics: Sequence[Metric]) -> MlflowException | None:
        """Log each metric in a request of its own; return the last rejection."""
        rejected = None
        for metric in metrics:
            try:
                self._client.log_batch(run_id, metrics=[metric])
            except MlflowException as error:
                if error.error_code != _INVALID:
                    raise
                rejected = error
        return rejected

    def log_dataset(self, run_id: str, store: DataStore, source: DatasetProvider) -> None:
        """Log the splits of a dataset with digest, size and location."""
        inputs = []
        for split in source.list_splits():
            context = {"train": "training", "validate": "validation"}.get(split.name, "test")
            entity = Dataset(
                name=split.name,
                digest=split.digest[:36],  # the maximum that MLflow accepts
                source_type="local" if store.is_local else store.uri.partition(":")[0],
                source=json.dumps({"uri": f"{store.name}/{split.folder}"}),
                profile=json.dumps({source.unit: split.samples}),
            )
            inputs.append(DatasetInput(entity, [InputTag("mlflow.data.context", context)]))
        if inputs:
            self._queue.put(lambda: self._client.log_inputs(run_id, inputs))

    def set_view(self, parent: str, view: TableView) -> None:
        """Store the view of the experiment that shows the trials of a search."""
        self._queue.put(
            lambda: self._client.set_experiment_tag(self.experiment_id, view_tag(parent), view.to_json(parent))
        )

    def register_model(
        self, run_id: str, name: str, model: Path, description: str, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Register a model under a name with the alias `champion`, unless it has that alias already."""
        self._queue.put(lambda: register_model(self._client, run_id, name, model, description, tags))

    def log_artifact(self, run_id: str, path: Path) -> None:
        """Log a file as an artifact."""
        self._queue.put(lambda: self._client.log_artifact(run_id, str(path)))

    def end_run(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        """Set the final status and tags of a run."""
        self._queue.put(lambda: self._end_run(run_id, status, tags))

    def _end_run(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        self._client.log_batch(run_id, tags=_to_run_tags(tags))
        self._client.set_terminated(run_id, status)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._queue.put(lambda: self._client.log_batch(run_id, tags=_to_run_tags(tags)))

    def finish_trial(self, trial: Trial) -> None:
        """End the run of an ended trial, after logging its missing epochs."""
        run_id = trial.run_id
        if run_id is not None:
            self._queue.put(lambda: self._log_missing(trial, run_id))

    def reconcile(self, study: Study, reopen: Callable[[Trial], str | None] = lambda _: None) -> None:
        """Update the runs of ended trials to the state of the study, and end running ones that belong to no trial.

        Args:
            study: The study to mirror.
            reopen: Function that creates the run of an ended trial without one, because the store was unreachable.
        """
        parent = study.parent_run_id()
        if parent is not None:
            flushed = threading.Event()
            self._queue.put(flushed)
            flushed.wait(_FLUSH_TIMEOUT_S)
            self._paused_until = -math.inf  # the store may be reachable again
            self._attempt_request(lambda: self._reconcile(study, parent, reopen))

    def _reconcile(self, study: Study, parent: str, reopen: Callable[[Trial], str | None]) -> None:
        trials = study.get_trainings()
        run_ids = {trial.number: trial.run_id for trial in trials}
        owned = set(run_ids.values())
        for run_id in self._unfinished_runs(parent):
            if run_id not in owned:
                self._end_orphan(run_id)
        for trial in trials:
            if trial.outcome != "running":
                above = None if trial.confirms is None else run_ids.get(trial.confirms)
                self._reconcile_trial(study, above or parent, trial, reopen)

    def _end_orphan(self, run_id: str) -> None:
        """End a run whose id did not reach the study; delete it if it has no epochs, since its trial gets another one."""
        self._end_run(run_id, "KILLED", {"outcome": "lost in a crash"})
        if not self._client.get_run(run_id).data.metrics:
            self._client.delete_run(run_id)

    def _reconcile_trial(self, study: Study, parent: str, trial: Trial, reopen: Callable[[Trial], str | None]) -> None:
        run = None if trial.run_id is None else self._find_run(trial.run_id)
        if run is not None:
            self._restore_run(run, parent)
            self._log_missing(trial, run.info.run_id)
        elif (new_id := reopen(trial)) is not None:
            study.set_run_id(trial.number, new_id)
            self._log_missing(trial, new_id)

    def _log_missing(self, trial: Trial, run_id: str) -> None:
        """Log the missing epochs of an ended trial, and end its run."""
        run = self._client.get_run(run_id)
        tags = run.data.tags
        has_gone_on = tags.get("outcome") == "paused" and any(tags.get(n) != v for n, v in end_tags(trial).items())
        if run.info.status in ("FINISHED", "FAILED") and not has_gone_on:
            return
        logged = {metric.step for metric in self._client.get_metric_history(run_id, _STEP_METRIC)}
        for epoch in trial.epochs:
            if epoch.epoch not in logged:
                self._log_metrics(run_id, _epoch_metrics(epoch))
        self._log_metrics(run_id, _to_mlflow_metrics(_end_metrics(trial), 0))
        self._end_run(run_id, STATUS_OF[trial.outcome], end_tags(trial))

    def _unfinished_runs(self, parent: str) -> list[str]:
        runs = self._client.search_runs(
            [self.experiment_id], f"tags.`{_PARENT}` = '{parent}' and attributes.status = 'RUNNING'", max_results=10_000
        )
        return [str(run.info.run_id) for run in runs]

    def close(self) -> None:
        """Write the queued requests, then stop the thread."""
        self._queue.put(None)
        self._thread.join(_FLUSH_TIMEOUT_S)
        if self._thread.is_alive():
            self.problems.append(f"the store did not accept all values within {_FLUSH_TIMEOUT_S:g} s")

    def _process_queue(self) -> None:
        while (task := self._queue.get()) is not None:
            if isinstance(task, threading.Event):
                task.set()
            else:
                self._attempt_request(task)

    def _attempt_request(self, request: Callable[[], _T]) -> _T | None:
        """Run a request unless requests are paused; record its error, and pause requests if the store is unreachable."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return request()
        except Exception as error:  # noqa: BLE001  # an unreachable store must not end the search
            if _is_unreachable(error):
                self._paused_until = time.monotonic() + _OUTAGE_PAUSE_S
            self.problems.append(f"{type(error).__name__}: {describe_error(error, self._store.uri)}")
            return None


def _is_unreachable(error: Exception) -> bool:
    """Return whether a server did not answer, or a server or database answered that it is temporarily unavailable."""
    if isinstance(error, RestException):
        return error.get_http_status_code() in (429, 502, 503, 504)
    text = str(error)
    return any(reason in text for reason in BUSY) or (isinstance(error, MlflowException) and "API request to" in text)


def _epoch_metrics(epoch: Epoch) -> list[Metric]:
    inference_params = {f"setting.{name}": value for name, value in epoch.setting.items()}
    return _to_mlflow_metrics({**epoch.metrics, **inference_params, "epoch_seconds": epoch.seconds}, epoch.epoch)


def _to_run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(encode_name(name), value[:_MAX_TAG_LENGTH]) for name, value in tags.items()]


def _to_mlflow_metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(encode_name(name), float(value), now, step) for name, value in values.items()]


def end_tags(trial: Trial) -> dict[str, str]:
    """Return the MLflow tags of an ended trial."""
    tags = {"outcome": trial.outcome, "reason": trial.reason, "epochs": str(len(trial.epochs))}
    if trial.is_judged:
        tags |= {"feasible": "no" if trial.violated else "yes", "violated": ", ".join(map(str, trial.violated))}
    return tags


def _end_metrics(trial: Trial) -> dict[str, float]:
    """Return the violation of constraints, and what was measured on the model of a trial without an epoch."""
    if not trial.is_judged:
        return {}
    violation = trial.total_violation
    return dict(trial.measured) | ({"constraint_violation": violation} if math.isfinite(violation) else {})


def search_links(store: MlflowStore, parent: str | None, view: TableView | None) -> list[tuple[str, str]]:
    """Return the URL fragments of the tables of searches by the names of their experiments.

    Args:
        store: Locations of MLflow's data.
        parent: MLflow run of a search; None for all searches of the store.
        view: View of that search, which is stored if it is not there yet: earlier versions did not.
    """
    client = MlflowClient(tracking_uri=store.uri)
    if parent is None:
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()], _SEARCH_RUNS)
    else:
        runs = []
        with suppress(MlflowException):
            runs = [client.get_run(parent)]
    links = []
    for run in runs:
        experiment = client.get_experiment(run.info.experiment_id)
        own = run.info.run_id
        if view is not None and view_tag(own) not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, view_tag(own), view.to_json(own))
            experiment.tags[view_tag(own)] = ""
        has_view = view_tag(own) in experiment.tags
        link = view_link(experiment.experiment_id, own) if has_view else experiment_link(experiment.experiment_id)
        links.append((experiment.name, link))
    return links


def delete_runs(store: MlflowStore, run_ids: Sequence[str]) -> int:
    """Delete runs; return their number without those that do not exist any more."""
    client = MlflowClient(tracking_uri=store.uri)
    deleted = 0
    for run_id in run_ids:
        with suppress(MlflowException):
            client.delete_run(run_id)
            deleted += 1
    return deleted


def read_run_tags(store: MlflowStore, run_id: str) -> dict[str, str]:
    """Return the tags of a run; empty if it does not exist or the store cannot be read."""
    with suppress(MlflowException, OSError):
        return dict(MlflowClient(tracking_uri=store.uri).get_run(run_id).data.tags)
    return {}
