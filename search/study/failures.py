"""Failed trials, grouped by their cause, and the cause that all of them have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from search.study.trials import Trial

MIN_ALIKE: Final = 3
"""Number of trials that have to fail alike before a search without any result stops."""


def failure_cause(trial: Trial) -> str:
    """Return the reason of a failure without the place of the log."""
    return trial.reason.partition(" (see ")[0] or "for an unknown reason"


def group_failures(trials: Sequence[Trial]) -> list[tuple[str, list[Trial]]]:
    """Return the failed trials by cause, the most frequent first; causes that differ in numbers only are the same."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.outcome == "failed":
            groups.setdefault(_without_numbers(failure_cause(trial)), []).append(trial)
    ordered = sorted(groups.values(), key=lambda group: -len(group))
    return [(failure_cause(group[0]), group) for group in ordered]


def _without_numbers(cause: str) -> str:
    """Replace the numbers of a cause, except for line numbers."""
    return re.sub(r"(?<![:\w])[-+]?\d[\d.]*(?:e[-+]?\d+)?", "#", cause)


def find_common_failure(trials: Sequence[Trial], budget: int) -> tuple[str, list[Trial]] | None:
    """Return the cause and the trials if all that have ended failed alike, so that further trials would fail, too.

    Args:
        trials: Trials of the search.
        budget: Number of trials of the whole search.

    Returns:
        None if fewer than `MIN_ALIKE` trials have ended and more are to come, if any trial has ended otherwise, or if a
        running one has come further than those that failed.
    """
    ended = [trial for trial in trials if trial.outcome != "running"]
    groups = group_failures(ended)
    if len(ended) < min(MIN_ALIKE, budget) or len(groups) != 1 or len(groups[0][1]) != len(ended):
        return None
    furthest = max(len(trial.epochs) for trial in ended)
    return None if any(len(trial.epochs) > furthest for trial in trials) else groups[0]
