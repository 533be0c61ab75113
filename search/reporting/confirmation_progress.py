"""Progress of the confirmations of a search on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.console import format_duration
from search.reporting.progress import SearchProgress
from search.study.confirmations import Confirmation
from search.study.trials import Epoch, Trial
from spaces.schema import Space


class ConfirmationProgress(SearchProgress):
    """Prints the events of confirmations, and a status line with what is left.

    Attributes:
        planned: All confirmations of the search.
    """

    planned: Sequence[Confirmation] = ()

    def remaining_s(self) -> float:
        """Estimate the remaining time from the mean time per epoch."""
        done = sum(len(trial.epochs) for trial in self.trials.values())
        left = len(self.planned) * self._space.budget.epochs - done
        return max(0, left) * self._epoch_seconds / max(1, self._epoch_count) / self._concurrency

    def _label(self, trial: Trial) -> str:
        return f"confirm {trial.confirms} seed {trial.seed}"

    def _status_line(self, trial: Trial, epoch: Epoch) -> str:
        values = self._format_objectives(epoch)
        return f"{self._label(trial)} epoch {epoch.epoch}/{self._space.budget.epochs} {values}"

    def _describe_best(self) -> str:
        ended = sum(trial.outcome != "running" for trial in self.trials.values())
        return f"[{ended} of {len(self.planned)} confirmations]"


def describe_confirmations(
    space: Space, planned: Sequence[Confirmation], trials: Sequence[Trial], concurrency: int
) -> str:
    """Return how many trainings confirm which trials, and about how long they take.

    Args:
        space: Search space.
        planned: Confirmations that are left.
        trials: Trials of the search, from whose epochs the time is estimated.
        concurrency: Number of trainings that run at the same time.
    """
    numbers = sorted({confirmation.confirms for confirmation in planned})
    by_number = {trial.number: trial for trial in trials}
    seconds = sum(_seconds_per_epoch(by_number[c.confirms]) * space.budget.epochs for c in planned)
    return (
        f"{len(planned)} full trainings of {space.budget.epochs} epochs, of trials {', '.join(map(str, numbers))}; "
        f"about {format_duration(seconds / concurrency)}"
    )


def _seconds_per_epoch(trial: Trial) -> float:
    return sum(epoch.seconds for epoch in trial.epochs) / max(1, len(trial.epochs))
