"""Values of a study: trials and epochs, independent of Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from search.study import pareto
from spaces.schema import TRAIN_SEED, Value

Outcome = Literal["running", "finished", "stopped", "failed"]


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
        outcome: "running" until the trial ends.
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

    @property
    def training_parameters(self) -> dict[str, Value]:
        """Parameters with the seed of the training data, which is that of the training in a confirmation."""
        fresh = {} if self.confirms is None or self.seed is None else {TRAIN_SEED: self.seed}
        return {**self.parameters, **fresh}

    def best_epoch(self, objectives: pareto.Objectives) -> Epoch | None:
        """Return the best epoch so far, whose weights are saved; None before the first epoch."""
        if not self.epochs:
            return None
        return self.epochs[pareto.best_index([epoch.metrics for epoch in self.epochs], objectives)]

    def best_objectives_until(self, epoch: int, objectives: pareto.Objectives) -> tuple[float, ...] | None:
        """Return the best objective values up to an epoch; None if the trial has not reached it."""
        metrics = [e.metrics for e in self.epochs if e.epoch <= epoch]
        if len(metrics) < epoch:
            return None
        return pareto.objective_values(metrics[pareto.best_index(metrics, objectives)], objectives)


def choose_winner(ranked: Sequence[Trial], preferred: int | None) -> Trial:
    """Return the winner of a search: the trial that its verdict prefers, or else the best one on validation.

    Args:
        ranked: Trials with a result, best on validation first; at least one.
        preferred: Number of the trial that the verdict prefers; None without a verdict.
    """
    return next((trial for trial in ranked if trial.number == preferred), ranked[0])


def rank_trials(trials: Sequence[Trial], objectives: pareto.Objectives) -> list[Trial]:
    """Return the trials that have a result and did not fail, best first."""
    usable = [trial for trial in trials if trial.epochs and trial.outcome != "failed"]
    points = [
        pareto.objective_values(best.metrics, objectives)
        for t in usable
        if (best := t.best_epoch(objectives)) is not None
    ]
    return [usable[index] for index in pareto.rank_order(points)]
