"""Search problem as all methods see it: dimensions, epochs and rungs.

This module needs the standard library only, so that methods in other environments can use it.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

Point = Mapping[str, Any]

_LOG: Final = ("log_uniform", "log_int")
_INTEGER: Final = ("int", "log_int")


@dataclass(frozen=True)
class Variable:
    """Searched dimension, with the fields of `spaces.schema.Dimension`.

    Attributes:
        name: Name of the dimension.
        kind: `uniform`, `log_uniform`, `int`, `log_int` or `choice`.
        low: Lower bound of a range.
        high: Upper bound of a range.
        choices: Values of a choice.
        when: Names of other dimensions and their values for which this one is active.
        step: Distance of neighbouring values; None for all values.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    step: float | None = None

    @property
    def is_log(self) -> bool:
        """Whether the range is logarithmic."""
        return self.kind in _LOG

    @property
    def is_integer(self) -> bool:
        """Whether the range is one of integers."""
        return self.kind in _INTEGER

    def is_active(self, point: Point) -> bool:
        """Return whether the dimension is active, given the values of other dimensions."""
        return all(name in point and point[name] in values for name, values in self.when)

    def draw(self, generator: random.Random) -> Any:
        """Draw a value uniformly, on a logarithmic scale for logarithmic ranges."""
        if self.kind == "choice":
            return generator.choice(self.choices)
        if self.is_log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return self.round(value)

    def round(self, value: float) -> float:
        """Return the nearest value of the range."""
        if self.step is not None:
            value = self.low + self.step * round((value - self.low) / self.step)
        value = min(self.high, max(self.low, value))
        return round(value) if self.is_integer else value

    def to_unit(self, value: float) -> float:
        """Return the position of a value in the range, from 0 to 1 if it is inside."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Problem:
    """What a method is told about a task.

    Attributes:
        variables: Dimensions; every condition precedes the dimensions that depend on it.
        epochs: Length of a full training.
        first_rung: Epoch of the first comparison of trials.
        reduction: Inverse of the share of trials that is promoted at a rung.
        baseline: Configuration that a user would compare with.
    """

    variables: tuple[Variable, ...]
    epochs: int
    first_rung: int = 1
    reduction: int = 3
    baseline: Point | None = None

    def rungs(self) -> tuple[int, ...]:
        """Return the epochs of the comparisons, below the length of a full training."""
        rungs, epoch = [], self.first_rung
        while epoch < self.epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return tuple(rungs)

    def draw(self, generator: random.Random) -> dict[str, Any]:
        """Draw a point uniformly from all dimensions that are active in it."""
        point: dict[str, Any] = {}
        for variable in self.variables:
            if variable.is_active(point):
                point[variable.name] = variable.draw(generator)
        return point

    def complete(self, values: Point) -> dict[str, Any]:
        """Return the active values of a point that has a value of every dimension."""
        point: dict[str, Any] = {}
        for variable in self.variables:
            if variable.is_active(point):
                point[variable.name] = values[variable.name]
        return point

    def distance(self, one: Point, other: Point) -> float:
        """Return the squared distance of two points: 1 for different choices, and differences of positions in ranges.

        A dimension that is active in one of the points only counts nothing; the choice that it depends on does.
        """
        total = 0.0
        for variable in self.variables:
            name = variable.name
            if name not in one or name not in other:
                continue
            if variable.kind == "choice":
                total += one[name] != other[name]
            else:
                total += (variable.to_unit(one[name]) - variable.to_unit(other[name])) ** 2
        return total


def to_json(problem: Problem) -> str:
    """Return a problem as text."""
    return json.dumps(asdict(problem))


def from_json(text: str) -> Problem:
    """Return a problem from its text."""
    content = json.loads(text)
    variables = tuple(
        Variable(
            **{
                **item,
                "choices": tuple(item["choices"]),
                "when": tuple((name, tuple(values)) for name, values in item["when"]),
            }
        )
        for item in content.pop("variables")
    )
    return Problem(variables, **content)


def from_identity(search: Mapping[str, Sequence[Any]]) -> tuple[Variable, ...]:
    """Return the dimensions of a space from the `search` of its `space.json`."""
    return tuple(
        Variable(
            name,
            kind,
            low,
            high,
            tuple(choices),
            tuple((condition, tuple(values)) for condition, values in when),
            *step,
        )
        for name, (kind, low, high, choices, when, *step) in search.items()
    )
