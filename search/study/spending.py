"""What a search has spent of its budgets, as sums over the epochs that its study records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from search.study.trials import Outcome, Trial
from spaces.schema import Budget, Resources, Space, Value

EpochPresentations = Callable[[Mapping[str, Value]], int | None]
"""Function from the parameters of a trial to the training samples of one of its epochs; None if they are unknown."""
LIMITS: Final = ("epochs_total", "presentations", "gpu_hours", "money")
"""Keys of a budget that count over all trials and launches of a search."""
_GPUS, _PRICE = "gpus", "price_per_hour"
_HOUR_S: Final = 3600.0


def epoch_usage(resources: Resources) -> dict[str, float]:
    """Return the usage of an epoch of a trial with these resources, as the study records it."""
    usage = {_GPUS: resources.gpu_share} if resources.gpu_share else {}
    return usage | ({} if resources.price_per_hour is None else {_PRICE: resources.price_per_hour})


@dataclass(frozen=True)
class Spending:
    """What some trials have spent.

    Epochs that were interrupted are not part of it, and those that were repeated after a crash count once.

    Attributes:
        outcomes: Number of trials by outcome, without confirmations; those that run or are interrupted are "running".
        epochs: Number of epochs.
        seconds: Duration of the epochs, validation included, in seconds.
        gpu_seconds: The same times the GPUs of each trial.
        money: Price of the epochs; None if no price is known.
        presentations: Training samples shown; None if the number is unknown for all trials.
    """

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    money: float | None = None
    presentations: int | None = None

    def amount_of(self, limit: str) -> float:
        """Return what is spent of one of `LIMITS`; 0 if it is unknown."""
        amounts = {
            "epochs_total": self.epochs,
            "presentations": self.presentations or 0,
            "gpu_hours": self.gpu_seconds / _HOUR_S,
            "money": self.money or 0.0,
        }
        return amounts[limit]


def trial_spending(trial: Trial, resources: Resources, epoch_presentations: EpochPresentations) -> Spending:
    """Return what a trial has spent.

    Args:
        trial: Trial with its recorded epochs.
        resources: Resources that count for epochs that were recorded without any, by an earlier version or before
            a price was given.
        epoch_presentations: Training samples per epoch.
    """
    present = epoch_usage(resources)
    usages = [(epoch.seconds, present | dict(epoch.usage)) for epoch in trial.epochs]
    prices = [seconds / _HOUR_S * usage[_PRICE] for seconds, usage in usages if _PRICE in usage]
    per_epoch = epoch_presentations(trial.parameters) if trial.epochs else None
    return Spending(
        outcomes={trial.outcome: 1} if trial.confirms is None else {},
        epochs=len(trial.epochs),
        seconds=sum(seconds for seconds, _ in usages),
        gpu_seconds=sum(seconds * usage.get(_GPUS, 0.0) for seconds, usage in usages),
        money=sum(prices) if prices or _PRICE in present else None,
        presentations=None if per_epoch is None else per_epoch * len(trial.epochs),
    )


def add_spending(parts: Iterable[Spending]) -> Spending:
    """Return the sum of what several trials have spent."""
    listed = list(parts)
    outcomes: Counter[Outcome] = Counter()
    for part in listed:
        outcomes.update(part.outcomes)
    prices = [part.money for part in listed if part.money is not None]
    shown = [part.presentations for part in listed if part.presentations is not None]
    return Spending(
        outcomes=dict(outcomes),
        epochs=sum(part.epochs for part in listed),
        seconds=sum(part.seconds for part in listed),
        gpu_seconds=sum(part.gpu_seconds for part in listed),
        money=sum(prices) if prices else None,
        presentations=sum(shown) if shown else None,
    )


def budget_limits(budget: Budget) -> dict[str, float]:
    """Return the limits of a budget that count over all trials and launches, by their keys."""
    return {limit: value for limit in LIMITS if (value := getattr(budget, limit)) is not None}


class SpendingMeter:
    """Running total of what a search has spent.

    Args:
        space: Budget, and resources per trial.
        epoch_presentations: Training samples per epoch of a trial; unknown by default.
        trials: Trials of the study so far.
    """

    def __init__(
        self, space: Space, epoch_presentations: EpochPresentations = lambda _: None, trials: Iterable[Trial] = ()
    ) -> None:
        self._resources = space.resources
        self._epoch_presentations = epoch_presentations
        self._by_trial: dict[int, Spending] = {}
        self._per_epoch: dict[int, int | None] = {}
        self._total: Spending | None = None
        self.limits = budget_limits(space.budget)
        self.refresh(trials)

    def refresh(self, trials: Iterable[Trial]) -> None:
        """Replace what is known of several trials, e.g. after their ends."""
        for trial in trials:
            self.update(trial)

    def update(self, trial: Trial) -> None:
        """Replace what is known of a trial; an update that is repeated changes nothing."""
        self._by_trial[trial.number] = trial_spending(trial, self._resources, lambda _: self._presentations_of(trial))
        self._total = None

    def _presentations_of(self, trial: Trial) -> int | None:
        if trial.number not in self._per_epoch:  # the parameters of a trial do not change
            self._per_epoch[trial.number] = self._epoch_presentations(trial.parameters)
        return self._per_epoch[trial.number]

    def total(self) -> Spending:
        """Return what all trials have spent."""
        if self._total is None:  # asked for several times a second
            self._total = add_spending(self._by_trial.values())
        return self._total

    def exhausted_limits(self) -> tuple[str, ...]:
        """Return the keys of the limits that are reached."""
        if not self.limits:
            return ()
        total = self.total()
        return tuple(limit for limit, most in self.limits.items() if total.amount_of(limit) >= most)

    def remaining_epochs(self) -> float | None:
        """Return how many epochs the budget permits at the mean spending per epoch so far; None if it is unlimited."""
        total = self.total()
        if not total.epochs:
            return None
        left = [
            (most - spent) * total.epochs / spent
            for limit, most in self.limits.items()
            if (spent := total.amount_of(limit)) > 0
        ]
        return max(0.0, min(left)) if left else None
