"""Opening of MLflow for a search: in its own experiment, apart from those of archived searches of its name."""

from __future__ import annotations

from contextlib import suppress

from runtime.errors import InputError
from search.experiment import Experiment
from search.reporting.mlflow.files import relocate_artifacts
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.store import MlflowStore
from search.study.study import Study, read_parent_run_id


def open_logger(experiment: Experiment, study: Study) -> MlflowLogger:
    """Return the logger of a search.

    Raises:
        InputError: If MLflow does not answer.
    """
    store = MlflowStore.from_uri(experiment.results.storage, experiment.tracking_uri)
    if experiment.tracking_uri is None:
        relocate_artifacts(experiment.results.storage)
    parent = study.parent_run_id()
    archives = {} if parent is not None else _archived_runs(experiment)
    return MlflowLogger(store, experiment.space.name, parent, archives)


def _archived_runs(experiment: Experiment) -> dict[str, str]:
    """Return the names of the archived searches of this name by their MLflow run, oldest first."""
    runs = {}
    for folder in experiment.results.list_archives():
        in_database = experiment.study_uri is not None
        location = experiment.study_uri or folder.journal_path
        run_id = None
        with suppress(InputError):  # an archived search may have damaged files
            run_id = read_parent_run_id(location, folder.study_name() if in_database else None)
        if run_id is not None:
            runs[run_id] = folder.name
    return runs
