"""Interfaces of the trial loop: what it reports to, what stops trials and what provides their datasets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Value


class TrialCallback:
    """Receiver of trial events in the driver process; every method does nothing by default."""

    def on_trial_start(self, trial: Trial) -> None:
        """Handle a trial that starts or continues."""

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """Handle the loss of a trial's worker process; another process continues the trial."""

    def on_trial_notice(self, trial: Trial, text: str) -> None:
        """Handle a message for users about a trial that continues."""

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """Handle an epoch that the study has recorded."""

    def on_trial_end(self, trial: Trial) -> None:
        """Handle a trial whose outcome the study has recorded."""


class StoppingPolicy(ABC):
    """Decisions on when trials start and end."""

    @abstractmethod
    def may_start(self) -> bool:
        """Return whether another trial may start."""

    def must_interrupt(self) -> bool:
        """Return whether the running trials have to be interrupted now; they continue at the next launch."""
        return False

    @abstractmethod
    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """Return the outcome and the reason if a trial ends or is paused after its newest epoch, None if it continues."""


class DatasetReadiness(ABC):
    """Availability of the datasets that trials train on."""

    @abstractmethod
    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        """Return whether the dataset of a trial is available; start building it otherwise."""
