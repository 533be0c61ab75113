"""What a person sees while it runs: a line an event, a line that moves where the terminal can, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from runtime.cli import Console, format_duration
from search.study.stopping import expected_epochs, rung_epochs
from search.study.trials import Epoch, Trial, rank_trials
from spaces.schema import Space


def format_value(value: object) -> str:
    """A parameter's value, short."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_PRIOR_TRIALS: Final = 3
"""What halving should cost on average counts as much as so many ended trials when time is estimated."""


_LONGEST: Final = 120
"""Of an error's first line, characters."""


class SearchProgress:
    """Lines about trials, and the time that is left."""

    def __init__(self, line: Console, space: Space, at_once: int, now: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._space = space
        self._at_once = at_once
        self._now = now
        self._start = now()
        self._worked = 0.0
        self._epochs = 0
        self.trials: dict[int, Trial] = {}

    def on_trial_start(self, trial: Trial) -> None:
        """A trial begins or goes on."""
        self.trials[trial.number] = trial
        what = (
            "baseline"
            if trial.is_baseline
            else ", ".join(f"{n}={format_value(v)}" for n, v in trial.parameters.items())
        )
        again = f", goes on after epoch {len(trial.epochs)}" if trial.epochs else ""
        self._line.print_line(f"{self._elapsed()}  trial {trial.number:<3} starts    {what}{again}")

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """An epoch came in."""
        self.trials[trial.number] = trial
        self._worked += epoch.seconds
        self._epochs += 1
        self._line.update_progress(
            f"{self._elapsed()}  {self._status_line(trial, epoch)}  {self._describe_best()}  {format_duration(self.remaining_s())} left"
        )

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """A trial's process is gone."""
        after = f"goes on after epoch {len(trial.epochs)}" if trial.epochs else "begins again"
        self._line.print_line(
            f"{self._elapsed()}  trial {trial.number:<3} lost its process, {after} ({reason[:_LONGEST]})"
        )

    def on_trial_end(self, trial: Trial) -> None:
        """A trial ended."""
        self.trials[trial.number] = trial
        kept = trial.best_epoch(self._space.objectives)
        values = "no result" if kept is None else self._format_objectives(kept)
        reason = f" ({trial.reason})" if trial.reason else ""
        self._line.print_line(
            f"{self._elapsed()}  trial {trial.number:<3} {trial.outcome:<9} {values}{reason}  {self._describe_best()}"
        )

    def remaining_s(self) -> float:
        """Estimate from the pace so far, and the epochs that running and waiting trials will need on average."""
        if not self._epochs:
            return 0.0
        full = self._space.budget.epochs
        ended = [len(t.epochs) for t in self.trials.values() if t.outcome != "running" and not t.is_baseline]
        expected = expected_epochs(self._space.stopping, full)
        typical = (sum(ended) + _PRIOR_TRIALS * expected) / (len(ended) + _PRIOR_TRIALS)
        running = [t for t in self.trials.values() if t.outcome == "running"]
        waiting = max(0, self._space.budget.trials - len(self.trials))
        epochs = waiting * typical + sum(self._to_next_decision(trial) for trial in running)
        return epochs * self._worked / self._epochs / self._at_once

    def _to_next_decision(self, trial: Trial) -> int:
        """Epochs a running trial will take at least: to its next rung, the baseline to its end."""
        full = self._space.budget.epochs
        steps = [full] if trial.is_baseline else [*rung_epochs(self._space.stopping, full), full]
        return min((step for step in steps if step > len(trial.epochs)), default=full) - len(trial.epochs)

    def _elapsed(self) -> str:
        return f"{format_duration(self._now() - self._start):>7}"

    def _status_line(self, trial: Trial, epoch: Epoch) -> str:
        return f"trial {trial.number} epoch {epoch.epoch}/{self._space.budget.epochs} {self._format_objectives(epoch)}"

    def _format_objectives(self, epoch: Epoch) -> str:
        return " ".join(f"{name} {epoch.metrics.get(name, float('nan')):.3f}" for name, _ in self._space.objectives)

    def _describe_best(self) -> str:
        ranked = rank_trials(list(self.trials.values()), self._space.objectives)
        if not ranked:
            return ""
        top = ranked[0].best_epoch(self._space.objectives)
        base = next((t.best_epoch(self._space.objectives) for t in ranked if t.is_baseline), None)
        name = self._space.objectives[0][0]
        against = "" if base is None else f", baseline {base.metrics.get(name, float('nan')):.3f}"
        return (
            ""
            if top is None
            else f"[best {top.metrics.get(name, float('nan')):.3f} (trial {ranked[0].number}){against}]"
        )


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns in line; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def format_best_trials(trials: Sequence[Trial], space: Space, headlines: Sequence[str], most: int = 5) -> str:
    """The table of the best trials and the baseline, on validation.

    Args:
        trials: Of the search.
        space: Its objectives and dimensions.
        headlines: Metrics to show besides the objectives.
        most: How many trials, the baseline apart.
    """
    ranked = rank_trials(trials, space.objectives)
    shown = ranked[:most] + [trial for trial in ranked[most:] if trial.is_baseline]
    names = [name for name, _ in space.objectives]
    metrics = names + [
        name for name in headlines if name not in names and any(_has_value(t, name, space) for t in shown)
    ]
    dimensions = [dimension.name for dimension in space.search]
    rows = [["trial", *metrics, "epochs", "outcome", *[name.split(".", 1)[-1] for name in dimensions]]]
    for trial in shown:
        kept = trial.best_epoch(space.objectives)
        values = [] if kept is None else [f"{kept.metrics.get(name, float('nan')):.3f}" for name in metrics]
        label = f"{trial.number} (baseline)" if trial.is_baseline else str(trial.number)
        parameters = [format_value(trial.parameters.get(name, "–")) for name in dimensions]
        rows.append([label, *values, str(len(trial.epochs)), trial.outcome, *parameters])
    return format_table(rows)


def _has_value(trial: Trial, name: str, space: Space) -> bool:
    kept = trial.best_epoch(space.objectives)
    return kept is not None and name in kept.metrics


def format_test_scores(winner: Trial, baseline: Trial, headlines: Sequence[str]) -> str:
    """Test scores of the winner beside the baseline's, in the metrics that are named."""
    rows = [["test set", "metric", "winner", "baseline"]]
    for split, metrics in winner.tests.items():
        for name in metrics:
            if name in headlines:
                other = baseline.tests.get(split, {}).get(name, float("nan"))
                rows.append([split, name, f"{metrics[name]:.3f}", f"{other:.3f}"])
    return format_table(rows)
