"""Constraints of a search in tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from search.study.confirmations import is_reference
from search.study.trials import Trial
from spaces.constraints import format_quantity
from spaces.schema import Space

INFEASIBLE: Final = "infeasible"
"""Word for a trial that violates constraints."""


def constrained_metrics(space: Space) -> list[str]:
    """Return the names of the metrics that have constraints, which tables show beside the objectives."""
    return list(dict.fromkeys(constraint.metric for constraint in space.constraints))


def format_metric(space: Space, name: str, value: float) -> str:
    """Return a metric for a table, measured quantities in their own form."""
    is_measured = any(constraint.metric == name and constraint.is_measured for constraint in space.constraints)
    return format_quantity(name, value) if is_measured else f"{value:.3f}"


def mark_outcome(trial: Trial) -> str:
    """Return the outcome of a trial, marked if it violates constraints."""
    return f"{trial.outcome}, {INFEASIBLE}" if trial.violated else trial.outcome


def describe_end(trial: Trial) -> str:
    """Return reason and violated constraints of a trial that has ended, in brackets; empty if there are none."""
    violations = trial.describe_violations()
    texts = [trial.reason, f"{INFEASIBLE}: {violations}" if violations and violations != trial.reason else ""]
    listed = "; ".join(text for text in texts if text)
    return f" ({listed})" if listed else ""


def feasibility_lines(trials: Sequence[Trial], winner: Trial, space: Space) -> list[str]:
    """Return sentences on the constraints at the end of a search; empty without constraints.

    Args:
        trials: Trials of the search.
        winner: Its winner.
        space: Its space.
    """
    if not space.constraints:
        return []
    listed = ", ".join(map(str, space.constraints))
    judged = [trial for trial in trials if trial.is_judged]
    violating = [trial for trial in judged if trial.violated]
    unbuilt = sum(not trial.epochs for trial in violating)
    early = f", {unbuilt} of them before their first epoch" if unbuilt else ""
    lines = [f"{listed}: {len(violating)} of {len(judged)} trials violate them{early}."]
    if winner.violated:
        lines.append(f"No trial satisfies them. The winner violates them least: {winner.describe_violations()}.")
    lines += [
        f"{trial.role.capitalize()} is {INFEASIBLE}, and cannot win: {trial.describe_violations()}."
        for trial in violating
        if is_reference(trial) and trial is not winner
    ]
    return lines
