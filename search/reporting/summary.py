"""Summary of a search on one screen: verdict, configuration, scores, importances, edges and costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from search.reporting.constraints import feasibility_lines
from search.reporting.edges import Edge, find_edges
from search.reporting.finalists import Finalists, compare_with_reference, label_trial
from search.reporting.progress import format_best_trials, format_test_scores, format_value
from search.reporting.verdict import format_confirmed, format_verdict
from search.study.confirmed import ConfirmationResult
from search.study.importance import MIN_TRIALS, Importance, parameter_importances
from search.study.trials import Trial
from spaces.schema import Space
from trainables.registry import TrainableDescription

WIDTH: Final = 100
"""Columns of the screen."""
_INDENT: Final = 9
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_LISTED_TRIALS: Final = 3
"""Number of the best trials in the table."""
_IMPORTANCE: Final = "Importance by PED-ANOVA, with its range in 90 % of bootstrap resamples."
_NO_ESTIMATE: Final = "too few trials are inside of the search, or all of them are equal."
_LISTED_EDGES: Final = 4
_MOST_TEST_ROWS: Final = 6
"""Number of rows up to which the table of test scores has metrics other than the objectives."""
_LISTED_SHARE: Final = 0.02
"""Share below which an importance is not listed."""


@dataclass(frozen=True)
class Summary:
    """Result of a search.

    Attributes:
        space: The space.
        trials: Its trials, without confirmations.
        finalists: The trials that are compared.
        headlines: Metrics that tables show in addition to the objectives.
        importances: Importance of the hyperparameters; empty if there are too few trials.
        edges: Values of the winner at an edge of what is searched.
        confirmed: Results of the confirmations; None without any.
        yardsticks: Test scores of methods without training, by name of the method and split.
    """

    space: Space
    trials: Sequence[Trial]
    finalists: Finalists
    headlines: Sequence[str] = ()
    importances: Mapping[str, Importance] = field(default_factory=dict)
    edges: Sequence[Edge] = ()
    confirmed: ConfirmationResult | None = None
    yardsticks: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)


def summarise_search(
    space: Space,
    trials: Sequence[Trial],
    finalists: Finalists,
    described: TrainableDescription,
    confirmed: ConfirmationResult | None = None,
) -> Summary:
    """Return the summary of a search that has ended.

    Args:
        space: The space.
        trials: Its trials, without confirmations.
        finalists: Trials that are scored on the test splits.
        described: Its trainable.
        confirmed: Results of the confirmations; None without any.
    """
    winner = finalists.winner
    best = winner.best_epoch(space.objectives)
    setting = {} if best is None else best.setting
    return Summary(
        space,
        trials,
        finalists,
        [metric.name for metric in described.metrics if metric.headline],
        parameter_importances(trials, space.search, space.objectives),
        find_edges(space, winner.parameters, setting, described.config, described.inner),
        confirmed,
    )


def format_summary(summary: Summary) -> list[str]:
    """Return the summary as lines of at most `WIDTH` columns, as far as names permit.

    With confirmations, there is no space for the best trials on validation.
    """
    if not summary.space.search:
        return [*format_best(summary), *format_scores(summary)]
    return [
        "",
        *_format_verdict(summary),
        *_format_winner(summary),
        *_wrap_each("Bounds", feasibility_lines(summary.trials, summary.finalists.winner, summary.space)),
        *format_scores(summary),
        *([] if summary.confirmed is not None else format_best(summary)),
        "",
        *_format_importances(summary),
        *_format_edges(summary.edges),
    ]


def _format_verdict(summary: Summary) -> list[str]:
    """Return the verdict on confirmed trials, or else the comparison on one seed."""
    if summary.confirmed is not None:
        table = format_confirmed(summary.confirmed, [summary.confirmed.split]).splitlines()
        return [
            "Confirmed on fresh seeds",
            *[f"  {line}" for line in table],
            *_wrap_each("Result", list_conclusions(summary)),
        ]
    return _wrap_each("Result", list_conclusions(summary))


def list_conclusions(summary: Summary) -> list[str]:
    """Return the verdict on confirmed trials, or else the comparison on one seed, as sentences; empty without either."""
    if summary.confirmed is not None:
        return format_verdict(summary.confirmed)
    return compare_with_reference(summary.finalists, summary.space)


def _format_winner(summary: Summary) -> list[str]:
    """Return the values of the winner with their full names, and its inference parameters."""
    winner = summary.finalists.winner
    values = [f"{name} {format_value(value)}" for name, value in winner.parameters.items()]
    lines = _wrap("Winner", f"{label_trial(winner)}: ", values)
    best = winner.best_epoch(summary.space.objectives)
    if best is not None and best.setting:
        setting = [f"{name} {format_value(value)}" for name, value in best.setting.items()]
        lines += _wrap("", "inference: ", setting)
    return lines


def format_scores(summary: Summary, *, in_full: bool = False) -> list[str]:
    """Return the test scores of the finalists as a table with its title; empty if the winner has none.

    Args:
        summary: The summary.
        in_full: Whether to list all metrics; otherwise those of the objectives, and the headlines if there are few.
    """
    space, finalists = summary.space, summary.finalists
    scored = [trial for trial in finalists.list_trials() if trial.test_scores]
    if not finalists.winner.test_scores:
        return []
    objectives = [name for name, _ in space.objectives]
    metrics = list(dict.fromkeys([*objectives, *summary.headlines]))
    present = [(s, name) for s, values in finalists.winner.test_scores.items() for name in metrics if name in values]
    if in_full:
        metrics = sorted({name for values in finalists.winner.test_scores.values() for name in values})
    elif len(present) > _MOST_TEST_ROWS:
        metrics = objectives
    columns = {finalists.head(trial): trial.test_scores for trial in scored}
    if not space.search:
        columns = {"value": finalists.winner.test_scores}
    columns |= summary.yardsticks
    chosen = " (inference parameters chosen on validation)" if space.inner else ""
    title = "Scores" if space.search else "The training"
    return ["", f"{title} on the test splits{chosen}", *format_test_scores(columns, metrics).splitlines()]


def format_best(summary: Summary, max_trials: int = _LISTED_TRIALS) -> list[str]:
    """Return the table of the best trials, with as many dimensions as there is space for, the most important first."""
    space = summary.space
    headlines = () if space.search else summary.headlines
    names = [dimension.name for dimension in space.search]
    names.sort(key=lambda name: list(summary.importances).index(name) if name in summary.importances else len(names))
    while True:
        table = format_best_trials(summary.trials, space, headlines, max_trials, names).splitlines()
        if not names or max(map(len, table)) <= WIDTH:
            break
        names.pop()
    title = "Best trials on validation" if space.search else "The training on validation"
    return ["", title, *table]


def _format_importances(summary: Summary) -> list[str]:
    if len(summary.space.search) < 2:
        return []
    if not summary.importances:
        count = sum(bool(trial.epochs) for trial in summary.trials)
        reason = f"an estimate needs {MIN_TRIALS} trials, here are {count}." if count < MIN_TRIALS else _NO_ESTIMATE
        return _wrap_each("Matters", [f"unknown: {reason}"])
    listed = {name: one for name, one in summary.importances.items() if one.share >= _LISTED_SHARE}
    shares = [f"{name} {one.share:.0%} ({one.low:.0%} – {one.high:.0%})" for name, one in listed.items()]
    return [*_wrap("Matters", "", shares), *_wrap_each("", [_IMPORTANCE])]


def _format_edges(edges: Sequence[Edge]) -> list[str]:
    listed = [edge.describe() for edge in edges[:_LISTED_EDGES]]
    more = len(edges) - _LISTED_EDGES
    listed += [f"and {more} more, in result.json"] if more > 0 else []
    return _wrap_each("Edges", listed)


def _wrap(label: str, prefix: str, items: Sequence[str]) -> list[str]:
    """Return items with commas between them, wrapped between items only, under a label."""
    return _wrap_each(label, [prefix + ", ".join(item.replace(" ", _NO_BREAK) for item in items)])


def _wrap_each(label: str, texts: Sequence[str]) -> list[str]:
    """Return texts, each from a line of its own, with a label before the first one."""
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(text, WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    plain = [line.replace(_NO_BREAK, " ") for line in lines]
    return [f"{label if number == 0 else '':<{_INDENT}}{line}" for number, line in enumerate(plain)]
