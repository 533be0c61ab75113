"""End of trials at their full length, their pause by the stopping rule, and their interruption by time and budgets."""

from __future__ import annotations

import time
from collections.abc import Callable

from search.execution.hooks import StoppingPolicy
from search.study import failures
from search.study.constraints import explain_hopeless
from search.study.spending import SpendingMeter
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Space


class TimeBudget:
    """Time limit of one launch, counted from construction.

    Args:
        hours: Length of the budget; None for no limit.
    """

    def __init__(self, hours: float | None) -> None:
        self._deadline = None if hours is None else time.monotonic() + hours * 3600

    def is_exhausted(self) -> bool:
        """Return whether the time is up."""
        return self._deadline is not None and time.monotonic() >= self._deadline


class TrialStopper(StoppingPolicy):
    """Stopping policy of a search. The baseline is never paused by the rule.

    Args:
        study: Trials of the search.
        space: Its budget, stopping rule and objectives.
        time_budget: Time that is left.
        meter: What the trials have spent; by default that of the study, without presentations.

    Attributes:
        common_failure: Cause and trials, if all trials failed alike.
    """

    def __init__(self, study: Study, space: Space, time_budget: TimeBudget, meter: SpendingMeter | None = None) -> None:
        self._meter = meter or SpendingMeter(space, trials=study.get_trials())
        self._study = study
        self._space = space
        self._time_budget = time_budget
        self._checked_failures = 0
        self.common_failure: tuple[str, list[Trial]] | None = None

    def may_start(self) -> bool:
        """Return whether time and budget are left for another trial."""
        return not (self._time_budget.is_exhausted() or self._meter.exhausted_limits())

    def must_interrupt(self) -> bool:
        """Return whether the running trials have to wait for the next launch, as after Ctrl-C.

        They have to when the time is up, a budget is used up while trials are left, or all trials fail alike.
        """
        if self._study.failure_count != self._checked_failures:
            self._checked_failures = self._study.failure_count
            self.common_failure = failures.find_common_failure(self._study.get_trials(), self._space.budget.trials)
        return self.common_failure is not None or self._time_budget.is_exhausted() or bool(self.exhausted_budget)

    @property
    def exhausted_budget(self) -> dict[str, float]:
        """Budgets by their keys that are used up although trials are left to run."""
        limits = self._meter.exhausted_limits()
        return {limit: self._meter.limits[limit] for limit in limits} if limits and self._is_left() else {}

    def _is_left(self) -> bool:
        return self._study.has_unfinished()

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """Return the outcome and the reason if the trial ends after this epoch, None if it continues."""
        trial = self._study.get_trial(number)
        self._meter.update(trial)
        if epoch.epoch >= self._space.budget.epochs:
            return "finished", ""
        hopeless = None if trial.is_baseline else explain_hopeless(epoch.metrics, self._space.constraints)
        if hopeless is not None:
            return "stopped", hopeless
        return None if self._study.may_continue(number) else ("paused", self._study.rule.explain_pause(trial))


class ConfirmationStopper(TrialStopper):
    """Stopping policy of confirmations, which run all epochs unless time or a budget ends.

    Args:
        study: Trials of the search.
        space: Its budget.
        time_budget: Time that is left.
        meter: What trials and confirmations have spent.
        is_pending: Returns whether confirmations are left.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        time_budget: TimeBudget,
        meter: SpendingMeter,
        is_pending: Callable[[], bool],
    ) -> None:
        super().__init__(study, space, time_budget, meter)
        self._is_pending = is_pending

    def _is_left(self) -> bool:
        return self._is_pending()

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """Return the outcome and the reason if the training ends after this epoch, None if it continues."""
        self._meter.update(self._study.get_trial(number))
        return ("finished", "") if epoch.epoch >= self._space.budget.epochs else None
