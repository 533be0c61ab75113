"""Results of the confirmations of a search, and the verdict on them; pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.study import pareto
from search.study.confirmations import is_reference
from search.study.trials import Trial
from search.study.verdict import (
    Candidate,
    Difference,
    Role,
    Verdict,
    compare_candidates,
    judge_candidates,
    resample_scenes,
)
from spaces.schema import Direction

VALIDATION: Final = "validate"
"""Split of the verdict where no test split has the objective."""
RESAMPLES: Final = 1000
Scenes = Mapping[int, Mapping[str, NDArray[np.float64]]]
"""Additive terms per scene, shape (scenes, terms), by number of the confirmation and split."""
Summarise = Callable[[NDArray[np.float64]], Sequence[Mapping[str, float]]]
"""Function from sums of terms, shape (resamples, terms), to metrics."""


@dataclass(frozen=True)
class ConfirmedTrial:
    """Trial with its finished confirmations.

    Attributes:
        trial: The trial.
        confirmations: Its confirmations, by seed.
    """

    trial: Trial
    confirmations: tuple[Trial, ...]

    @property
    def label(self) -> str:
        """Name of the configuration in tables: "trial 7", "baseline", "start 0"."""
        return self.trial.role if is_reference(self.trial) else f"trial {self.trial.number}"

    @property
    def seconds(self) -> float:
        """Mean duration of a training, in seconds."""
        return float(np.mean([sum(epoch.seconds for epoch in c.epochs) for c in self.confirmations]))


@dataclass(frozen=True)
class ConfirmedValue:
    """Objective of a confirmed trial on a split.

    Attributes:
        values: Value per seed.
        difference: Difference from the reference, positive if better; None for the reference itself, and without any.
    """

    values: tuple[float, ...]
    difference: Difference | None

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))


@dataclass(frozen=True)
class ConfirmationResult:
    """Results of all confirmations of a search.

    Attributes:
        objective: Metric and direction of the verdict: the first objective of the search.
        split: Split of the verdict: the first test split, or validation.
        verdict: Verdict on that objective and split.
        confirmed: Confirmed trials, best first.
        table: Values by split and number of the trial, the split of the verdict first.
        failed: Confirmations without a result.
    """

    objective: tuple[str, Direction]
    split: str
    verdict: Verdict
    confirmed: tuple[ConfirmedTrial, ...]
    table: Mapping[str, Mapping[int, ConfirmedValue]]
    failed: tuple[Trial, ...]

    def find(self, number: int) -> ConfirmedTrial:
        """Return a confirmed trial by its number."""
        return next(confirmed for confirmed in self.confirmed if confirmed.trial.number == number)


def collect_confirmed(trials: Sequence[Trial], confirmations: Sequence[Trial]) -> list[ConfirmedTrial]:
    """Return the trials that have finished confirmations."""
    collected = []
    for trial in trials:
        own = [c for c in confirmations if c.confirms == trial.number and c.outcome == "finished"]
        if own:
            collected.append(ConfirmedTrial(trial, tuple(sorted(own, key=lambda c: c.seed or 0))))
    return collected


def judge_confirmations(
    confirmed: Sequence[ConfirmedTrial],
    failed: Sequence[Trial],
    objectives: pareto.Objectives,
    scenes: Scenes,
    summarise: Summarise,
) -> ConfirmationResult | None:
    """Return the results of confirmations and the verdict; None if no objective has a value for each of them.

    Args:
        confirmed: Trials with their finished confirmations.
        failed: Confirmations without a result.
        objectives: Objectives of the search; the verdict is on the first one.
        scenes: Results per scene, as far as the trainable has any.
        summarise: Metrics of sums over scenes.
    """
    objective = objectives[0]
    splits = _splits_with(objective[0], confirmed)
    if not splits:
        return None
    by_split = {split: _make_candidates(confirmed, objective, split, scenes, summarise) for split in splits}
    verdict = judge_candidates(by_split[splits[0]])
    means = {candidate.number: candidate.mean for candidate in by_split[splits[0]]}
    return ConfirmationResult(
        objective,
        splits[0],
        verdict,
        tuple(sorted(confirmed, key=lambda c: means[c.trial.number], reverse=True)),
        {split: _tabulate(by_split[split], objective, verdict.reference) for split in splits},
        tuple(failed),
    )


def _tabulate(
    candidates: Sequence[Candidate], objective: tuple[str, Direction], reference: int | None
) -> dict[int, ConfirmedValue]:
    sign = _sign_of(objective)
    base = next((candidate for candidate in candidates if candidate.number == reference), None)
    return {
        candidate.number: ConfirmedValue(
            tuple(sign * value for value in candidate.values),
            None if base is None or candidate is base else compare_candidates(candidate, base, candidates),
        )
        for candidate in candidates
    }


def _splits_with(metric: str, confirmed: Sequence[ConfirmedTrial]) -> list[str]:
    """Return the test splits on which all confirmations have a metric; validation if there are none."""
    every = [confirmation for c in confirmed for confirmation in c.confirmations]
    if not every:
        return []
    splits = [s for s in every[0].test_scores if all(metric in c.test_scores.get(s, {}) for c in every)]
    return splits or [VALIDATION]


def _make_candidates(
    confirmed: Sequence[ConfirmedTrial],
    objective: tuple[str, Direction],
    split: str,
    scenes: Scenes,
    summarise: Summarise,
) -> list[Candidate]:
    sign = _sign_of(objective)
    numbers = [confirmation.number for c in confirmed for confirmation in c.confirmations]
    replicates = _resample([scenes.get(number, {}).get(split) for number in numbers], objective[0], summarise)
    by_number = dict(zip(numbers, sign * replicates, strict=True)) if replicates is not None else {}
    return [
        Candidate(
            c.trial.number,
            _role_of(c.trial),
            tuple(sign * _value_of(confirmation, objective, split) for confirmation in c.confirmations),
            np.stack([by_number[confirmation.number] for confirmation in c.confirmations]) if by_number else None,
            c.seconds,
            not c.trial.violated,
        )
        for c in confirmed
    ]


def _resample(
    terms: Sequence[NDArray[np.float64] | None], metric: str, summarise: Summarise
) -> NDArray[np.float64] | None:
    """Return a metric of each confirmation in the same resamples of the scenes, shape (confirmations, resamples).

    Resamples in which it is undefined for any of them are left out. The result is None unless all confirmations have terms
    for the same scenes.
    """
    present = [rows for rows in terms if rows is not None]
    if len(present) < len(terms) or len({len(rows) for rows in present}) != 1 or len(present[0]) < 2:
        return None
    weights = resample_scenes(len(present[0]), RESAMPLES, 0)
    summaries = [summarise(weights @ rows) for rows in present]
    values = np.array([[summary.get(metric, np.nan) for summary in each] for each in summaries])
    defined = np.isfinite(values).all(axis=0)
    return values[:, defined] if defined.sum() >= RESAMPLES // 2 else None


def _value_of(confirmation: Trial, objective: tuple[str, Direction], split: str) -> float:
    if split != VALIDATION:
        return float(confirmation.test_scores[split][objective[0]])
    best = confirmation.best_epoch([objective])
    return float("nan") if best is None else float(best.metrics[objective[0]])


def _role_of(trial: Trial) -> Role:
    if trial.is_baseline:
        return "baseline"
    return "start" if is_reference(trial) else "trial"


def _sign_of(objective: tuple[str, Direction]) -> float:
    return 1.0 if objective[1] == "maximize" else -1.0
