"""Read the `search:` part of a space: one dimension a name, conditions in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from runtime.errors import InputError, suggest_name
from spaces.schema import DATASET, Dimension, Value

_RANGES: Final = ("uniform", "log_uniform", "int", "log_int")
_KINDS: Final = (*_RANGES, "choice")


def read_dimensions(search: Mapping[str, Mapping[str, Any]], names: Sequence[str], path: str) -> tuple[Dimension, ...]:
    """Parse all dimensions.

    Args:
        search: The part of the file.
        names: Fields of the Config, and of the training data.
        path: The file, for errors.

    Returns:
        Dimensions in an order in which every condition comes before what it decides.

    Raises:
        InputError: If a name, a bound, a choice or a condition is wrong.
    """
    dimensions = {name: _read_dimension(name, written, names, path) for name, written in search.items()}
    for dimension in dimensions.values():
        for condition, values in dimension.when:
            _check_condition(dimension.name, condition, values, dimensions, path)
    graph = {d.name: [condition for condition, _ in d.when] for d in dimensions.values()}
    try:
        return tuple(dimensions[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise InputError(
            f"{path}: search", "conditions must not run in a circle", value=circle, remedy="remove one `when`"
        ) from error


def _read_dimension(name: str, written: Mapping[str, Any], names: Sequence[str], path: str) -> Dimension:
    place = f"{path}: search.{name}"
    if name.startswith(DATASET) and not name.startswith(f"{DATASET}train."):
        raise InputError(
            place,
            "of the data only what is trained on can be searched: all trials are validated and tested on the same",
            value=name,
            remedy=f"search {_training_dimension(name, names)}, or set it under dataset:",
        )
    if name not in names:
        raise InputError(
            place,
            "a searched name must be a field of the trainable or of dataset.train",
            value=name,
            remedy=suggest_name(name, names),
        )
    unknown = [key for key in written if key not in (*_KINDS, "when")]
    if unknown:
        raise InputError(
            place,
            "the kind of a dimension must be known",
            value=unknown[0],
            remedy=suggest_name(unknown[0], [*_KINDS, "when"]),
        )
    kinds = [key for key in written if key in _KINDS]
    if len(kinds) != 1:
        raise InputError(place, "a dimension has one kind", value=kinds, remedy="write one of " + ", ".join(_KINDS))
    when = _read_conditions(written.get("when"), place)
    if kinds[0] == "choice":
        return Dimension(name, "choice", choices=_read_choices(written["choice"], place), when=when)
    low, high = _read_bounds(kinds[0], written[kinds[0]], place)
    return Dimension(name, kinds[0], low, high, when=when)  # type: ignore[arg-type]  # one of _KINDS


def _training_dimension(name: str, names: Sequence[str]) -> str:
    """The searchable field that a field of the dataset, or of another split, corresponds to."""
    parts = name.split(".")[1:]
    candidates = [f"{DATASET}train.{'.'.join(parts[first:])}" for first in range(len(parts))]
    return next((candidate for candidate in candidates if candidate in names), f"{DATASET}train.samples")


def _read_choices(written: Any, place: str) -> tuple[Value, ...]:
    if not isinstance(written, list) or not written:
        raise InputError(place, "a choice is a list of values", value=written, remedy="write  {choice: [a, b]}")
    for value in written:
        if not isinstance(value, int | float | str | bool):
            raise InputError(
                place, "choices are numbers, words, true or false", value=value, remedy="write plain values"
            )
    if len(set(map(repr, written))) != len(written):
        raise InputError(place, "choices must differ", value=written, remedy="remove what is doubled")
    return tuple(written)


def _read_bounds(kind: str, written: Any, place: str) -> tuple[float, float]:
    numbers = written if isinstance(written, list) else [written]
    if len(numbers) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise InputError(place, f"{kind} takes two numbers", value=written, remedy=f"write  {{{kind}: [low, high]}}")
    low, high = numbers
    if low >= high:
        raise InputError(
            place, "the lower bound comes first", value=written, remedy=f"write  {{{kind}: [{high}, {low}]}}"
        )
    if kind.startswith("log") and low <= 0:
        raise InputError(
            place,
            "bounds of a logarithmic range are above zero",
            value=written,
            remedy="raise the lower bound, or drop log_",
        )
    if kind.endswith("int") and any(int(n) != n for n in numbers):
        raise InputError(
            place, f"bounds of {kind} are whole numbers", value=written, remedy="round them, or use uniform"
        )
    return low, high


def _read_conditions(written: Any, place: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    if written is None:
        return ()
    if not isinstance(written, dict) or not written:
        raise InputError(
            f"{place}.when",
            "a condition names a dimension and its values",
            value=written,
            remedy="write  when: {name: value}",
        )
    return tuple((name, tuple(values) if isinstance(values, list) else (values,)) for name, values in written.items())


def _check_condition(
    name: str, condition: str, values: tuple[Value, ...], dimensions: Mapping[str, Dimension], path: str
) -> None:
    place = f"{path}: search.{name}.when"
    if condition not in dimensions:
        raise InputError(
            place,
            "a condition names another searched field",
            value=condition,
            remedy=suggest_name(condition, dimensions),
        )
    other = dimensions[condition]
    if other.kind != "choice":
        raise InputError(
            place, "a condition rests on a choice", value=condition, remedy=f"make search.{condition} a choice"
        )
    for value in values:
        if not other.contains_value(value):
            remedy = "use one of " + ", ".join(map(repr, other.choices))
            raise InputError(place, f"the value must be a choice of {condition}", value=value, remedy=remedy)
