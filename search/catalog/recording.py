"""Writing of a search into MLflow anew, from its study and the files that it has."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from datasets import registry
from runtime import uris
from runtime.errors import InputError
from runtime.storage import storage_at
from search.catalog.reading import SearchRecord
from search.experiment import Experiment
from search.launching.confirm import log_verdict
from search.launching.earlier_versions import with_earlier_defaults
from search.launching.lease import Lease, SearchLease
from search.launching.lock import hold_lock
from search.launching.mirror import open_logger
from search.launching.origin import explain_missing_data
from search.launching.table_results import FILES, log_table
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.results import log_result
from search.reporting.mlflow.search import SearchRuns
from search.reporting.mlflow.store import MlflowStore, delete_runs
from search.results import FINGERPRINT
from search.study.reading import read_study_name
from search.study.study import Study
from search.study.trials import Trial
from search.study.warm_start import WARM_START, from_plain
from spaces.load import load_space
from spaces.recorded import read_dimensions
from spaces.schema import Budget, Resources, Space, Stopping


@dataclass(frozen=True)
class Recording:
    """What was written into MLflow.

    Attributes:
        runs: Number of the runs of the search.
        created: Number of those that were created.
        uri: Tracking URI without credentials.
        problems: Messages about failed requests.
    """

    runs: int
    created: int
    uri: str
    problems: tuple[str, ...]


def record_search(
    record: SearchRecord, options: argparse.Namespace, report: Callable[[str], None], *, rebuild: bool
) -> Recording:
    """Bring the runs of a search in MLflow to the state of its study.

    Args:
        record: Search that no process runs.
        options: Options that locate storage, study, datasets and MLflow.
        report: Receives messages.
        rebuild: Whether to delete its runs first, and write all of them anew.

    Raises:
        InputError: If its data are missing, another process runs it, or MLflow does not answer.
    """
    experiment = _build_experiment(record, options)
    with _open_study(record, experiment, report) as study:
        if rebuild:
            runs = [trial.run_id for trial in (*study.get_trainings(), *study.get_retried()) if trial.run_id]
            parent = study.parent_run_id()
            delete_runs(
                MlflowStore.from_uri(record.folder.storage, options.tracking_uri), [*runs, *filter(None, [parent])]
            )
            study.forget_runs()
        logger = open_logger(experiment, study)
        try:
            created = _write_runs(record, experiment, study, logger)
        finally:
            logger.close(timeout_s=None)
        for notice in logger.notices:
            report(notice)
        count = len(study.get_trainings()) + len(study.get_retried()) + 1
        return Recording(count, created, uris.redact_uri(experiment.mlflow_uri), tuple(logger.problems))


def _write_runs(record: SearchRecord, experiment: Experiment, study: Study, logger: MlflowLogger) -> int:
    """Write the runs and the result of a search; return the number of runs that were created."""
    result = record.folder.read_result()
    known = {"dataset": str(record.identity.get(FINGERPRINT, "")), "seed": str(record.identity["seed"])}
    runs = SearchRuns(experiment, study, logger, tags=known | ({} if result is None else result["provenance"]))
    created = []

    def open_trial(trial: Trial) -> str | None:
        run_id = runs.open_trial(trial)
        runs.log_output(replace(trial, run_id=run_id))
        created.append(run_id)
        return run_id

    before = study.parent_run_id()
    parent = runs.open_search()
    if parent is None:
        return 0
    logger.reconcile(study, open_trial, idle=True)
    has_table = record.folder.has_file(record.folder.root_path / next(iter(FILES)))
    if experiment.space.table is not None and has_table:
        log_table(experiment, study, logger)
    elif result is not None:
        log_verdict(experiment, study, logger)
        log_result(experiment, study, logger)
    ends = [trial.ended_s for trial in study.get_trainings() if trial.ended_s is not None]
    is_finished = result is not None or has_table or record.state == "finished"
    tags = {"trials": str(study.count_started())}
    logger.end_run(parent, "FINISHED" if is_finished else "KILLED", tags, max(ends, default=None))
    return len(created) + (parent != before)


def _build_experiment(record: SearchRecord, options: argparse.Namespace) -> Experiment:
    space = read_space(record)
    sound_key = f"dataset.{registry.sound_key(space.dataset)}"
    with explain_missing_data(record.folder, Path.cwd()):
        dataset = registry.prepare_dataset(space.dataset, sound_key)
    storage = storage_at(options.datasets or uris.join_uri(options.storage, "datasets"))
    return Experiment(
        space, dataset, record.folder, storage, tracking_uri=options.tracking_uri, study_uri=options.study
    )


def read_space(record: SearchRecord) -> Space:
    """Return the space of a search: of its last launch, or for searches of earlier versions as far as it is recorded.

    Raises:
        InputError: If this version cannot read it.
    """
    folder = record.folder
    if folder.has_file(folder.space_path):
        space = load_space(folder.fetch_file(folder.space_path), has_gpu=True)
    else:
        space = _space_of_identity(record)
    earlier = tuple(map(from_plain, record.identity.get(WARM_START, [])))
    return with_earlier_defaults(replace(space, name=record.name, warm_start=earlier), record.identity)


def _space_of_identity(record: SearchRecord) -> Space:
    identity, place = record.identity, record.folder.display_path(record.folder.identity_path)
    written = registry.resolve_custom_kind(dict(identity["dataset"]), lambda key: f"{place}: dataset.{key}")
    try:
        dataset = TypeAdapter(registry.AnySpec).validate_python(written)
    except ValidationError as error:
        rule = "this version must be able to read the dataset of the search"
        raise InputError(place, rule, remedy="use the version that ran the search") from error
    return Space(
        name=record.name,
        trainable=record.trainable,
        dataset=dataset,
        fixed=identity["fixed"],
        search=read_dimensions(identity),
        inner={name: tuple(values) for name, values in identity["inner"].items()},
        objectives=record.objectives,
        baseline=identity["baseline"],
        start=tuple(identity.get("start", [])),
        stopping=Stopping(rule="none"),
        budget=Budget(trials=record.max_trials or max(1, len(record.study.trials)), epochs=record.epochs),
        resources=Resources(),
        seed=int(identity["seed"]),
        profile=None,
        vary_seeds=bool(identity.get("vary_seeds")),
        constraints=record.constraints,
    )


@contextmanager
def _open_study(record: SearchRecord, experiment: Experiment, report: Callable[[str], None]) -> Iterator[Study]:
    """Yield the study of a search, of which no trial is reclaimed, while this process holds its lock and its leases."""
    folder, lease = record.folder, SearchLease()
    with hold_lock(folder), lease.hold(folder, report):
        in_database = experiment.study_uri is not None
        name = folder.study_name() if in_database else read_study_name(folder.journal_path)
        study = Study(experiment.study_location, experiment.space, name, joins=True)
        try:
            if experiment.study_uri is not None:
                lease.acquire(Lease(study.attribute("lease"), uris.redact_uri(experiment.study_uri)), report)
            study.guard_writes(lease.require_held)
            yield study
        finally:
            lease.release()
            study.close()
