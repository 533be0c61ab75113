"""Table of results as text, Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Sequence
from typing import Final

from search.reporting.progress import format_table
from search.study.table import CONFIDENCE, Cell, ResultTable, RowDifference

_STYLE: Final = (
    "body{font:15px/1.4 sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}td:first-child,th:first-child{text-align:left}"
)


def format_terminal(table: ResultTable) -> list[str]:
    """Return the table, the differences in its first column, and the remarks, as lines."""
    lines = ["", *format_table(_list_rows(table)).splitlines()]
    first = [d for d in table.differences if d.column == table.columns[0]]
    if first:
        lines += ["", f"Differences in {table.columns[0]} ({_describe_interval()})"]
        lines += [f"  {format_difference(difference)}" for difference in first]
    return [*lines, "", *_remarks(table)]


def format_markdown(table: ResultTable) -> str:
    """Return the table, all differences and the remarks as a Markdown page."""
    parts = [f"# {table.name}", format_markdown_table(_list_rows(table))]
    if table.differences:
        parts += [f"Differences of rows ({_describe_interval()})", format_markdown_table(_list_differences(table))]
    return "\n\n".join([*parts, "\n".join(f"* {remark}" for remark in _remarks(table))]) + "\n"


def format_html(table: ResultTable) -> str:
    """Return the same as an HTML page without references to other files."""
    name = html.escape(table.name)
    parts = [f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>"]
    parts.append(_html_table(_list_rows(table)))
    if table.differences:
        parts += [f"<p>Differences of rows ({_describe_interval()})</p>", _html_table(_list_differences(table))]
    remarks = "".join(f"<li>{html.escape(remark)}</li>" for remark in _remarks(table))
    return "\n".join([*parts, f"<ul>{remarks}</ul>"]) + "\n"


def format_csv(table: ResultTable) -> str:
    """Return one line per row, column and seed, with the published value, for further evaluation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "split", "metric", "seed", "value", "paper"])
    for row, cells in table.cells.items():
        for column, cell in cells.items():
            split, _, metric = column.partition(".")
            paper = "" if cell.paper is None else cell.paper
            values: list[tuple[object, object]] = [*cell.values.items()] or [("", "")]
            writer.writerows([row, split, metric, seed, value, paper] for seed, value in values)
    return text.getvalue()


def format_difference(difference: RowDifference) -> str:
    """Return a difference with its interval: "HM − TG: +0.050 (+0.020 … +0.080)"."""
    return f"{difference.one} − {difference.other}: {_describe_difference(difference)}"


def table_metrics(table: ResultTable) -> dict[str, float]:
    """Return the means and deviations of all cells, as metrics of the search."""
    values: dict[str, float] = {}
    for row, cells in table.cells.items():
        for column, cell in cells.items():
            values |= {f"table.{row}.{column}": cell.mean, f"table.{row}.{column}.sd": cell.deviation}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _list_rows(table: ResultTable) -> list[list[str]]:
    """Return head and rows: per column the mean ± deviation, and the published value where any row has one."""
    if len(table.cells) == 1:
        return _list_splits(table)
    published = [any(cells[column].paper is not None for cells in table.cells.values()) for column in table.columns]
    head = ["row", "n"]
    for column, has_paper in zip(table.columns, published, strict=True):
        head += [column.replace(".", " ", 1), "paper"] if has_paper else [column.replace(".", " ", 1)]
    rows = [head]
    for name, cells in table.cells.items():
        row = [name, str(len(table.seeds[name]))]
        for column, has_paper in zip(table.columns, published, strict=True):
            row += [_format_cell(cells[column]), _format_number(cells[column].paper)][: 1 + has_paper]
        rows.append(row)
    return rows


def _list_splits(table: ResultTable) -> list[list[str]]:
    """Return the only row of a table as one line per split, with a column per metric."""
    ((name, cells),) = table.cells.items()
    named = [column.partition(".")[::2] for column in table.columns]
    metrics = list(dict.fromkeys(metric for _, metric in named))
    rows = [[name, "n", *(head for metric in metrics for head in (metric, "paper"))]]
    for split in dict.fromkeys(split for split, _ in named):
        row = [split, str(len(table.seeds[name]))]
        for metric in metrics:
            cell = cells.get(f"{split}.{metric}", Cell({}))
            row += [_format_cell(cell), _format_number(cell.paper)]
        rows.append(row)
    return rows


def _list_differences(table: ResultTable) -> list[list[str]]:
    rows = [["rows", "column", "difference", "n", "paper"]]
    for d in table.differences:
        paper = "" if d.paper is None else f"{d.paper:+.3g}"
        rows.append(
            [f"{d.one} − {d.other}", d.column.replace(".", " ", 1), _describe_difference(d), str(d.seeds), paper]
        )
    return rows


def _describe_interval() -> str:
    return f"{CONFIDENCE:.0%} interval of a paired t-test over seeds, not corrected for several comparisons"


def _describe_difference(d: RowDifference) -> str:
    if not math.isfinite(d.low):
        return f"{d.estimate:+.3f} (interval unknown)"
    return f"{d.estimate:+.3f} ({d.low:+.3f} … {d.high:+.3f})"


def _format_cell(cell: Cell) -> str:
    if not cell.values:
        return "–"
    return f"{cell.mean:.3f}" + (f" ± {cell.deviation:.3f}" if math.isfinite(cell.deviation) else "")


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _remarks(table: ResultTable) -> list[str]:
    """Return the explanation of the figures, the incomplete rows, and the differences of protocol."""
    incomplete = [f"{name} ({len(seeds)})" for name, seeds in table.seeds.items() if len(seeds) < table.planned]
    missing = [f"Rows with results of fewer than {table.planned} seeds: {', '.join(incomplete)}."] if incomplete else []
    paper = [f"Column paper: {table.source}."] if table.source else []
    return ["Mean ± standard deviation over n seeds.", *missing, *paper, *table.protocol]


def format_markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of which is the header, as a table in Markdown."""
    head, *body = [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    heads = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
    return f"<table><tr>{heads}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
