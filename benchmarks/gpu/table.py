"""Results as text: one line per number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def format_results(results: Mapping[str, Any]) -> str:
    """Return the results as an aligned table, a line per step of a measurement."""
    rows = [(name, _format_value(value)) for name, value in _list_steps(results)]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _list_steps(results: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for measurement, steps in results.items():
        for step, value in steps.items():
            yield f"{measurement}: {step}", value


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return "  ".join(f"{key} {_format_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return f"{len(value)} values, the last one {_format_value(value[-1])}" if value else "none"
    return str(value)
