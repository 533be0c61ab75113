"""Text tables and numbers, as the commands about searches print them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> list[str]:
    """Return the lines of a table with aligned columns.

    Args:
        header: Titles of the columns.
        rows: Cells of each row.
        markdown: Whether to write Markdown.
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows] if markdown else [list(row) for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [list(header), *cells]]
    if not markdown:
        return ["  ".join(row).rstrip() for row in padded]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]


def format_value(value: Any) -> str:
    """Return a number with four significant digits, and any other value as in a space file."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.4g}"
    return (
        str(value).lower() if isinstance(value, bool) else json.dumps(value) if isinstance(value, list) else str(value)
    )


def format_duration(seconds: float) -> str:
    """Return a duration in the largest sensible unit."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def format_time(time: datetime | None) -> str:
    """Return a time to the minute; a dash for None."""
    return "-" if time is None else time.strftime("%Y-%m-%d %H:%M")


def to_json(content: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=str)
