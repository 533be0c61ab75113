"""Parsing of the `search` part of a space: one dimension per name, sorted so that conditions come first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from runtime.errors import InputError, unknown_name_error
from spaces.priors import read_prior
from spaces.schema import DATASET, Dimension, Value
from spaces.suggestions import suggest_dimension_key
from spaces.values import is_same_value, quote_value

_RANGES: Final = ("uniform", "log_uniform", "int", "log_int")
_KINDS: Final = (*_RANGES, "choice")
_MOST_CHOICES: Final = 1000
_KEYS: Final = (*_KINDS, "when", "step", "prior", "width")


def read_dimensions(
    search: Mapping[str, Mapping[str, Any]], meanings: Mapping[str, str], path: str
) -> tuple[Dimension, ...]:
    """Parse all dimensions.

    Args:
        search: Content of `search`.
        meanings: Descriptions of the fields of the Config and of the training data, by dotted name.
        path: Path of the file, for errors.

    Returns:
        Dimensions in an order in which every condition precedes the dimensions that depend on it.

    Raises:
        InputError: If a name, a bound, a choice or a condition is invalid.
    """
    dimensions = {name: _read_dimension(name, written, meanings, path) for name, written in search.items()}
    dimensions = {name: _resolve_conditions(dimension, dimensions, path) for name, dimension in dimensions.items()}
    graph = {d.name: [condition for condition, _ in d.when] for d in dimensions.values()}
    try:
        return tuple(dimensions[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise InputError(
            f"{path}: search", "conditions must not form a circle", value=circle, remedy="remove one `when`"
        ) from error


def _read_dimension(name: str, written: Mapping[str, Any], meanings: Mapping[str, str], path: str) -> Dimension:
    place = f"{path}: search.{name}"
    if name.startswith(DATASET) and not name.startswith(f"{DATASET}train."):
        raise InputError(
            place,
            "only training data can be searched: all trials are validated and tested on the same data",
            value=name,
            remedy=f"search {_training_dimension(name, meanings)}, or set it under dataset:",
        )
    if name not in meanings:
        raise unknown_name_error(place, name, meanings)
    unknown = [key for key in written if key not in _KEYS]
    if unknown:
        remedy = suggest_dimension_key(unknown[0], _KEYS)
        raise InputError(place, "the name must be known", value=unknown[0], remedy=remedy)
    kinds = [key for key in written if key in _KINDS]
    if len(kinds) != 1:
        raise InputError(
            place, "a dimension must have exactly one kind", value=kinds, remedy="write one of " + ", ".join(_KINDS)
        )
    when = _read_conditions(written.get("when"), place)
    if kinds[0] == "choice":
        _refuse_step(written, "a choice", place)
        dimension = Dimension(name, "choice", choices=_read_choices(written["choice"], place), when=when)
        return replace(dimension, prior=read_prior(dimension, written, place))
    low, high = _read_bounds(kinds[0], written[kinds[0]], place)
    step = _read_step(kinds[0], low, high, written, place)
    dimension = Dimension(name, kinds[0], low, high, when=when, step=step)  # type: ignore[arg-type]  # one of _KINDS
    return replace(dimension, prior=read_prior(dimension, written, place))


def _training_dimension(name: str, meanings: Mapping[str, str]) -> str:
    """Return the searchable field that corresponds to a field of the dataset or of another split."""
    parts = name.split(".")[1:]
    candidates = [f"{DATASET}train.{'.'.join(parts[first:])}" for first in range(len(parts))]
    return next((candidate for candidate in candidates if candidate in meanings), f"{DATASET}train.samples")


def _read_choices(written: Any, place: str) -> tuple[Value, ...]:
    if not isinstance(written, list) or not written:
        raise InputError(place, "a choice must be a list of values", value=written, remedy="write  {choice: [a, b]}")
    if len(written) > _MOST_CHOICES:
        rule = f"a choice must have at most {_MOST_CHOICES:,} values"
        raise InputError(place, rule, value=f"{len(written):,} values", remedy="write a range, with step: … if needed")
    for value in written:
        _check_choice(value, place)
    if any(is_same_value(value, other) for index, value in enumerate(written) for other in written[:index]):
        raise InputError(place, "choices must differ", value=written, remedy="remove the repeated value")
    return tuple(written)


def _check_choice(value: Any, place: str) -> None:
    """Check that a value is one of YAML's plain values, or a list of them."""
    if isinstance(value, list):
        for inside in value:
            _check_choice(inside, place)
        return
    if isinstance(value, Mapping):
        raise InputError(
            place,
            "a choice must be a single value, not a group of values",
            value=value,
            remedy="search the fields of the group one by one, by dotted name; `when` makes one depend on another",
        )
    if not (value is None or isinstance(value, int | float | str | bool)):
        remedy = "write plain values, or text in quotes"
        raise InputError(
            place, "choices must be numbers, text, true, false, null or lists of them", value=value, remedy=remedy
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(place, "choices must be finite", value=value, remedy="write a number, or null for none")


def _read_bounds(kind: str, written: Any, place: str) -> tuple[float, float]:
    numbers = written if isinstance(written, list) else [written]
    if len(numbers) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise InputError(place, f"{kind} requires two numbers", value=written, remedy=f"write  {{{kind}: [low, high]}}")
    low, high = numbers
    if not all(map(_is_finite, (low, high, high - low))):
        raise InputError(place, "bounds must be finite", value=written, remedy="write two numbers of fewer digits")
    if low >= high:
        raise InputError(
            place,
            "the lower bound must come first and be less than the upper one",
            value=written,
            remedy=f"write  {{{kind}: [{high}, {low}]}}",
        )
    if kind.startswith("log") and low <= 0:
        raise InputError(
            place,
            "bounds of a logarithmic range must be above zero",
            value=written,
            remedy="raise the lower bound, or drop log_",
        )
    if kind.endswith("int") and any(int(n) != n for n in numbers):
        raise InputError(
            place, f"bounds of {kind} must be whole numbers", value=written, remedy="round them, or use uniform"
        )
    return low, high


def _is_finite(number: float) -> bool:
    """Return whether a number is finite as a float; an integer of many digits is not."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _refuse_step(written: Mapping[str, Any], kind: str, place: str) -> None:
    if "step" in written:
        raise InputError(
            f"{place}.step",
            f"a step applies to the ranges uniform and int, not to {kind}",
            value=written["step"],
            remedy="remove it, or write the values out as a choice",
        )


def _read_step(kind: str, low: float, high: float, written: Mapping[str, Any], place: str) -> float | None:
    """Return the step of a range, of which its length must be a multiple."""
    if "step" not in written:
        return None
    if kind.startswith("log"):
        _refuse_step(written, kind, place)
    step, place = written["step"], f"{place}.step"
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf:
        raise InputError(place, "a step must be a number above zero", value=step, remedy="write  step: 16")
    if kind == "int" and step != int(step):
        raise InputError(
            place, "the step of an int range must be a whole number", value=step, remedy="round it, or use uniform"
        )
    grid = Dimension("", "uniform", low, high, step=step)
    if not grid.contains_value(high):
        last = grid.normalize(low + step * max(1, math.floor((high - low) / step)))
        raise InputError(
            place,
            "the upper bound must lie a whole number of steps above the lower one",
            value=f"{step:g} in [{low:g}, {high:g}]",
            remedy=f"write  {{{kind}: [{low:g}, {last:g}], step: {step:g}}}",
        )
    return int(step) if kind == "int" else step


def _read_conditions(written: Any, place: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    if written is None:
        return ()
    if not isinstance(written, dict) or not written:
        raise InputError(
            f"{place}.when",
            "a condition must map a dimension to values",
            value=written,
            remedy="write  when: {name: value}",
        )
    return tuple((name, (values,)) for name, values in written.items())


def _resolve_conditions(dimension: Dimension, dimensions: Mapping[str, Dimension], path: str) -> Dimension:
    """Return a dimension whose conditions list choices of other dimensions, in the form in which those have them."""
    when = tuple(
        (condition, _resolve_condition(dimension.name, condition, written, dimensions, path))
        for condition, (written,) in dimension.when
    )
    return replace(dimension, when=when)


def _resolve_condition(
    name: str, condition: str, written: Value, dimensions: Mapping[str, Dimension], path: str
) -> tuple[Value, ...]:
    """Return the choices that a condition names; a list is one of them, or else lists several of them."""
    place = f"{path}: search.{name}.when"
    if condition not in dimensions:
        raise unknown_name_error(place, condition, dict.fromkeys(dimensions, ""))
    other = dimensions[condition]
    if other.kind != "choice":
        raise InputError(
            place, "a condition must refer to a choice", value=condition, remedy=f"make search.{condition} a choice"
        )
    values = written if isinstance(written, list) and not other.contains_value(written) else [written]
    if not values:
        raise InputError(
            place, f"a condition must name choices of {condition}", value=values, remedy="name one of them"
        )
    for value in values:
        if not other.contains_value(value):
            remedy = "use one of " + ", ".join(map(quote_value, other.choices))
            raise InputError(place, f"the value must be a choice of {condition}", value=value, remedy=remedy)
    return tuple(other.normalize(value) for value in values)
