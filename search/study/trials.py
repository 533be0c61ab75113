"""What is known of trials: values that the study keeps and everything else reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search.study import pareto
from spaces.schema import Value

Outcome = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch of a trial came to.

    Attributes:
        epoch: Counted from 1.
        metrics: Of the training and of the validation with the best setting; undefined ones are absent.
        setting: The inner parameters that were best.
        seconds: How long it took, validation included.
    """

    epoch: int
    metrics: Mapping[str, float]
    setting: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A trial as the study knows it."""

    number: int
    parameters: Mapping[str, Value]
    outcome: Outcome
    reason: str
    epochs: tuple[Epoch, ...]
    run_id: str | None
    is_baseline: bool
    tests: Mapping[str, Mapping[str, float]]

    def best_epoch(self, objectives: pareto.Objectives) -> Epoch | None:
        """The epoch whose weights are kept: the best so far."""
        if not self.epochs:
            return None
        return self.epochs[pareto.best_index([epoch.metrics for epoch in self.epochs], objectives)]

    def best_objectives_until(self, epoch: int, objectives: pareto.Objectives) -> tuple[float, ...] | None:
        """The best up to an epoch, or None if the trial did not get there."""
        seen = [e.metrics for e in self.epochs if e.epoch <= epoch]
        if len(seen) < epoch:
            return None
        return pareto.objective_values(seen[pareto.best_index(seen, objectives)], objectives)


def rank_trials(trials: Sequence[Trial], objectives: pareto.Objectives) -> list[Trial]:
    """Trials that have a result, best first."""
    usable = [trial for trial in trials if trial.epochs and trial.outcome != "failed"]
    points = [
        pareto.objective_values(kept.metrics, objectives)
        for t in usable
        if (kept := t.best_epoch(objectives)) is not None
    ]
    return [usable[index] for index in pareto.rank_order(points)]
