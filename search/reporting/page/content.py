"""Content of the page about a search, running or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from search.execution.error_files import ModelErrors
from search.reporting.finalists import label_trial
from search.study.confirmations import is_reference
from search.study.importance import Importance
from search.study.pareto import nondominated_ranks
from search.study.stopping.rule import rung_epochs
from search.study.trials import Trial, choose_winner, rank_trials
from spaces.schema import Dimension, Direction, Stopping


@dataclass(frozen=True)
class PageContent:
    """Search as its page shows it.

    Attributes:
        name: Name of the search.
        trainable: Name or import path of its trainable.
        search: Dimensions of the space.
        objectives: Metrics that are optimised, and their directions.
        stopping: Stopping rule.
        epochs: Number of epochs of a full training.
        trials: Trials, without confirmations.
        confirmations: Confirmations.
        result: Content of `result.json`; None before the end of a search.
        importances: Importance of the dimensions, the most important first; empty if there are too few trials.
        errors: Errors of the winner's model on the test splits.
        meanings: Descriptions of metrics by name, as far as the trainable gives any.
        headlines: Metrics that tables show in addition to the objectives.
        commands: Commands for what to do next, with remarks.
        dataset: Description of the dataset, as the search has recorded it.
        robustness: Scores of the winner under other conditions, as `search.stress` has written them; empty without.
        time: Time of the last change.
        is_live: Whether the search is running.
    """

    name: str
    trainable: str
    search: tuple[Dimension, ...]
    objectives: tuple[tuple[str, Direction], ...]
    stopping: Stopping
    epochs: int
    trials: Sequence[Trial]
    confirmations: Sequence[Trial] = ()
    result: Mapping[str, Any] | None = None
    importances: Mapping[str, Importance] = field(default_factory=dict)
    errors: ModelErrors = field(default_factory=ModelErrors)
    meanings: Mapping[str, str] = field(default_factory=dict)
    headlines: Sequence[str] = ()
    commands: Sequence[str] = ()
    dataset: Mapping[str, Any] = field(default_factory=dict)
    robustness: Sequence[Mapping[str, Any]] = ()
    time: datetime | None = None
    is_live: bool = False

    @cached_property
    def ranked(self) -> list[Trial]:
        """Trials with a result, best first."""
        return rank_trials(self.trials, self.objectives)

    @cached_property
    def winner(self) -> Trial | None:
        """Trial that the verdict prefers, or else the best one on validation; None without a result."""
        preferred = None if self.result is None else self.result.get("winner")
        return choose_winner(self.ranked, preferred) if self.ranked else None

    @cached_property
    def references(self) -> list[Trial]:
        """Baseline and starting points with a result, by number."""
        return sorted(filter(is_reference, self.ranked), key=lambda trial: trial.number)

    @cached_property
    def finalists(self) -> list[Trial]:
        """Winner, then baseline and starting points; each once."""
        listed = [*([] if self.winner is None else [self.winner]), *self.references]
        return list({trial.number: trial for trial in listed}.values())

    @cached_property
    def front(self) -> list[Trial]:
        """Trials that no other one dominates in all objectives."""
        points = [trial.best_objectives_until(len(trial.epochs), self.objectives) for trial in self.ranked]
        ranks = nondominated_ranks([point for point in points if point is not None])
        return [trial for trial, rank in zip(self.ranked, ranks, strict=True) if rank == 0]

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared."""
        return rung_epochs(self.stopping, self.epochs)

    @cached_property
    def ordered_dimensions(self) -> list[Dimension]:
        """Dimensions, the most important first; in the order of the space where importances are unknown."""
        order = list(self.importances)
        known = [d for name in order for d in self.search if d.name == name]
        return known + [dimension for dimension in self.search if dimension.name not in order]

    def label(self, trial: Trial) -> str:
        """Return the name of a trial: as in all tables, and whether it is the winner."""
        name = label_trial(trial)
        return f"{name} (winner)" if trial is self.winner and not self.is_live else name

    def objective(self, trial: Trial, index: int = 0) -> float:
        """Return an objective of a trial at its best epoch; NaN without one."""
        best = trial.best_epoch(self.objectives)
        return math.nan if best is None else float(best.metrics.get(self.objectives[index][0], math.nan))

    def is_better(self, one: float, other: float) -> bool:
        """Return whether a value of the first objective is better than another one."""
        return one > other if self.objectives[0][1] == "maximize" else one < other


def format_number(value: object) -> str:
    """Format a value of a table: three significant digits, and integers in full."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "–"
    return f"{value:.3g}" if value == 0 or not 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def format_score(value: float | None) -> str:
    """Format a metric with three decimals, or three or four significant digits if small or large; a dash if undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < abs(value) < 1e-2:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
