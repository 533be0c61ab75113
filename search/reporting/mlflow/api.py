"""The parts of MLflow that are used, imported in an environment that keeps it quiet.

Besides this module, only `models` imports MLflow.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any

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

for _noisy in ("alembic", "mlflow"):  # after the import, which sets log levels
    logging.getLogger(_noisy).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs tracebacks of errors that are reported

__all__ = [
    "INVALID",
    "Dataset",
    "DatasetInput",
    "InputTag",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Param",
    "RestException",
    "Run",
    "RunTag",
    "open_system_monitors",
]

INVALID = "INVALID_PARAMETER_VALUE"
"""Error code of a rejected request, and of one for a run that does not exist."""


def open_system_monitors() -> list[Any]:
    """Return MLflow's monitors of the processors, the memory, the disk, the network and, if there are any, the GPUs."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # no GPU, or no library that asks for it
        monitors.append(GPUMonitor())
    return monitors
