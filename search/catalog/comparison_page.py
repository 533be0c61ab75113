"""Several searches side by side as one HTML page."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from runtime.html_page import (
    COLOURS,
    DataTable,
    Markup,
    PageExtras,
    Section,
    join_markup,
    make_data_table,
    make_document,
    make_paragraph,
)
from search.catalog.comparison import Entry, tabulate_comparison
from search.catalog.page import gather_page
from search.reporting.page import error_charts
from search.reporting.page.chart import (
    DASHES,
    THEME_BUTTON,
    Chart,
    arrange_charts,
    new_figure,
    page_scripts,
    page_style,
    render_charts,
)
from search.reporting.page.content import PageContent, format_score
from search.study.trials import Trial


def make_comparison_page(entries: Sequence[Entry], comparison: Mapping[str, Any]) -> str:
    """Return the page about several searches or trials as a complete HTML document without external resources.

    Args:
        entries: Searches or trials.
        comparison: What `search.catalog.comparison.describe_comparison` returns for them.
    """
    contents = [gather_page(entry.record) for entry in entries]
    tables = tabulate_comparison(comparison)
    sections = [Section("scores", "Scores", join_markup(_list_scores(entries, contents, tables)))]
    charts = [*_list_progress(entries, contents), *_list_factors(entries, contents, comparison)]
    if charts:
        sections.append(Section("charts", "Side by side", arrange_charts(render_charts(charts, "chart"))))
    differences = [
        join_markup([Markup(f"<h3>{html.escape(title)}</h3>"), make_data_table(table)])
        for title, table in tables.items()
        if title.startswith(("Differences", "Costs"))
    ]
    sections.append(Section("differences", "Differences and costs", join_markup(differences)))
    title = " and ".join(entry.label for entry in entries)
    extras = PageExtras(style=page_style(), top=THEME_BUTTON, scripts=page_scripts())
    lead = "Values on a split are comparable where it is the same data in all searches; others are marked."
    return make_document(title, lead, (), Markup(""), sections, extras)


def _list_scores(
    entries: Sequence[Entry], contents: Sequence[PageContent], tables: Mapping[str, DataTable]
) -> Iterable[Markup]:
    for entry, content in zip(entries, contents, strict=True):
        if content.result is not None and content.result.get("conclusion") and not entry.is_single:
            yield make_paragraph(f"{entry.label}: {' '.join(content.result['conclusion'])}")
    for title, table in tables.items():
        if title.startswith(("Validation", "Test split")):
            yield Markup(f"<h3>{html.escape(title)}</h3>")
            yield make_data_table(table)


def _list_progress(entries: Sequence[Entry], contents: Sequence[PageContent]) -> list[Chart]:
    """Return the progress of all searches and the learning curves of their trials, if they have the same objective."""
    metrics = {content.objectives[0] for content in contents}
    if len(metrics) > 1:
        return []
    (metric, direction), better = contents[0].objectives[0], max
    if direction == "minimize":
        better = min
    progress, curves = new_figure("epochs of all trials", metric), new_figure("epoch", metric)
    rows: list[list[str]] = []
    for number, (entry, content) in enumerate(zip(entries, contents, strict=True)):
        style = {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number % len(DASHES)], "width": 2}
        usable = [trial for trial in content.trials if math.isfinite(content.objective(trial))]
        spent = list(accumulate(len(trial.epochs) for trial in usable))
        best = list(accumulate((content.objective(trial) for trial in usable), better))
        progress.add_scatter(x=spent, y=best, mode="lines", name=entry.label, line={**style, "shape": "hv"})
        rows += [[entry.label, str(epochs), format_score(value)] for epochs, value in zip(spent, best, strict=True)]
        if entry.trial is not None:
            epochs = _read_curve(entry.trial, metric)
            curves.add_scatter(x=list(epochs), y=list(epochs.values()), mode="lines", name=entry.label, line=style)
    return [
        Chart(
            "Best so far",
            progress,
            f"{metric} on validation over the epochs of all trials, in the order in which they started.",
            DataTable(["search", "epochs", metric], rows),
        ),
        Chart("Learning curves", curves, f"{metric} on validation after each epoch of the compared trials."),
    ]


def _read_curve(trial: Trial, metric: str) -> dict[int, float | None]:
    return {epoch.epoch: epoch.metrics.get(metric) for epoch in trial.epochs}


def _list_factors(
    entries: Sequence[Entry], contents: Sequence[PageContent], comparison: Mapping[str, Any]
) -> list[Chart]:
    """Return recall over what makes sources difficult, on the splits that are the same data in all searches."""
    shared = [split for split, test in comparison["tests"].items() if test["is_shared"]]
    charts = []
    for split in shared:
        analyses = {
            entry.label: content.errors.analyses[split]
            for entry, content in zip(entries, contents, strict=True)
            if split in content.errors.analyses and entry.trial is content.winner
        }
        if len(analyses) > 1:
            charts += error_charts.list_compared_factors(split, analyses)
    return charts
