"""Mirror of a search in MLflow: one run per search, and one nested run per trial."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from datasets.building.provider import DatasetProvider
from runtime.storage import Storage as DataStore
from search.reporting.mlflow.api import (
    INVALID,
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    MlflowException,
    Param,
    RestException,
    Run,
)
from search.reporting.mlflow.errors import BUSY, closed_store_error, describe_error
from search.reporting.mlflow.experiments import ExperimentFinder
from search.reporting.mlflow.files import remove_stray_folders
from search.reporting.mlflow.metrics import (
    STEP_METRIC,
    end_metrics,
    end_tags,
    epoch_metrics,
    log_metrics,
    to_mlflow_metrics,
    to_run_tags,
)
from search.reporting.mlflow.names import encode_name
from search.reporting.mlflow.store import MlflowStore
from search.reporting.mlflow.system import INTERVAL_S, SystemSampler
from search.reporting.mlflow.views import TableView, view_tag
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.values import to_text

_PARENT: Final = "mlflow.parentRunId"
_FLUSH_TIMEOUT_S: Final = 30.0
_MAX_PARAM_LENGTH: Final = 6000
_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", INVALID)
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
        self._sampler: SystemSampler | None = None
        self.problems: list[str] = []
        self.notices: list[str] = []
        try:
            self._client = store.open_client()
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
        started_s: float | None = None,
    ) -> str | None:
        """Create a run, or reopen an interrupted one.

        Args:
            run_id: Run to reopen, restored if it was deleted; None, or the id of a run that does not exist, creates one.
            name: Name of a new run.
            parameters: Parameters of a new run.
            tags: Tags of a new run.
            parent: Run in which the run is nested.
            started_s: Start of a new run, in seconds since 1970; None for now.

        Returns:
            Id of the run, or None if the store is unreachable; `reconcile` creates the run later.
        """
        nested = {} if parent is None else {_PARENT: parent}
        return self._attempt_request(
            lambda: (
                self._reopen_run(run_id, parent) or self._create_run(name, parameters, {**tags, **nested}, started_s)
            )
        )

    def _reopen_run(self, run_id: str | None, parent: str | None) -> str | None:
        run = None if run_id is None else self._find_run(run_id)
        if run_id is None or run is None:
            return None
        self._restore_run(run, parent)
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create_run(
        self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str], started_s: float | None
    ) -> str:
        run = self._client.create_run(
            self.experiment_id,
            start_time=_to_ms(started_s),
            run_name=name,
            tags={encode_name(tag): value for tag, value in tags.items()},
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
        metrics = epoch_metrics(epoch)
        self._queue.put(lambda: log_metrics(self._client, run_id, metrics))

    def log_values(self, run_id: str, values: Mapping[str, float]) -> None:
        """Log metrics that belong to no epoch, at step 0, unless they have their values already."""
        metrics = to_mlflow_metrics(values, 0)
        self._queue.put(lambda: self._log_values(run_id, metrics))

    def _log_values(self, run_id: str, metrics: Sequence[Metric]) -> None:
        known = self._client.get_run(run_id).data.metrics
        log_metrics(self._client, run_id, [metric for metric in metrics if known.get(metric.key) != metric.value])

    def watch_system(self, run_id: str, interval_s: float = INTERVAL_S) -> None:
        """Log the load of this machine as the system metrics of a run from now on, until the logger is closed."""

        def log(values: Mapping[str, float]) -> None:
            now_s = time.time()
            self._queue.put(lambda: self._log_load(run_id, values, now_s, interval_s))

        if self._sampler is None:
            self._sampler = SystemSampler(log, interval_s)

    def _log_load(self, run_id: str, values: Mapping[str, float], now_s: float, interval_s: float) -> None:
        """Log a sample; its step counts intervals since the start of the run, also over several launches."""
        started_s = self._client.get_run(run_id).info.start_time / 1000
        log_metrics(self._client, run_id, to_mlflow_metrics(values, int((now_s - started_s) / interval_s), now_s))

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

        def register() -> None:
            from search.reporting.mlflow.models import register_model  # imports torch, which most commands do without

            register_model(self._client, run_id, name, model, description, tags)

        self._queue.put(register)

    def log_artifact(self, run_id: str, path: Path) -> None:
        """Log a file as an artifact."""
        self._queue.put(lambda: self._client.log_artifact(run_id, str(path)))

    def end_run(self, run_id: str, status: Status, tags: Mapping[str, str], ended_s: float | None = None) -> None:
        """Set the final status and tags of a run, and its end in seconds since 1970 if it is not now."""
        self._queue.put(lambda: self._end_run(run_id, status, tags, ended_s))

    def _end_run(self, run_id: str, status: Status, tags: Mapping[str, str], ended_s: float | None = None) -> None:
        self._client.log_batch(run_id, tags=to_run_tags(tags))
        self._client.set_terminated(run_id, status, _to_ms(ended_s))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._queue.put(lambda: self._client.log_batch(run_id, tags=to_run_tags(tags)))

    def finish_trial(self, trial: Trial) -> None:
        """End the run of an ended trial, after logging its missing epochs."""
        run_id = trial.run_id
        if run_id is not None:
            self._queue.put(lambda: self._log_missing(trial, run_id))

    def reconcile(
        self, study: Study, reopen: Callable[[Trial], str | None] = lambda _: None, *, idle: bool = False
    ) -> None:
        """Update the runs of ended trials to the state of the study, and end running ones that belong to no trial.

        Args:
            study: The study to mirror.
            reopen: Function that creates the run of an ended trial without one, because the store was unreachable.
            idle: Whether no launch runs the search, so that trials that have not ended are interrupted ones.
        """
        parent = study.parent_run_id()
        if parent is not None:
            flushed = threading.Event()
            self._queue.put(flushed)
            flushed.wait(_FLUSH_TIMEOUT_S)
            self._paused_until = -math.inf  # the store may be reachable again
            self._attempt_request(lambda: self._reconcile(study, parent, reopen, idle=idle))

    def _reconcile(self, study: Study, parent: str, reopen: Callable[[Trial], str | None], *, idle: bool) -> None:
        trials = [*study.get_trainings(), *(study.get_retried() if idle else ())]
        owned = {trial.run_id for trial in trials}
        for run_id in self._unfinished_runs(parent):
            if run_id not in owned:
                self._end_orphan(run_id)
        for trial in trials:
            if trial.outcome != "running" or idle:
                above = None if trial.confirms is None else study.get_trial(trial.confirms).run_id
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
        logged = {metric.step for metric in self._client.get_metric_history(run_id, STEP_METRIC)}
        for epoch in trial.epochs:
            if epoch.epoch not in logged:
                time_s = None if logged else trial.epoch_end_s(epoch.epoch)  # of all, or of none: in order
                log_metrics(self._client, run_id, epoch_metrics(epoch, time_s))
        log_metrics(self._client, run_id, to_mlflow_metrics(end_metrics(trial), 0, trial.ended_s))
        ended_s = trial.ended_s or trial.epoch_end_s(len(trial.epochs))
        self._end_run(run_id, STATUS_OF[trial.outcome], end_tags(trial), ended_s)

    def _unfinished_runs(self, parent: str) -> list[str]:
        runs = self._client.search_runs(
            [self.experiment_id], f"tags.`{_PARENT}` = '{parent}' and attributes.status = 'RUNNING'", max_results=10_000
        )
        return [str(run.info.run_id) for run in runs]

    def close(self, timeout_s: float | None = _FLUSH_TIMEOUT_S) -> None:
        """Write the queued requests, then stop the thread; without a timeout, however long the requests take."""
        if self._sampler is not None:
            self._sampler.close()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.problems.append(f"the store did not accept all values within {timeout_s:g} s")

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


def _to_ms(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s * 1000)


def _is_unreachable(error: Exception) -> bool:
    """Return whether a server did not answer, or a server or database answered that it is temporarily unavailable."""
    if isinstance(error, RestException):
        return error.get_http_status_code() in (429, 502, 503, 504)
    text = str(error)
    return any(reason in text for reason in BUSY) or (isinstance(error, MlflowException) and "API request to" in text)
