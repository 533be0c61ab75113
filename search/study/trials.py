"""Values of a study: trials and epochs, independent of Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from search.study import constraints, pareto
from spaces.constraints import Constraint
from spaces.schema import TRAIN_SEED, Value

Outcome = Literal["running", "paused", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch of a trial.

    Attributes:
        epoch: Number of the epoch, from 1.
        metrics: Metrics of training, and of validation with the best inference parameters; undefined ones are absent.
        setting: Inference parameters with the best validation result.
        seconds: Duration of the epoch including validation.
        usage: What the epoch used, for the budgets: `gpus` of the trial and `price_per_hour`, as far as there are any.
    """

    epoch: int
    metrics: Mapping[str, float]
    setting: Mapping[str, float]
    seconds: float
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """State of a trial in the study.

    Attributes:
        number: Number of the trial, from 0.
        parameters: Values of the active searched dimensions.
        outcome: "running" until the trial ends; "paused" while it waits to become one of the better ones.
        reason: Reason of the outcome, for users; empty if there is none.
        epochs: Results of all epochs so far.
        run_id: MLflow run of the trial; None while there is none.
        is_baseline: Whether the trial runs the baseline of the space.
        test_scores: Metrics per test split; empty until the trial is scored.
        retry_of: Number of the failed trial that this one takes up; None for all others.
        role: "baseline", "start 0", … for the initial points, "confirm" for confirmations, "trial" for all others.
        confirms: Number of the trial that this one confirms; None for the trials of the search.
        seed: Seed of the training; None for that of the space.
        is_outside: Whether the trial is outside of a space that was edited after it.
        constraints: Constraints of the space.
        measured: Quantities of the model that were measured before its first epoch, if they end the trial.
        started_s: Time of its start in seconds since 1970; None if it is unknown.
        ended_s: Time of its end in seconds since 1970; None while it has not ended.
    """

    number: int
    parameters: Mapping[str, Value]
    outcome: Outcome
    reason: str
    epochs: tuple[Epoch, ...]
    run_id: str | None
    is_baseline: bool
    test_scores: Mapping[str, Mapping[str, float]]
    retry_of: int | None = None
    role: str = "trial"
    confirms: int | None = None
    seed: int | None = None
    is_outside: bool = False
    constraints: tuple[Constraint, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    started_s: float | None = field(default=None, compare=False)
    ended_s: float | None = field(default=None, compare=False)

    @property
    def training_parameters(self) -> dict[str, Value]:
        """Parameters with the seed of the training data, which is that of the training in a confirmation."""
        fresh = {} if self.confirms is None or self.seed is None else {TRAIN_SEED: self.seed}
        return {**self.parameters, **fresh}

    def best_epoch(self, objectives: pareto.Objectives) -> Epoch | None:
        """Return the best epoch so far, whose weights are saved; None before the first epoch."""
        return self.best_epoch_until(len(self.epochs), objectives) if self.epochs else None

    def best_epoch_until(self, epoch: int, objectives: pareto.Objectives) -> Epoch | None:
        """Return the best epoch up to an epoch; None if the trial has not reached it."""
        epochs = [e for e in self.epochs if e.epoch <= epoch]
        if len(epochs) < epoch:
            return None
        return epochs[constraints.best_index([e.metrics for e in epochs], objectives, self.constraints)]

    def best_objectives_until(self, epoch: int, objectives: pareto.Objectives) -> tuple[float, ...] | None:
        """Return the best objective values up to an epoch; None if the trial has not reached it.

        They are for comparisons: those of a trial that violates constraints are below all others (see `constraints`).
        """
        best = self.best_epoch_until(epoch, objectives)
        return None if best is None else constraints.comparable_values(best.metrics, objectives, self.constraints)

    def epoch_end_s(self, epoch: int) -> float | None:
        """Return when an epoch had ended if there was no pause before it, in seconds since 1970; None if it is unknown."""
        if self.started_s is None:
            return None
        end_s = self.started_s + sum(each.seconds for each in self.epochs if each.epoch <= epoch)
        return end_s if self.ended_s is None else min(end_s, self.ended_s)

    @property
    def fittest_metrics(self) -> Mapping[str, float]:
        """Metrics of the epoch that violates the constraints least, as the best epoch does, or what was measured before."""
        metrics = [epoch.metrics for epoch in self.epochs] or [self.measured]
        return min(metrics, key=lambda each: constraints.total_violation(each, self.constraints))

    @property
    def violated(self) -> tuple[Constraint, ...]:
        """Constraints that the trial violates at its best epoch; before the first one, those on what is known of its model."""
        if not self.constraints:
            return ()
        known = [c for c in self.constraints if self.epochs or c.metric in self.measured]
        return tuple(constraints.list_violated(self.fittest_metrics, known))

    @property
    def is_judged(self) -> bool:
        """Whether constraints apply to the trial, and it has an epoch or measured quantities to be judged by."""
        return bool(self.constraints) and bool(self.epochs or self.measured)

    @property
    def total_violation(self) -> float:
        """Sum of the violations of these constraints."""
        return constraints.total_violation(self.fittest_metrics, self.violated)

    def describe_violations(self) -> str:
        """Return each violated constraint with the value of its metric, in words; empty if none is violated."""
        return "; ".join(constraint.describe_violation(self.fittest_metrics) for constraint in self.violated)


def choose_winner(ranked: Sequence[Trial], preferred: int | None) -> Trial:
    """Return the winner of a search: the trial that its verdict prefers, or else the best one on validation.

    A recorded winner that violates constraints, which have changed since, is none if another trial satisfies them.

    Args:
        ranked: Trials with a result, best on validation first; at least one.
        preferred: Number of the trial that the verdict prefers; None without a verdict.
    """
    preferred_trial = next((trial for trial in ranked if trial.number == preferred), ranked[0])
    return ranked[0] if preferred_trial.violated and not ranked[0].violated else preferred_trial


def rank_trials(trials: Sequence[Trial], objectives: pareto.Objectives) -> list[Trial]:
    """Return the trials that have a result and did not fail, best first; those that violate constraints are the last."""
    usable = [trial for trial in trials if trial.epochs and trial.outcome != "failed"]
    points = [
        constraints.comparable_values(best.metrics, objectives, t.constraints)
        for t in usable
        if (best := t.best_epoch(objectives)) is not None
    ]
    return [usable[index] for index in pareto.rank_order(points)]
