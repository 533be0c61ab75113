"""The page about a search in Markdown: its tables and conclusions, without figures."""

from __future__ import annotations

from typing import Final

from runtime.html_page import DataTable
from search.reporting.page.content import PageContent
from search.reporting.page.document import (
    list_conclusions,
    list_provenance,
    list_spending,
    tabulate_configurations,
    tabulate_scores,
    tabulate_trials,
)
from search.reporting.page.error_charts import count_simultaneous
from search.reporting.page.robustness import summarise_conditions, tabulate_conditions
from search.reporting.table import format_markdown_table

_LISTED_TRIALS: Final = 20


def make_markdown(content: PageContent) -> str:
    """Return the page in Markdown."""
    parts = [f"# {content.name}", " ".join(list_conclusions(content))]
    if content.winner is not None:
        parts += ["## Scores", format_table(tabulate_scores(content))]
        parts += ["## Configurations", format_table(tabulate_configurations(content))]
    for split, analysis in content.errors.analyses.items():
        gates = [f"F1 at {gate:g} {analysis.axes.unit}" for gate in (analysis.axes.gates[0], analysis.axes.gates[-1])]
        table = format_table(DataTable(["sources at the same time", *gates], count_simultaneous(analysis)))
        parts += [f"## Errors of the winner on {split}", table]
    if content.robustness:
        table = format_table(tabulate_conditions(content.robustness))
        parts += ["## Robustness", " ".join(summarise_conditions(content.robustness)), table]
    if content.importances:
        shares = [
            [name, f"{one.share:.0%}", f"{one.low:.0%} – {one.high:.0%}"] for name, one in content.importances.items()
        ]
        parts += ["## Importance", format_table(DataTable(["dimension", "share", "90 % interval"], shares))]
    trials = tabulate_trials(content)
    parts += ["## Best trials", format_table(DataTable(trials.header, trials.rows[:_LISTED_TRIALS]))]
    parts += ["## Costs", format_table(DataTable(["", "spent"], [list(row) for row in list_spending(content)]))]
    if content.commands:
        parts += ["## Commands", "```text\n" + "\n".join(line.strip() for line in content.commands) + "\n```"]
    if provenance := list_provenance(content):
        parts += ["## Provenance", format_table(DataTable(["", "value"], [list(row) for row in provenance]))]
    return "\n\n".join(parts) + "\n"


def make_summary(content: PageContent) -> str:
    """Return the answer, the scores and the commands in Markdown, for the description of a run."""
    commands = "\n".join(line.strip() for line in content.commands)
    return "\n\n".join(
        [
            " ".join(list_conclusions(content)),
            format_table(tabulate_scores(content)),
            "The report is the artefact `report.html`.",
            f"```text\n{commands}\n```",
        ]
    )


def format_table(table: DataTable) -> str:
    """Return a table in Markdown."""
    return format_markdown_table([table.header, *table.rows])
