"""Parsing of the `search` part of a space: one dimension per name, sorted so that conditions come first."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from runtime.errors import InputError, unknown_name_error
from spaces.schema import DATASET, Dimension, Value

_RANGES: Final = ("uniform", "log_uniform", "int", "log_int")
_KINDS: Final = (*_RANGES, "choice")


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
    for dimension in dimensions.values():
        for condition, values in dimension.when:
            _check_condition(dimension.name, condition, values, dimensions, path)
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
    unknown = [key for key in written if key not in (*_KINDS, "when")]
    if unknown:
        raise unknown_name_error(place, unknown[0], dict.fromkeys([*_KINDS, "when"], ""))
    kinds = [key for key in written if key in _KINDS]
    if len(kinds) != 1:
        raise InputError(
            place, "a dimension must have exactly one kind", value=kinds, remedy="write one of " + ", ".join(_KINDS)
        )
    when = _read_conditions(written.get("when"), place)
    if kinds[0] == "choice":
        return Dimension(name, "choice", choices=_read_choices(written["choice"], place), when=when)
    low, high = _read_bounds(kinds[0], written[kinds[0]], place)
    return Dimension(name, kinds[0], low, high, when=when)  # type: ignore[arg-type]  # one of _KINDS


def _training_dimension(name: str, meanings: Mapping[str, str]) -> str:
    """Return the searchable field that corresponds to a field of the dataset or of another split."""
    parts = name.split(".")[1:]
    candidates = [f"{DATASET}train.{'.'.join(parts[first:])}" for first in range(len(parts))]
    return next((candidate for candidate in candidates if candidate in meanings), f"{DATASET}train.samples")


def _read_choices(written: Any, place: str) -> tuple[Value, ...]:
    if not isinstance(written, list) or not written:
        raise InputError(place, "a choice must be a list of values", value=written, remedy="write  {choice: [a, b]}")
    for value in written:
        if not isinstance(value, int | float | str | bool):
            raise InputError(
                place, "choices must be numbers, text, true or false", value=value, remedy="write plain values"
            )
    if len(set(map(repr, written))) != len(written):
        raise InputError(place, "choices must differ", value=written, remedy="remove the repeated value")
    return tuple(written)


def _read_bounds(kind: str, written: Any, place: str) -> tuple[float, float]:
    numbers = written if isinstance(written, list) else [written]
    if len(numbers) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise InputError(place, f"{kind} requires two numbers", value=written, remedy=f"write  {{{kind}: [low, high]}}")
    low, high = numbers
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
    return tuple((name, tuple(values) if isinstance(values, list) else (values,)) for name, values in written.items())


def _check_condition(
    name: str, condition: str, values: tuple[Value, ...], dimensions: Mapping[str, Dimension], path: str
) -> None:
    place = f"{path}: search.{name}.when"
    if condition not in dimensions:
        raise unknown_name_error(place, condition, dict.fromkeys(dimensions, ""))
    other = dimensions[condition]
    if other.kind != "choice":
        raise InputError(
            place, "a condition must refer to a choice", value=condition, remedy=f"make search.{condition} a choice"
        )
    for value in values:
        if not other.contains_value(value):
            remedy = "use one of " + ", ".join(map(repr, other.choices))
            raise InputError(place, f"the value must be a choice of {condition}", value=value, remedy=remedy)
