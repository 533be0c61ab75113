"""Passes what happens to trials on to MLflow and to the screen, and clears away what is no longer needed."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from runtime.errors import StorageError
from search.execution.dataset_provider import DatasetSupplier
from search.execution.trial import Job
from search.reporting.mlflow_logger import MlflowLogger
from search.reporting.progress import SearchProgress
from search.study.study import Study
from search.study.trials import Epoch, Trial, rank_trials
from spaces.schema import Space

KEPT_MODELS: Final = 5
"""Weights of so many of the best trials stay on disk, besides the baseline's."""


class SearchCallback:
    """Listens to the runner."""

    def __init__(
        self,
        job: Job,
        study: Study,
        tracker: MlflowLogger,
        screen: SearchProgress,
        tags: dict[str, str],
        supply: DatasetSupplier,
    ) -> None:
        self._job = job
        self._study = study
        self._tracker = tracker
        self._screen = screen
        self._tags = tags
        self._supply = supply
        self._cleared: set[int] = set()

    def on_trial_start(self, trial: Trial) -> None:
        """Open the trial's run."""
        run_id = self.open_run(trial)
        if run_id is not None:
            self._study.set_run_id(trial.number, run_id)
            if run_id != trial.run_id:
                for epoch in trial.epochs:  # of a trial whose run could not be opened before
                    self._tracker.log_epoch(run_id, epoch)
        self._screen.on_trial_start(trial)

    def open_run(self, trial: Trial) -> str | None:
        """The trial's run, made if it is not there; None if MLflow is away."""
        name = "baseline" if trial.is_baseline else f"trial {trial.number}"
        tags = self._tags | {"trial": str(trial.number), "role": "baseline" if trial.is_baseline else "trial"}
        parameters = self._job.space.config_values(trial.parameters) | dict(trial.parameters)
        source = self._job.dataset_for(trial.parameters)
        tags["dataset"] = source.fingerprint
        run_id = self._tracker.open_run(trial.run_id, name, parameters, tags, parent=self._study.parent_run_id())
        if run_id is not None:
            if trial.run_id != run_id:
                self._tracker.log_data(run_id, self._job.store, source)
            self._supply.report_seconds(
                source, lambda seconds: self._tracker.log_values(run_id, {"data_seconds": seconds})
            )
        return run_id

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """Log the epoch."""
        if trial.run_id is not None:
            self._tracker.log_epoch(trial.run_id, epoch)
        self._screen.on_trial_result(trial, epoch)

    def on_trial_end(self, trial: Trial) -> None:
        """End the run; an ended trial needs no training state, and only good ones need weights."""
        self._tracker.finish_trial(trial)
        self._screen.on_trial_end(trial)
        with suppress(StorageError):  # what is left behind does no harm
            self._job.folder.remove_file(self._job.folder.checkpoint_path(trial.number))
            for number in prunable_models(self._study.get_trials(), self._job.space) - self._cleared:
                self._job.folder.remove_file(self._job.folder.model_path(number))
                self._cleared.add(number)

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """Say so; the run goes on."""
        self._screen.on_trial_lost(trial, reason)

    def on_interrupt(self) -> None:
        """End the runs of trials that are still going, to be set going again by a resume."""
        for trial in self._study.get_trials():
            if trial.outcome == "running" and trial.run_id is not None:
                self._tracker.end_run(trial.run_id, "KILLED", {"outcome": "interrupted"})


def prunable_models(trials: list[Trial], space: Space) -> set[int]:
    """Ended trials whose weights nobody will ask for."""
    best = {trial.number for trial in rank_trials(trials, space.objectives)[:KEPT_MODELS]}
    return {t.number for t in trials if t.outcome != "running" and not t.is_baseline and t.number not in best}
