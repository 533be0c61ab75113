"""Callback of a search: mirrors its trials in MLflow, prints them, and removes files that are no longer needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from datasets.building.provider import DatasetProvider
from runtime.errors import InputError, StorageError
from search.execution.dataset_provider import DatasetSupplier
from search.execution.hooks import TrialCallback
from search.experiment import Experiment
from search.reporting.mlflow.logger import MlflowLogger, Status
from search.reporting.mlflow.metrics import end_tags
from search.reporting.mlflow.search import SearchRuns
from search.reporting.progress import SearchProgress
from search.study.confirmations import is_reference
from search.study.study import Study
from search.study.trials import Epoch, Trial, rank_trials
from spaces.schema import Space

KEPT_MODELS: Final = 5
"""Number of the best trials whose models are kept, in addition to those of the baseline and the starting points."""


class SearchCallback(TrialCallback):
    """Receiver of the events of a search and of its trials.

    Args:
        experiment: Search that runs.
        study: Trials of the search.
        logger: MLflow logger.
        progress: Printed progress.
        datasets: Supplier of the datasets, whose build times are logged.
        on_trial: Called with the state of a trial when it starts, after each epoch, and when it ends.
        on_change: Called at the same times, also of confirmations.
    """

    def __init__(
        self,
        experiment: Experiment,
        study: Study,
        logger: MlflowLogger,
        progress: SearchProgress,
        datasets: DatasetSupplier,
        on_trial: Callable[[Trial], None] | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._experiment = experiment
        self._study = study
        self._logger = logger
        self._progress = progress
        self._datasets = datasets
        self._on_trial = on_trial or (lambda _: None)
        self._on_change = on_change or (lambda: None)
        self._runs = SearchRuns(experiment, study, logger)
        self._removed: set[int] = set()
        self._paused_bytes: dict[int, int] = {}

    def with_progress(self, progress: SearchProgress) -> SearchCallback:
        """Return the callback with another printed progress."""
        return SearchCallback(
            self._experiment, self._study, self._logger, progress, self._datasets, on_change=self._on_change
        )

    def on_search_start(self) -> None:
        """Open the MLflow run of the search.

        Raises:
            InputError: If MLflow does not accept it.
        """
        self._runs.record_launch()
        run_id = self._runs.open_search()
        if run_id is None:
            raise InputError(
                "--tracking-uri",
                "MLflow must accept the run of the search",
                value=self._logger.problems[-1],
                remedy="check the server; then continue with --resume",
            )
        self._logger.watch_system(run_id)
        self._log_build_time(run_id, self._experiment.dataset)
        self._progress.trials |= {trial.number: trial for trial in self._study.get_trials()}

    def on_search_end(self, status: Status = "FINISHED") -> None:
        """Remove files that were left behind, unless the search is interrupted, and end its MLflow run.

        The runs of trials that are still running end as KILLED: they continue with a larger budget.
        """
        self._end_running_runs()
        if status == "FINISHED":
            self._remove_left_checkpoints()
        run_id = self._study.parent_run_id()
        if run_id is not None:
            self._logger.end_run(run_id, status, {"trials": str(self._study.count_started())})

    def on_interrupt(self) -> None:
        """End the MLflow runs of the search and of its running trials as KILLED; --resume opens them again."""
        self.on_search_end("KILLED")

    def _end_running_runs(self) -> None:
        for trial in self._study.get_trainings():
            if trial.outcome == "running" and trial.run_id is not None:
                self._logger.end_run(trial.run_id, "KILLED", end_tags(trial))

    def on_trial_start(self, trial: Trial) -> None:
        """Open the MLflow run of a trial and print its start."""
        self._take_up_files(trial)
        run_id = self.open_run(trial)
        if run_id is not None:
            self._study.set_run_id(trial.number, run_id)
            if run_id != trial.run_id:
                for (
                    epoch
                ) in trial.epochs:  # recorded while MLflow was unavailable, or by the trial that this one takes up
                    self._logger.log_epoch(run_id, epoch)
        self._progress.on_trial_start(trial)
        self._on_trial(trial)
        self._on_change()

    def _take_up_files(self, trial: Trial) -> None:
        """Move the checkpoint and the model of a failed trial to the one that takes it up, unless that has been done."""
        results = self._experiment.results
        if trial.retry_of is None or not trial.epochs or results.has_file(results.checkpoint_path(trial.number)):
            return
        for path_of in (results.model_path, results.checkpoint_path):  # the checkpoint last: it marks the end
            results.copy_file(path_of(trial.retry_of), path_of(trial.number))
        for path_of in (results.checkpoint_path, results.model_path):
            results.remove_file(path_of(trial.retry_of))

    def open_run(self, trial: Trial) -> str | None:
        """Return the MLflow run of a trial, created if necessary; None if MLflow is unavailable."""
        run_id = self._runs.open_trial(trial)
        if run_id is not None:
            self._log_build_time(run_id, self._experiment.dataset_for(trial.training_parameters))
        return run_id

    def _log_build_time(self, run_id: str, dataset: DatasetProvider) -> None:
        self._datasets.report_seconds(
            dataset, lambda seconds: self._logger.log_values(run_id, {"data_seconds": seconds})
        )

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """Log and print an epoch."""
        if trial.run_id is not None:
            self._logger.log_epoch(trial.run_id, epoch)
        self._progress.on_trial_result(trial, epoch)
        self._on_trial(trial)
        self._on_change()

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """Print the loss of a worker process; the MLflow run stays open."""
        self._progress.on_trial_lost(trial, reason)

    def on_trial_notice(self, trial: Trial, text: str) -> None:
        """Print a message about a trial that continues."""
        self._progress.on_trial_notice(trial, text)

    def on_trial_end(self, trial: Trial) -> None:
        """End the MLflow run; remove the models that are no longer among the best, and the trial's checkpoint.

        The files of a failed trial are kept, for `--retry failed`, and those of paused trials while there is space for them.
        """
        self._logger.finish_trial(trial)
        self._progress.on_trial_end(trial)
        self._runs.log_output(trial)
        results = self._experiment.results
        with suppress(StorageError):  # a file that stays behind does no harm
            if trial.outcome == "paused":
                self._limit_paused(trial.number)
            elif trial.outcome != "failed":
                results.remove_file(results.checkpoint_path(trial.number))
            for number in prunable_models(self._study.get_trials(), self._experiment.space) - self._removed:
                results.remove_file(results.model_path(number))
                self._removed.add(number)
        self._on_trial(trial)
        self._on_change()

    def _limit_paused(self, number: int) -> None:
        """Stop the least promising paused trials if the files of all of them exceed the space for them."""
        self._paused_bytes[number] = self._count_bytes(number)
        limit = self._experiment.space.stopping.disk_gb * 1e9
        paused = self._study.list_paused()
        self._paused_bytes = {n: self._paused_bytes.get(n) or self._count_bytes(n) for n in paused}
        while sum(self._paused_bytes.values()) > limit and paused:
            least = paused.pop(0)
            del self._paused_bytes[least]
            self._study.stop_paused(least, f"waited, and its files exceed the {limit / 1e9:g} GB for waiting trials")
            self.on_trial_end(self._study.get_trial(least))

    def _count_bytes(self, number: int) -> int:
        results = self._experiment.results
        return sum(results.file_size(path_of(number)) for path_of in (results.checkpoint_path, results.model_path))

    def _remove_left_checkpoints(self) -> None:
        """Remove checkpoints of ended trials that a killed process or a rejected request left behind."""
        results = self._experiment.results
        trials = self._study.get_trainings()
        resumable = {trial.number for trial in trials if trial.outcome in ("running", "paused", "failed")}
        retried = {trial.retry_of for trial in trials if trial.outcome == "running"}  # the retry may not have begun
        ended = {trial.number for trial in trials} - resumable - retried
        with suppress(StorageError):  # a file that stays behind does no harm
            for number in results.checkpointed_trials() & ended:
                results.remove_file(results.checkpoint_path(number))


def prunable_models(trials: list[Trial], space: Space) -> set[int]:
    """Return the numbers of ended trials whose models are not needed; failed ones may be taken up again."""
    best = {trial.number for trial in rank_trials(trials, space.objectives)[:KEPT_MODELS]}
    ended = [t for t in trials if t.outcome in ("finished", "stopped")]
    return {t.number for t in ended if not is_reference(t) and t.number not in best}
