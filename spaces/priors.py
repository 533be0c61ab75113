"""Parsing of priors: the value of a dimension at which good points are expected, and how close to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from runtime.errors import InputError, suggest_name
from spaces.schema import Dimension, Prior, PriorWidth, Value
from spaces.values import quote_value

_WIDTHS: Final[tuple[PriorWidth, ...]] = get_args(PriorWidth)


def read_prior(dimension: Dimension, written: Mapping[str, Any], place: str) -> Prior | None:
    """Return the prior of a dimension; None if it has none.

    Args:
        dimension: Dimension without a prior.
        written: Mapping of the dimension in the file.
        place: Location of the dimension in the file.

    Raises:
        InputError: If the value is outside of the dimension, the width is unknown, or a width has no prior.
    """
    if "prior" not in written:
        if "width" in written:
            rule = "a width belongs to a prior"
            raise InputError(f"{place}.width", rule, value=written["width"], remedy="add  prior: …,  or remove it")
        return None
    value, width = written["prior"], written.get("width", "medium")
    if isinstance(value, Mapping) or not dimension.contains_value(value):
        raise InputError(
            f"{place}.prior",
            f"a prior must be one of the values that are searched: {_describe(dimension)}",
            value=value,
            remedy=_suggest_value(dimension, value),
        )
    if width not in _WIDTHS:
        raise InputError(
            f"{place}.width",
            "the width of a prior must be narrow, medium or wide",
            value=width,
            remedy=suggest_name(str(width), _WIDTHS),
        )
    return Prior(dimension.normalize(value), width)


def _describe(dimension: Dimension) -> str:
    if dimension.kind == "choice":
        return ", ".join(map(quote_value, dimension.choices))
    step = "" if dimension.step is None else f", in steps of {dimension.step:g}"
    return f"{dimension.low:g} to {dimension.high:g}{step}"


def _suggest_value(dimension: Dimension, value: Value) -> str:
    """Return a remedy with the nearest value of a range."""
    if dimension.kind == "choice" or isinstance(value, bool) or not isinstance(value, int | float):
        return "write one of them"
    inside = min(max(value, dimension.low), dimension.high)
    step = 1 if dimension.is_integer and dimension.step is None else dimension.step
    if step is not None:
        inside = dimension.low + step * round((inside - dimension.low) / step)
    return f"write  prior: {quote_value(dimension.normalize(inside))},  or widen the range"
