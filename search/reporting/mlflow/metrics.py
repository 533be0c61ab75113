"""Values of trials as metrics and tags of MLflow, and requests that log as many of them as the store accepts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Final

from search.reporting.mlflow.api import INVALID, Metric, MlflowClient, MlflowException, RunTag
from search.reporting.mlflow.names import encode_metric, encode_name
from search.study.trials import Epoch, Trial

STEP_METRIC: Final = "epoch_seconds"
"""Metric of every epoch of every trainable, which shows the epochs that are already logged."""
_MAX_TAG_LENGTH: Final = 4000
_METRICS_PER_BATCH: Final = 1000


def log_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    """Log metrics in batches; of a rejected batch, all that the store accepts one by one.

    Raises:
        MlflowException: If the store is unreachable, or rejects one of the metrics.
    """
    rejected: MlflowException | None = None
    for first in range(0, len(metrics), _METRICS_PER_BATCH):
        batch = metrics[first : first + _METRICS_PER_BATCH]
        try:
            client.log_batch(run_id, metrics=batch)
        except MlflowException as error:
            if len(batch) == 1 or error.error_code != INVALID:
                raise
            rejected = _log_one_by_one(client, run_id, batch) or rejected
    if rejected is not None:
        raise rejected


def _log_one_by_one(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> MlflowException | None:
    """Log each metric in a request of its own; return the last rejection."""
    rejected = None
    for metric in metrics:
        try:
            client.log_batch(run_id, metrics=[metric])
        except MlflowException as error:
            if error.error_code != INVALID:
                raise
            rejected = error
    return rejected


def epoch_metrics(epoch: Epoch, time_s: float | None = None) -> list[Metric]:
    """Return the metrics of an epoch and its best inference parameters; a time in seconds since 1970 replaces now."""
    inference_params = {f"setting.{name}": value for name, value in epoch.setting.items()}
    values = {**epoch.metrics, **inference_params, STEP_METRIC: round(epoch.seconds, 3)}  # as in the study
    return to_mlflow_metrics(values, epoch.epoch, time_s)


def to_run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Return tags in MLflow's form."""
    return [RunTag(encode_name(name), value[:_MAX_TAG_LENGTH]) for name, value in tags.items()]


def to_mlflow_metrics(values: Mapping[str, float], step: int, time_s: float | None = None) -> list[Metric]:
    """Return metrics in MLflow's form.

    Args:
        values: Values by name.
        step: Step of all of them.
        time_s: Time at which they were measured, in seconds since 1970; None for now.
    """
    now_s = time.time()
    moment = int((now_s if time_s is None else min(time_s, now_s)) * 1000)
    return [Metric(encode_metric(name), float(value), moment, step) for name, value in values.items()]


def end_tags(trial: Trial) -> dict[str, str]:
    """Return the MLflow tags of an ended trial."""
    outcome = "interrupted" if trial.outcome == "running" else trial.outcome
    tags = {"outcome": outcome, "reason": trial.reason, "epochs": str(len(trial.epochs))}
    if trial.is_judged:
        tags |= {"feasible": "no" if trial.violated else "yes", "violated": ", ".join(map(str, trial.violated))}
    return tags


def end_metrics(trial: Trial) -> dict[str, float]:
    """Return the violation of constraints, and what was measured on the model of a trial without an epoch."""
    if not trial.is_judged:
        return {}
    violation = trial.total_violation
    return dict(trial.measured) | ({"constraint_violation": violation} if math.isfinite(violation) else {})
