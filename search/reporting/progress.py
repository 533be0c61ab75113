"""Progress of a search on the terminal: a line per event, a status line that is updated in place, and final tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from runtime.console import Console, format_duration
from search.reporting.constraints import (
    INFEASIBLE,
    constrained_metrics,
    describe_end,
    format_metric,
    mark_outcome,
)
from search.reporting.spending import format_limits
from search.study.confirmations import is_reference
from search.study.spending import SpendingMeter
from search.study.stopping.rule import expected_search_epochs, never_waits, rung_epochs
from search.study.trials import Epoch, Trial, rank_trials
from spaces.schema import Space
from spaces.values import to_text


def format_value(value: object) -> str:
    """Format the value of a parameter, with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else to_text(value)


_LISTED_REFERENCES: Final = 3
"""Number of references in the table of the best trials in addition to the best trials."""

_MAX_REASON_LENGTH: Final = 120
"""Length at which the reason for a lost process is cut, in characters."""


class SearchProgress:
    """Prints the events of trials, and a status line with an estimate of the remaining time.

    Args:
        console: Console to print on.
        space: Search space, with objectives and budget.
        concurrency: Number of trials that run at the same time.
        now: Clock, in seconds.
        meter: What the trials have spent, of which the status line shows the limited units.
    """

    def __init__(
        self,
        console: Console,
        space: Space,
        concurrency: int,
        now: Callable[[], float] = time.monotonic,
        meter: SpendingMeter | None = None,
    ) -> None:
        self._meter = meter or SpendingMeter(space)
        self._console = console
        self._space = space
        self._concurrency = concurrency
        self._now = now
        self._start = now()
        self._epoch_seconds = 0.0
        self._epoch_count = 0
        self.trials: dict[int, Trial] = {}

    @property
    def made_progress(self) -> bool:
        """Whether any epoch was completed since the start."""
        return self._epoch_count > 0

    def on_trial_start(self, trial: Trial) -> None:
        """Print that a trial starts, is resumed, or continues after a pause."""
        was_paused = trial.number in self.trials and self.trials[trial.number].outcome == "paused"
        self.trials[trial.number] = trial
        if was_paused:
            self._console.print_line(
                f"{self._elapsed()}  {self._label(trial)} continues after epoch {len(trial.epochs)}"
            )
            return
        description = (
            "baseline"
            if trial.is_baseline
            else ", ".join(f"{n}={format_value(v)}" for n, v in trial.parameters.items())
        )
        resumed = "" if trial.retry_of is None else f", retries trial {trial.retry_of}"
        resumed += f", continues after epoch {len(trial.epochs)}" if trial.epochs else ""
        self._console.print_line(f"{self._elapsed()}  {self._label(trial)} starts    {description}{resumed}")

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """Update the status line with the result of an epoch."""
        self.trials[trial.number] = trial
        self._epoch_seconds += epoch.seconds
        self._epoch_count += 1
        self._meter.update(trial)
        remaining = format_duration(self.remaining_s())
        self._console.update_progress(
            f"{self._elapsed()}  {self._status_line(trial, epoch)}  {self._describe_best()}"
            f"{self._describe_budget()}  {remaining} left"
        )

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """Print that the process of a trial was lost."""
        resumed = f"continues after epoch {len(trial.epochs)}" if trial.epochs else "starts again"
        self._console.print_line(
            f"{self._elapsed()}  {self._label(trial)} lost its process, {resumed} ({reason[:_MAX_REASON_LENGTH]})"
        )

    def on_trial_notice(self, trial: Trial, text: str) -> None:
        """Print a message about a trial that continues."""
        self._console.print_line(f"{self._elapsed()}  {self._label(trial)} {text}")

    def on_trial_end(self, trial: Trial) -> None:
        """Print the outcome of a trial."""
        self.trials[trial.number] = trial
        best = trial.best_epoch(self._space.objectives)
        values = "no result" if best is None else self._format_objectives(best)
        reason = describe_end(trial)
        self._console.print_line(
            f"{self._elapsed()}  {self._label(trial)} {trial.outcome:<9} {values}{reason}  {self._describe_best()}"
        )

    def remaining_s(self) -> float:
        """Estimate the remaining time from the mean time per epoch and the expected number of epochs per trial."""
        if not self._epoch_count:
            return 0.0
        expected = expected_search_epochs(self._space)
        running = [t for t in self.trials.values() if t.outcome == "running"]
        waiting = max(0, self._space.max_trials - len(self.trials))
        least = waiting + sum(self._to_next_decision(trial) for trial in running)
        epochs = max(expected - sum(len(trial.epochs) for trial in self.trials.values()), least)
        permitted = self._meter.remaining_epochs()
        epochs = epochs if permitted is None else min(epochs, permitted)
        return epochs * self._epoch_seconds / self._epoch_count / self._concurrency

    def _to_next_decision(self, trial: Trial) -> int:
        """Return the number of epochs until a trial may end or wait: at its next rung, or at full length if it never waits."""
        full = self._space.budget.epochs
        steps = [full] if never_waits(trial, self._space) else [*rung_epochs(self._space.stopping, full), full]
        return min((step for step in steps if step > len(trial.epochs)), default=full) - len(trial.epochs)

    def elapsed_s(self) -> float:
        """Return the time since the start, in seconds."""
        return self._now() - self._start

    def _describe_budget(self) -> str:
        spent = format_limits(self._meter.total(), self._meter.limits)
        return f"  spent {spent}" if spent else ""

    def _elapsed(self) -> str:
        return f"{format_duration(self._now() - self._start):>7}"

    def _label(self, trial: Trial) -> str:
        return f"trial {trial.number:<3}"

    def _status_line(self, trial: Trial, epoch: Epoch) -> str:
        return f"trial {trial.number} epoch {epoch.epoch}/{self._space.budget.epochs} {self._format_objectives(epoch)}"

    def _format_objectives(self, epoch: Epoch) -> str:
        return " ".join(f"{name} {epoch.metrics.get(name, float('nan')):.3f}" for name, _ in self._space.objectives)

    def _describe_best(self) -> str:
        ranked = rank_trials(list(self.trials.values()), self._space.objectives)
        if not ranked:
            return ""
        top = ranked[0].best_epoch(self._space.objectives)
        baseline = next((t.best_epoch(self._space.objectives) for t in ranked if t.is_baseline), None)
        name = self._space.objectives[0][0]
        mark = f", {INFEASIBLE}" if ranked[0].violated else ""
        versus = mark if baseline is None else f"{mark}, baseline {baseline.metrics.get(name, float('nan')):.3f}"
        return (
            ""
            if top is None
            else f"[best {top.metrics.get(name, float('nan')):.3f} (trial {ranked[0].number}){versus}]"
        )


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a table with aligned columns; the first row is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def format_best_trials(
    trials: Sequence[Trial],
    space: Space,
    headlines: Sequence[str],
    max_trials: int = 5,
    dimensions: Sequence[str] | None = None,
) -> str:
    """Format the validation results of the best trials and of the baseline as a table.

    Args:
        trials: All trials of the search.
        space: Search space, with objectives and dimensions.
        headlines: Metrics to show in addition to the objectives.
        max_trials: Maximum number of trials, not counting a baseline and starting points with a lower rank.
        dimensions: Names of the dimensions to show; None for all.
    """
    ranked = rank_trials(trials, space.objectives)
    shown = ranked[:max_trials] + [trial for trial in ranked[max_trials:] if is_reference(trial)][:_LISTED_REFERENCES]
    shown += [trial for trial in trials if trial.is_baseline and trial.outcome == "failed"]
    names = [name for name, _ in space.objectives]
    beside = dict.fromkeys([*constrained_metrics(space), *headlines])
    metrics = names + [name for name in beside if name not in names and any(_has_value(t, name, space) for t in shown)]
    searched = [dimension.name for dimension in space.search]
    shown_names = [name for name in searched if dimensions is None or name in dimensions]
    rows = [["trial", *metrics, "epochs", "outcome", *[name.split(".", 1)[-1] for name in shown_names]]]
    for trial in shown:
        best = None if trial.outcome == "failed" else trial.best_epoch(space.objectives)
        known = {} if best is None else best.metrics
        values = ["–" if best is None else format_metric(space, name, known.get(name, math.nan)) for name in metrics]
        notes = [trial.role] * (trial.role != "trial") + ["outside"] * trial.is_outside
        label = f"{trial.number} ({', '.join(notes)})" if notes else str(trial.number)
        parameters = [format_value(trial.parameters.get(name, "–")) for name in shown_names]
        rows.append([label, *values, str(len(trial.epochs)), mark_outcome(trial), *parameters])
    return format_table(rows)


def _has_value(trial: Trial, name: str, space: Space) -> bool:
    best = trial.best_epoch(space.objectives)
    return best is not None and name in best.metrics


def format_test_scores(columns: Mapping[str, Mapping[str, Mapping[str, float]]], metrics: Sequence[str]) -> str:
    """Format metrics on the test splits as a table.

    Args:
        columns: Metrics per test split, by the head of their column; the first column determines the rows.
        metrics: Names of the metrics to show.
    """
    rows = [["test split", "metric", *columns]]
    for split, values in next(iter(columns.values())).items():
        for name in [name for name in values if name in metrics]:
            cells = [scores.get(split, {}).get(name, math.nan) for scores in columns.values()]
            rows.append([split, name, *("–" if math.isnan(cell) else f"{cell:.3f}" for cell in cells)])
    return format_table(rows)
