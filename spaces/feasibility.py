"""Points of a space that the Config or the dataset refuses: how many there are, and which points are left."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from datasets.config_file import explain_validation
from datasets.rooms.spec import SampleSpec
from runtime.errors import InputError
from spaces.configs import build_config
from spaces.schema import DATASET, Dimension, Space, Value
from spaces.sizes import SizeChecker
from trainables import registry

SURVEYED: Final = 100
"""Number of random points that loading a space draws."""
MOST_IMPOSSIBLE: Final = 95
"""Number of impossible ones among them with which a search is refused."""
MOST_LISTED: Final = 4096
"""Number of points up to which a space is small: its points are listed."""

Point = Mapping[str, Value]


@dataclass(frozen=True)
class Survey:
    """Random points of a space.

    Attributes:
        points: Number of points.
        reasons: Reasons for which points are impossible, with the number of points, the most frequent first.
    """

    points: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def impossible(self) -> int:
        """Number of impossible points."""
        return sum(count for _, count in self.reasons)


class PointChecker:
    """Check of points against the Config and the dataset of a space.

    Args:
        space: Space that the points belong to.
        draws_rooms: Whether the rooms of a variant of the dataset are drawn too, which takes tens of milliseconds.
        builds_models: Whether a constraint on the number of parameters is checked too, which loads the trainable.
    """

    def __init__(self, space: Space, *, draws_rooms: bool = False, builds_models: bool = False) -> None:
        self._space = space
        self._sizes = SizeChecker(space) if builds_models else None
        self._draws_rooms = draws_rooms
        self._config = find_config(space)
        self._variants: dict[str, str | None] = {}

    def explain_impossible(self, point: Point) -> str | None:
        """Return the reason for which no trial can have these parameters; None if one can."""
        try:
            config = build_config(self._config, self._space.config_values(point))
        except ValidationError as error:
            return _describe_error(explain_validation(error, self._config, lambda key: key))
        except InputError as error:
            return f"{error.value}, raised by a validator"
        reason = self._explain_dataset({name: value for name, value in point.items() if name.startswith(DATASET)})
        if reason is not None or self._sizes is None:
            return reason
        return self._sizes.explain_violation(config, point)

    def _explain_dataset(self, asked: Point) -> str | None:
        if not asked:
            return None
        key = repr(sorted(asked.items()))
        if key not in self._variants:
            self._variants[key] = self._explain_variant(asked)
        return self._variants[key]

    def _explain_variant(self, asked: Point) -> str | None:
        try:
            spec = self._space.dataset_of(asked)
            if self._draws_rooms and isinstance(spec, SampleSpec):
                spec.require_feasible()
        except ValidationError as error:
            return _describe_error(explain_validation(error, type(self._space.dataset), lambda key: key))
        except InputError as error:
            return _describe_error(error)
        return None


def find_config(space: Space) -> type[BaseModel]:
    """Return the Config of the trainable of a space."""
    return registry.describe_trainable(space.trainable, "trainable").config


def _describe_error(error: InputError) -> str:
    name = error.place.removeprefix("dataset.")
    return f"{name}: {error.rule}" if name else error.rule


def draw_point(search: Sequence[Dimension], generator: random.Random) -> dict[str, Value]:
    """Draw a point uniformly from all dimensions that are active in it."""
    point: dict[str, Value] = {}
    for dimension in search:
        if dimension.is_active(point):
            point[dimension.name] = draw_value(dimension, generator)
    return point


def draw_value(dimension: Dimension, generator: random.Random) -> Value:
    """Draw a value of a dimension uniformly, in the logarithm for logarithmic ranges."""
    if dimension.kind == "choice":
        return generator.choice(dimension.choices)
    low, high = dimension.low, dimension.high
    if dimension.step is not None:
        return dimension.normalize(low + dimension.step * generator.randint(0, round((high - low) / dimension.step)))
    if dimension.kind == "int":
        return generator.randint(int(low), int(high))
    if dimension.kind == "uniform":
        return generator.uniform(low, high)
    drawn = min(high, max(low, math.exp(generator.uniform(math.log(low), math.log(high)))))
    return round(drawn) if dimension.is_integer else drawn


def survey_points(space: Space, count: int = SURVEYED) -> Survey:
    """Draw points with the seed of the space, and count the impossible ones by their reasons."""
    generator = random.Random(space.seed)  # not for cryptography
    checker = PointChecker(space)
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for _ in range(count):
        reason = checker.explain_impossible(draw_point(space.search, generator))
        if reason is not None:
            form = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", reason)  # one rule for different values
            reasons[form] += 1
            examples.setdefault(form, reason)
    return Survey(count, tuple((examples[form], number) for form, number in reasons.most_common()))


def check_possible(space: Space, place: str) -> None:
    """Check that enough points of a space are possible.

    Args:
        space: Space with dimensions.
        place: Location of the dimensions in the file.

    Raises:
        InputError: If nearly all random points are impossible.
    """
    survey = survey_points(space) if space.search else Survey(0, ())
    if survey.impossible > MOST_IMPOSSIBLE:
        raise InputError(
            place,
            "trials must be possible at more than a few points of the search",
            value=f"{survey.impossible} of {survey.points} random points are impossible: "
            + "; ".join(f"{reason} ({count})" for reason, count in survey.reasons[:3]),
            remedy="search values that fit together: a `step` for multiples, `when` or fewer choices for pairs",
        )


def require_feasible_datasets(space: Space) -> None:
    """Check that rooms of the dataset can be drawn, and of a variant with every choice and bound of the search.

    Combinations whose rooms are impossible are not proposed.

    Raises:
        InputError: If the space's own dataset, or all variants with a choice or bound, are impossible.
    """
    if not isinstance(space.dataset, SampleSpec):
        return
    space.dataset.require_feasible()
    possible: set[str] = set()
    errors: dict[str, InputError] = {}
    for asked, spec in space.boundary_variants():
        values = {repr(item) for item in asked.items()}
        try:
            spec.require_feasible()
            possible |= values
        except InputError as error:
            errors |= dict.fromkeys(values - errors.keys(), error)
    for value, refusal in errors.items():
        if value not in possible:
            raise refusal


def list_points(search: Sequence[Dimension], most: int = MOST_LISTED) -> list[dict[str, Value]] | None:
    """Return all points of a small space, possible or not; None if they are more than `most`, or not countable."""
    points: list[dict[str, Value]] = [{}]
    for dimension in search:
        values = dimension.grid_values(most)
        extended: list[dict[str, Value]] = []
        for point in points:
            if not dimension.is_active(point):
                extended.append(point)
            elif values is None or len(extended) + len(values) > most:
                return None
            else:
                extended += [point | {dimension.name: value} for value in values]
        points = extended
    return points


def is_same_point(search: Sequence[Dimension], one: Point, other: Point) -> bool:
    """Return whether two points are the same; 1, 1.0 and true are different choices, and equal bounds of ranges."""
    if one != other:  # decides nearly always, at little cost
        return False
    return point_key(search, one) == point_key(search, other)


def contains_point(search: Sequence[Dimension], points: Iterable[Point], point: Point) -> bool:
    """Return whether a point is the same as one of several."""
    return any(is_same_point(search, point, other) for other in points)


def point_key(search: Sequence[Dimension], point: Point) -> Hashable:
    """Return a key that two points share if and only if they are the same (`is_same_point`)."""
    choices = {dimension.name for dimension in search if dimension.kind == "choice"}
    return frozenset((name, _value_key(value, is_choice=name in choices)) for name, value in point.items())


def _value_key(value: object, *, is_choice: bool) -> Hashable:
    """Return a key in which 1 and 1.0 are equal in a range and differ in a choice; true is no number."""
    if isinstance(value, list | tuple):
        return tuple(_value_key(inside, is_choice=is_choice) for inside in value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return ("number" if is_number and not is_choice else type(value).__name__, value)


def distinct_points(search: Sequence[Dimension], points: Sequence[Point]) -> list[Point]:
    """Return points without repetitions, in their order."""
    result: dict[Hashable, Point] = {}
    for point in points:
        result.setdefault(point_key(search, point), point)
    return list(result.values())


def remaining_points(space: Space, points: Sequence[Point]) -> Iterator[dict[str, Value]]:
    """Yield the possible points of a small space that are not among `points`; nothing for a large space."""
    checker = PointChecker(space)
    known = {point_key(space.search, point) for point in points}
    for point in list_points(space.search) or []:
        if point_key(space.search, point) not in known and checker.explain_impossible(point) is None:
            yield point


def count_points(space: Space) -> int | None:
    """Return the number of different trials that are possible, with the baseline and the points of `start`.

    Returns:
        The number; None if it exceeds the budget, or the space is not small.
    """
    if list_points(space.search) is None:
        return None
    named = distinct_points(space.search, [space.baseline, *space.start])
    count = len(named)
    for _ in remaining_points(space, named):
        count += 1
        if count > space.budget.trials:
            return None
    return count
