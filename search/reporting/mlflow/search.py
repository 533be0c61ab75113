"""MLflow runs of a search and of its trials: opened with all that is known before the first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from runtime.errors import StorageError
from search.experiment import Experiment
from search.reporting.edits import list_edits
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.runs import (
    describe_search,
    describe_trial,
    list_parameters,
    list_search_parameters,
    name_run,
    origin_tags,
    provenance_tags,
    role_of,
)
from search.reporting.mlflow.views import TableView
from search.study.study import Study
from search.study.trials import Trial
from search.study.warm_start import describe_origin

LOGGED_OUTPUT_BYTES = 1_000_000
"""Size up to which the output of a trial is logged in MLflow; that of failed trials is always."""


class SearchRuns:
    """Runs of a search and of its trials.

    A run is tagged with the environment of the launch that its trial began in, which the study records.

    Args:
        experiment: Search.
        study: Its trials.
        logger: MLflow logger.
        tags: Tags of trials before the first recorded launch; None for the environment of this process.
    """

    def __init__(
        self, experiment: Experiment, study: Study, logger: MlflowLogger, tags: Mapping[str, str] | None = None
    ) -> None:
        self._experiment = experiment
        self._study = study
        self._logger = logger
        self._tags = provenance_tags(experiment) | origin_tags() if tags is None else dict(tags)

    def record_launch(self) -> None:
        """Record the environment of this launch in the study."""
        self._study.record_launch(self._tags)

    def open_search(self) -> str | None:
        """Open the run of the search and record it in the study; return its id, or None if MLflow does not accept it."""
        space, results, study = self._experiment.space, self._experiment.results, self._study
        before = study.parent_run_id()
        tags = self._tags_of(0) | {"role": "search", "mlflow.note.content": describe_search(self._experiment)}
        starts = [trial.started_s for trial in study.get_trials() if trial.started_s is not None]
        parameters = list_search_parameters(space)
        run_id = self._logger.open_run(
            before, f"search {space.name}", parameters, tags, started_s=min(starts, default=None)
        )
        if run_id is None:
            return None
        if run_id != before:
            self._logger.log_dataset(run_id, self._experiment.dataset_storage, self._experiment.dataset)
            study.set_parent_run_id(run_id)
        self._logger.set_view(
            run_id,
            TableView.of_search(space.objectives, list(space.dataset.test_names()), [d.name for d in space.search]),
        )
        more = {"edits": "\n".join(list_edits(study.edits)), "warm_start": describe_origin(space)}
        if any(more.values()):
            self._logger.set_tags(run_id, {name: text for name, text in more.items() if text})
        for path in (results.identity_path, results.space_path):
            if results.has_file(path):
                self._logger.log_artifact(run_id, results.fetch_file(path))
        return run_id

    def open_trial(self, trial: Trial) -> str | None:
        """Return the run of a trial, created if necessary; None if MLflow is unavailable."""
        space = self._experiment.space
        dataset = self._experiment.dataset_for(trial.training_parameters)
        tags = self._tags_of(trial.number) | {
            "trial": str(trial.number),
            "role": role_of(trial),
            "dataset": dataset.fingerprint,
            "mlflow.note.content": describe_trial(trial, self._experiment),
            **({} if trial.seed is None else {"seed": str(trial.seed)}),
            **({} if trial.retry_of is None else {"retry_of": str(trial.retry_of)}),
        }
        run_id = self._logger.open_run(
            trial.run_id,
            name_run(trial, space.search),
            list_parameters(self._experiment, trial),
            tags,
            self._parent_of(trial),
            trial.started_s,
        )
        if run_id is not None and trial.run_id != run_id:
            self._logger.log_dataset(run_id, self._experiment.dataset_storage, dataset)
        return run_id

    def _tags_of(self, number: int) -> dict[str, str]:
        """Return the environment of the launch in which a trial began."""
        recorded = [launch["tags"] for launch in self._study.launches if launch["first"] <= number]
        return dict(recorded[-1]) if recorded else self._tags

    def _parent_of(self, trial: Trial) -> str | None:
        """Return the run that a trial's run is nested in: that of the search, or of the trial that it confirms."""
        confirmed = None if trial.confirms is None else self._study.get_trial(trial.confirms).run_id
        return confirmed or self._study.parent_run_id()

    def log_output(self, trial: Trial) -> None:
        """Log what a trial has printed, unless a trial without a failure has printed very much."""
        results = self._experiment.results
        with suppress(OSError, StorageError):
            path = results.log_path(trial.number)
            if path.is_file() and not results.has_file(path):  # its process ended before it could upload the log
                results.upload_file(path)
            path = results.fetch_file(path)
            is_wanted = trial.outcome == "failed" or path.stat().st_size <= LOGGED_OUTPUT_BYTES
            if trial.run_id is not None and is_wanted:
                self._logger.log_artifact(trial.run_id, path)
