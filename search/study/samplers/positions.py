"""Positions of values in the ranges of their dimensions: the unit cube in which CMA-ES and Sobol sequences work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from spaces.schema import Dimension, Value


def to_value(dimension: Dimension, position: float) -> Value:
    """Return the value of a dimension at a position from 0 to 1; equal lengths have equal probabilities.

    Integers, steps and choices divide the length among their values; logarithmic ranges are even in the logarithm.
    """
    if dimension.kind == "choice":
        return dimension.choices[min(int(position * len(dimension.choices)), len(dimension.choices) - 1)]
    low, high = _transformed_bounds(dimension)
    number = low + position * (high - low)
    if dimension.kind.startswith("log"):
        number = math.exp(number)
    step = _step_of(dimension)
    if step is not None:
        count = round((dimension.high - dimension.low) / step)
        number = dimension.low + step * min(count, max(0, round((number - dimension.low) / step)))
    return dimension.normalize(min(dimension.high, max(dimension.low, number)))


def to_position(dimension: Dimension, value: Value) -> float:
    """Return the position of a value of a range or a choice, from 0 to 1; that of a discrete value is inside its share."""
    if dimension.kind == "choice":
        index = dimension.find_choice(value)
        assert index is not None
        return (index + 0.5) / len(dimension.choices)
    assert isinstance(value, int | float)
    low, high = _transformed_bounds(dimension)
    number = math.log(value) if dimension.kind.startswith("log") else value
    return (number - low) / (high - low)


def to_point(search: Sequence[Dimension], positions: Mapping[str, float]) -> dict[str, Value]:
    """Return the values of all dimensions that are active in a point, from the positions of all dimensions."""
    point: dict[str, Value] = {}
    for dimension in search:
        if dimension.is_active(point):
            point[dimension.name] = to_value(dimension, positions[dimension.name])
    return point


def _step_of(dimension: Dimension) -> float | None:
    return 1 if dimension.is_integer and dimension.step is None else dimension.step


def _transformed_bounds(dimension: Dimension) -> tuple[float, float]:
    """Return the bounds of a range, in the logarithm if it is logarithmic, with half a step beyond both ends."""
    margin = (_step_of(dimension) or 0) / 2
    low, high = dimension.low - margin, dimension.high + margin
    return (math.log(low), math.log(high)) if dimension.kind.startswith("log") else (low, high)
