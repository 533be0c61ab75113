"""Plan of a table: its rows, and the number of trainings."""

from __future__ import annotations

from search.reporting.progress import format_value
from spaces.schema import Space


def row_lines(space: Space) -> list[str]:
    """Return a line per row, with the values in which it differs from the others."""
    assert space.table is not None
    points = [space.baseline, *space.start]
    common = {n for n in points[0] if all(n in p and p[n] == points[0][n] for p in points)}
    return [
        f"row {name}: " + ", ".join(f"{n} {format_value(v)}" for n, v in point.items() if n not in common)
        for name, point in zip(space.table.rows, points, strict=True)
    ]


def describe_trainings(space: Space) -> str:
    """Return the number of trainings of a table and their length."""
    assert space.table is not None
    rows, seeds = len(space.table.rows), 1 + (0 if space.confirm is None else space.confirm.seeds)
    return f"{rows} rows × {seeds} seeds: {rows * seeds} trainings of {space.budget.epochs} epochs"
