"""Values of a table of results: mean and spread over seeds, and paired differences of rows; pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.stats

from search.study.trials import Trial
from spaces.schema import Space

VALIDATION: Final = "validation"
"""Name of the validation split in columns."""
CONFIDENCE: Final = 0.95
"""Confidence of the interval of one difference; intervals of several differences are not simultaneous."""


@dataclass(frozen=True)
class Cell:
    """Metric of a row on a test split.

    Attributes:
        values: Value per seed.
        paper: Published value; None if there is none.
    """

    values: Mapping[int, float]
    paper: float | None = None

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN without any."""
        return float(np.mean([*self.values.values()])) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds, with n - 1; NaN for fewer than two."""
        return float(np.std([*self.values.values()], ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class RowDifference:
    """Difference of two rows in one column, with the interval of a paired t-test over the seeds.

    Attributes:
        one: Name of the row.
        other: Name of the row that is subtracted.
        column: Test split and metric.
        seeds: Number of seeds that both rows have.
        estimate: Mean difference.
        low: Lower bound; -inf for one seed.
        high: Upper bound; inf for one seed.
        paper: Difference of the published values; None if one is missing.
    """

    one: str
    other: str
    column: str
    seeds: int
    estimate: float
    low: float
    high: float
    paper: float | None


@dataclass(frozen=True)
class ResultTable:
    """Table of results.

    Attributes:
        name: Name of the search.
        source: Origin of the published values.
        protocol: What differs from the protocol of the publication.
        columns: Test splits and metrics, as `split.metric`.
        cells: Cells by row and column.
        seeds: Seeds of the trainings of each row that have a result.
        planned: Number of trainings of each row.
        differences: Differences of rows, pair by pair.
    """

    name: str
    source: str
    protocol: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[str, Mapping[str, Cell]]
    seeds: Mapping[str, tuple[int, ...]]
    planned: int
    differences: tuple[RowDifference, ...]


def row_of(trial: Trial, space: Space) -> str | None:
    """Return the name of the row that a trial of a table trains first; None for any other trial."""
    if space.table is None:
        return None
    names = [*space.table.rows]
    number = 0 if trial.is_baseline else int(trial.role.removeprefix("start ")) + 1 if "start " in trial.role else -1
    return names[number] if 0 <= number < len(names) else None


def collect_table(space: Space, trials: Sequence[Trial], confirmations: Sequence[Trial]) -> ResultTable:
    """Return the table of the trainings so far.

    Args:
        space: Space with rows.
        trials: Trials of the search: the first training of each row.
        confirmations: Trainings of the rows on further seeds.
    """
    assert space.table is not None
    rows = {trial.number: name for trial in trials if (name := row_of(trial, space)) is not None}
    scores: dict[str, dict[int, dict[str, float]]] = {name: {} for name in space.table.rows}
    for trial in (*trials, *confirmations):
        name = rows.get(trial.number if trial.confirms is None else trial.confirms)
        if name is not None and trial.outcome == "finished":
            scores[name][space.seed if trial.seed is None else trial.seed] = _flatten_scores(trial, space)
    columns = _choose_columns(space)
    cells = {
        name: {
            column: Cell({seed: v[column] for seed, v in by_seed.items() if column in v}, paper.get(column))
            for column in columns
        }
        for (name, by_seed), paper in zip(scores.items(), (r.paper for r in space.table.rows.values()), strict=True)
    }
    text = space.table.table
    first, *others = space.table.rows
    pairs = text.differences or tuple((other, first) for other in others)
    planned = 1 + (0 if space.confirm is None else space.confirm.seeds)
    return ResultTable(
        space.name,
        text.source,
        text.protocol,
        columns,
        cells,
        {name: tuple(by_seed) for name, by_seed in scores.items()},
        planned,
        tuple(d for pair in pairs for c in columns if (d := compare_rows(cells, pair, c)) is not None),
    )


def _flatten_scores(trial: Trial, space: Space) -> dict[str, float]:
    """Return the metrics of the best epoch on validation, and of its model on the test splits, as `split.metric`."""
    best = trial.best_epoch(space.objectives)
    splits = {VALIDATION: {} if best is None else best.metrics, **trial.test_scores}
    return {f"{split}.{name}": value for split, metrics in splits.items() for name, value in metrics.items()}


def _choose_columns(space: Space) -> tuple[str, ...]:
    """Return the columns of the file, or those of the published values, or the objectives on all test splits."""
    assert space.table is not None
    published = tuple(dict.fromkeys(name for row in space.table.rows.values() for name in row.paper))
    splits = tuple(space.dataset.test_names()) or (VALIDATION,)
    objectives = tuple(f"{split}.{name}" for split in splits for name, _ in space.objectives)
    return space.table.table.columns or published or objectives


def compare_rows(
    cells: Mapping[str, Mapping[str, Cell]], pair: tuple[str, str], column: str, confidence: float = CONFIDENCE
) -> RowDifference | None:
    """Return the difference of two rows on the seeds that both have; None if there is none.

    Args:
        cells: Cells by row and column.
        pair: Name of the row, and of the one that is subtracted.
        column: Column to compare.
        confidence: Confidence of the interval, that of Student's t for the mean of the differences per seed.
    """
    one, other = (cells[name][column] for name in pair)
    differences = np.array([one.values[seed] - other.values[seed] for seed in one.values if seed in other.values])
    if not len(differences):
        return None
    estimate, half = float(differences.mean()), math.inf
    if len(differences) > 1:
        quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, len(differences) - 1))
        half = quantile * float(differences.std(ddof=1)) / math.sqrt(len(differences))
    paper = None if one.paper is None or other.paper is None else one.paper - other.paper
    return RowDifference(*pair, column, len(differences), estimate, estimate - half, estimate + half, paper)
