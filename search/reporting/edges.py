"""Values of a trial at the edge of what is searched, beyond which better ones may lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from search.reporting.progress import format_value
from spaces.field_types import find_field
from spaces.schema import Dimension, Space, Value
from trainables.contract import InnerParameter

_MARGIN: Final = 0.02
"""Share of the width of a range, logarithmic or not, that counts as its edge."""
_MIN_CHOICES: Final = 3
"""Number of numeric choices that have an edge: of two, each is at an end."""

Side = Literal["lower", "upper"]


@dataclass(frozen=True)
class Edge:
    """Value at the edge of what is searched.

    Attributes:
        key: Key of the space that holds the range or the choices, such as `search.optimizer.lr`.
        value: The value.
        side: Whether smaller or larger values are not searched.
        bound: The last value that is searched on this side.
    """

    key: str
    value: float
    side: Side
    bound: float

    def describe(self) -> str:
        """Return the edge with its remedy, as a line of text."""
        direction = "below" if self.side == "lower" else "above"
        return (
            f"{self.key.partition('.')[2]} {format_value(self.value)} is at the {self.side} end: "
            f"widen {self.key} {direction} {format_value(self.bound)}"
        )


def find_edges(
    space: Space,
    parameters: Mapping[str, Value],
    setting: Mapping[str, float],
    config: type[BaseModel],
    inner: Sequence[InnerParameter],
) -> list[Edge]:
    """Return the values of a trial that lie at an edge, without those beyond which nothing is possible.

    Args:
        space: Ranges, choices and grid of inference parameters.
        parameters: Values of the trial's dimensions.
        setting: Its inference parameters.
        config: Config of the trainable, with the bounds of its fields.
        inner: Inference parameters of the trainable, with their bounds.
    """
    edges = [_edge_of_dimension(dimension, parameters, config) for dimension in space.search]
    limits = {parameter.name: (parameter.low, parameter.high) for parameter in inner}
    for name, values in space.inner.items():
        if name in setting and len(set(values)) > 1:
            side = _side_of_choice(setting[name], values)
            edges.append(_edge(f"inner.{name}", setting[name], side, values, limits.get(name, (None, None))))
    return [edge for edge in edges if edge is not None]


def _edge_of_dimension(dimension: Dimension, parameters: Mapping[str, Value], config: type[BaseModel]) -> Edge | None:
    value = parameters.get(dimension.name)
    if not _is_number(value) or not dimension.contains_value(value):
        return None
    assert isinstance(value, int | float)
    limits = _field_limits(config, dimension.name)
    if dimension.kind != "choice":
        bounds = (dimension.low, dimension.high)
        return _edge(f"search.{dimension.name}", value, _side_of_range(dimension, value), bounds, limits)
    numbers = [choice for choice in dimension.choices if isinstance(choice, int | float) and _is_number(choice)]
    if len(numbers) < _MIN_CHOICES:
        return None
    return _edge(f"search.{dimension.name}", value, _side_of_choice(value, numbers), numbers, limits)


def _edge(
    key: str, value: float, side: Side | None, values: Sequence[float], limits: tuple[float | None, float | None]
) -> Edge | None:
    """Return an edge, unless the value is inside or the last possible one is searched."""
    if side is None:
        return None
    bound = min(values) if side == "lower" else max(values)
    limit = limits[0] if side == "lower" else limits[1]
    is_last = limit is not None and (bound <= limit if side == "lower" else bound >= limit)
    return None if is_last else Edge(key, value, side, bound)


def _side_of_range(dimension: Dimension, value: float) -> Side | None:
    low, high, at = dimension.low, dimension.high, value
    if high <= low:
        return None
    if dimension.kind.startswith("log"):
        low, high, at = math.log(low), math.log(high), math.log(value)
    share = (at - low) / (high - low)
    return "lower" if share <= _MARGIN else "upper" if share >= 1 - _MARGIN else None


def _side_of_choice(value: float, choices: Sequence[float]) -> Side | None:
    return "lower" if value <= min(choices) else "upper" if value >= max(choices) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field_limits(config: type[BaseModel], name: str) -> tuple[float | None, float | None]:
    """Return the smallest and the largest value that a field takes, as far as it declares them."""
    field = find_field(config, name)
    metadata: Sequence[Any] = () if field is None else field.metadata
    low = [bound for item in metadata for bound in (getattr(item, "ge", None), getattr(item, "gt", None))]
    high = [bound for item in metadata for bound in (getattr(item, "le", None), getattr(item, "lt", None))]
    return max((b for b in low if b is not None), default=None), min((b for b in high if b is not None), default=None)
