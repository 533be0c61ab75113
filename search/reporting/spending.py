"""Text about what a search has spent, and of which budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.console import format_duration
from search.study.spending import Spending
from search.study.trials import Outcome

_UNITS: Final[Mapping[str, str]] = {
    "epochs_total": "epochs",
    "presentations": "presentations",
    "gpu_hours": "GPU-hours",
    "money": "in money",
}
"""Units of the limits."""
_OUTCOMES: Final[Mapping[Outcome, str]] = {
    "finished": "finished",
    "stopped": "stopped",
    "paused": "paused",
    "running": "interrupted",
    "failed": "failed",
}
"""Outcomes in the order of the report; once a search has ended, running trials are interrupted."""


def format_amount(value: float) -> str:
    """Format an amount: integers in full, others with at least three significant digits."""
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def format_unit(limit: str, amount: float) -> str:
    """Return the unit of a limit, in the singular for 1."""
    unit = _UNITS[limit]
    return unit.removesuffix("s") if amount == 1 else unit


def format_limits(spending: Spending, limits: Mapping[str, float]) -> str:
    """Return what is spent of each limit, such as `18/20 epochs, 0.5/2 GPU-hours`; empty without limits."""
    return ", ".join(
        f"{format_amount(spending.amount_of(limit))}/{format_amount(most)} {format_unit(limit, most)}"
        for limit, most in limits.items()
    )


def format_spending(
    spending: Spending, limits: Mapping[str, float] | None = None, elapsed_s: float | None = None
) -> list[str]:
    """Return lines on what a search has spent in all units.

    Args:
        spending: What the trials have spent.
        limits: Budgets by their keys, as `search.study.spending.budget_limits` returns them.
        elapsed_s: Duration of this launch, in seconds; None if nothing ran.
    """
    limits = limits or {}
    trials = sum(spending.outcomes.values())
    outcomes = [f"{n} {word}" for outcome, word in _OUTCOMES.items() if (n := spending.outcomes.get(outcome, 0))]
    amounts = {
        "epochs_total": float(spending.epochs),
        "presentations": None if spending.presentations is None else float(spending.presentations),
        "gpu_hours": spending.amount_of("gpu_hours") if spending.gpu_seconds or "gpu_hours" in limits else None,
        "money": spending.money,
    }
    parts = [_format_part(unit, value, limits.get(unit)) for unit, value in amounts.items() if value is not None]
    parts.insert(1, f"{format_duration(spending.seconds)} of training and validation")
    lines = [
        f"Spent    {trials} trial{'s' * (trials != 1)}" + (f": {', '.join(outcomes)}" if outcomes else ""),
        f"         {', '.join(parts)}",
    ]
    return lines + ([] if elapsed_s is None else [f"         this launch took {format_duration(elapsed_s)}"])


def larger_budget_options(exhausted: Mapping[str, float]) -> tuple[str, ...]:
    """Return the options of a command line that double the budgets that are used up."""
    doubled = {limit: 2 * most for limit, most in exhausted.items()}
    values = {limit: int(most) if float(most).is_integer() else most for limit, most in doubled.items()}
    return tuple(word for limit, value in values.items() for word in ("--set", f"budget.{limit}={value}"))


def _format_part(limit: str, amount: float, most: float | None) -> str:
    of = "" if most is None else f" of {format_amount(most)}"
    return f"{format_amount(amount)}{of} {format_unit(limit, amount if most is None else most)}"
