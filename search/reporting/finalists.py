"""Trials that the end of a search compares: the winner, the runner-up, the baseline and the named starting points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from search.reporting.constraints import INFEASIBLE
from search.study.confirmations import is_reference
from search.study.trials import Trial, choose_winner, rank_trials
from spaces.schema import Direction, Space

VALIDATION: Final = "validation"
_ONE_SEED: Final = (
    "This rests on one seed each, and may be chance: --resume --set 'confirm={top: 1, seeds: 2}' tests it."
)


@dataclass(frozen=True)
class Finalists:
    """Trials that are scored on the test splits.

    Attributes:
        winner: Best trial: by the verdict on the confirmed ones, or else on validation.
        runner_up: Best trial but the winner, on validation; None if there is no other.
        references: Baseline and starting points with a result, the best on validation first.
    """

    winner: Trial
    runner_up: Trial | None
    references: tuple[Trial, ...]

    @property
    def reference(self) -> Trial | None:
        """Best of baseline and starting points on validation; None if none has a result."""
        return self.references[0] if self.references else None

    def list_trials(self) -> list[Trial]:
        """Return each of the trials once: winner, runner-up, then the baseline and the starting points in their order."""
        listed = [self.winner, self.runner_up, *sorted(self.references, key=lambda trial: trial.number)]
        return list({trial.number: trial for trial in listed if trial is not None}.values())

    def head(self, trial: Trial) -> str:
        """Return the column head of one of the trials in a table: its label and its place."""
        places = {self.winner.number: "winner"}
        if self.runner_up is not None:
            places[self.runner_up.number] = "runner-up"
        place = places.get(trial.number)
        marks = [mark for mark in (place, INFEASIBLE if trial.violated else None) if mark is not None]
        return f"{label_trial(trial)} ({', '.join(marks)})" if marks else label_trial(trial)


def choose_finalists(trials: Sequence[Trial], space: Space, winner: int | None = None) -> Finalists | None:
    """Return the trials to compare; None if no trial has a result.

    Args:
        trials: Trials of the search.
        space: Its objectives.
        winner: Number of the trial that a verdict prefers; None for the best on validation.
    """
    ranked = rank_trials(trials, space.objectives)
    if not ranked:
        return None
    best = choose_winner(ranked, winner)
    others = [trial for trial in ranked if trial is not best]
    return Finalists(best, others[0] if others else None, tuple(filter(is_reference, ranked)))


def label_trial(trial: Trial) -> str:
    """Return the name of a trial in text: "baseline", "start 0", "trial 7", "trial 3 (outside)" of an edited space."""
    if is_reference(trial):
        return trial.role
    return f"trial {trial.number} (outside)" if trial.is_outside else f"trial {trial.number}"


def split_values(trial: Trial, space: Space) -> dict[str, Mapping[str, float]]:
    """Return the metrics of a trial's best epoch on validation, and of its saved model on the test splits."""
    best = trial.best_epoch(space.objectives)
    return {VALIDATION: {} if best is None else best.metrics, **trial.test_scores}


def compare_with_reference(finalists: Finalists, space: Space) -> list[str]:
    """Return the comparison of the winner with the best of baseline and starting points, on one seed, as sentences.

    It is empty if there is nothing to compare with.
    """
    winner, reference = finalists.winner, finalists.reference
    if reference is None or not space.search:
        return []
    several = f", the best of baseline and starts on {VALIDATION}" if len(finalists.references) > 1 else ""
    if reference is winner:
        article = "the " if winner.is_baseline else ""
        return [f"No trial beat {article}{label_trial(winner)}{several}."]
    ours, theirs = split_values(winner, space), split_values(reference, space)
    lines = [f"{label_trial(winner).capitalize()} against {label_trial(reference)}{several}:"]
    for name, direction in space.objectives:
        parts = [
            f"{split} {_describe_difference(ours[split][name], theirs[split][name], direction)}"
            for split in ours
            if name in ours[split] and name in theirs.get(split, {})
        ]
        lines += [f"{name} on {'; '.join(parts)}."] if parts else []
    return [*lines, _ONE_SEED]


def _describe_difference(ours: float, theirs: float, direction: Direction) -> str:
    gain = ours - theirs if direction == "maximize" else theirs - ours
    change = "equal" if gain == 0 else f"{abs(gain):.3f} {'better' if gain > 0 else 'worse'}"
    return f"{ours:.3f} : {theirs:.3f} ({change})"
