"""Points of a space that a file names, the baseline and those of `start`: completed from the defaults, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from datasets.building.spec import parse_range
from datasets.config_file import explain_validation
from datasets.rooms.spec import SampleSpec
from runtime.errors import InputError
from spaces.configs import build_config
from spaces.feasibility import find_config
from spaces.schema import DATASET, Dimension, Space, Value, flatten_names
from spaces.values import is_equal_number, is_plain, is_same_value, to_plain, to_text

Point = Mapping[str, Value]


def complete_point(space: Space, given: Point) -> dict[str, Value]:
    """Return all active parameters of a point of which only some are given.

    Parameters that are not given have the defaults of the Config at the given ones, or the values of the dataset. One that
    has neither is left out: the dataset then has no such value, as for `snr_db` without noise, or the default is an object.

    Args:
        space: Space whose dimensions the point has.
        given: Values by name; those of inactive dimensions are dropped. If the Config refuses them, the defaults are those
            without them.
    """
    point: dict[str, Value] = {}
    defaults: Mapping[str, Value] | None = None
    for dimension in space.search:
        name = dimension.name
        if not dimension.is_active(point):
            continue
        if name in given:
            point[name] = dimension.normalize(given[name])
            continue
        if defaults is None:
            defaults = _default_values(space, given)
        if name in defaults:
            point[name] = dimension.normalize(defaults[name])
    return point


def _default_values(space: Space, given: Point) -> dict[str, Value]:
    """Return what the fields of the Config, and the searched ones of the dataset, are where they are not given."""
    config = find_config(space)
    values: dict[str, Any] = {}
    for known in (given, {}):
        with suppress(ValidationError, InputError):
            values = build_config(config, space.config_values(known)).model_dump()
            break
    plain = {name: to_plain(value) for name, value in flatten_names(values).items()}
    defaults: dict[str, Value] = {name: value for name, value in plain.items() if is_plain(value)}
    for dimension in space.search:
        if dimension.name.startswith(DATASET):
            value = dataset_value(space, dimension)
            if value is not None:
                defaults[dimension.name] = value
    return defaults


def is_settled(space: Space, point: Point, values: Point) -> bool:
    """Return whether a trial of a space at a point has these values of fields that it does not search.

    Args:
        space: The space.
        point: Values of its active dimensions.
        values: Values of other fields, such as those of a dimension that was removed.
    """
    defaults = _default_values(space, point)
    for name, value in values.items():
        if name.startswith(DATASET):
            settled = dataset_value(space, Dimension(name, "choice", choices=(value,)))
        else:
            settled = space.fixed.get(name, defaults.get(name))
        if not (is_same_value(settled, value) or is_equal_number(settled, value)):
            return False
    return True


def dataset_value(space: Space, dimension: Dimension) -> Value:
    """Return the value of a searched dimension that leaves the dataset unchanged; None if the dataset has none."""
    if not isinstance(space.dataset, SampleSpec):
        return None
    written: Any = space.dataset.write_out()
    for key in dimension.name.removeprefix(DATASET).split("."):
        written = None if written is None else written.get(key)
    if isinstance(written, list) and written[0] == written[1]:
        written = written[0]
    same = [choice for choice in dimension.choices if _is_same_range(choice, written)]
    value: Value = same[0] if same else written
    return value


def _is_same_range(choice: Value, written: Any) -> bool:
    """Return whether a choice such as `0.2-0.4` is the same value as that of the dataset."""
    return bool(choice == written) or list(map(float, parse_range(choice) or ())) == written


def read_baseline(
    space: Space, written: Literal["paper"] | Point, path: str
) -> tuple[dict[str, Value], frozenset[str]]:
    """Return the baseline, and the names of its values that were completed from defaults.

    Its values may be outside the searched ranges and choices: a paper's value is compared with, not searched.

    Args:
        space: Space without points.
        written: Values by name, or `paper` for the defaults alone.
        path: Path of the file, for errors.

    Raises:
        InputError: If the Config or the dataset refuses the baseline, or a field without a default is missing.
    """
    given: Point = {} if written == "paper" else written
    point = _complete(space, given, f"{path}: baseline")
    completed = frozenset() if written == "paper" else frozenset(point.keys() - given.keys())
    return point, completed


def read_start(space: Space, written: Point, number: int, path: str) -> dict[str, Value]:
    """Return a point of `start`.

    Args:
        space: Space without points.
        written: Values by name, all of them in the searched ranges and choices.
        number: Number of the point, from 0.
        path: Path of the file, for errors.

    Raises:
        InputError: If a value is outside the search, or the Config or the dataset refuses the point.
    """
    place = f"{path}: start.{number}"
    point = _complete(space, written, place)
    for dimension in space.search:
        name = dimension.name
        if name in point and name in written and not dimension.contains_value(point[name]):
            raise InputError(
                f"{place}.{name}",
                f"a point of start must be in the search: {describe_values(dimension)}",
                value=point[name],
                remedy=f"widen search.{name}, or write this point as the baseline, which may be outside",
            )
    return point


def describe_values(dimension: Dimension) -> str:
    """Return the values of a dimension in words: its choices, or its bounds with kind and step."""
    if dimension.kind == "choice":
        return ", ".join(map(to_text, dimension.choices))
    step = "" if dimension.step is None else f", in steps of {dimension.step:g}"
    return f"{dimension.low:g} to {dimension.high:g} ({dimension.kind}{step})"


def describe_dimension(dimension: Dimension) -> str:
    """Return the values of a dimension, its prior and its condition in words."""
    when = "".join(f", if {name} is {' or '.join(map(to_text, allowed))}" for name, allowed in dimension.when)
    prior = "" if dimension.prior is None else f", prior {to_text(dimension.prior.value)} ({dimension.prior.width})"
    return f"{describe_values(dimension)}{prior}{when}"


def _complete(space: Space, given: Point, place: str) -> dict[str, Value]:
    """Complete a point, and check that a trial can have it."""
    config = find_config(space)

    def locate(key: str) -> str:
        named = any(f"{name}.".startswith(f"{key}.") for name in given)
        return f"{place}.{key}" if named else f"{place}, with the default of {key}" if key else place

    try:
        point = complete_point(space, given)
        built = build_config(config, space.config_values(point))
    except ValidationError as error:
        raise _explain(error, config, locate, space) from error
    try:
        space.dataset_of(point)
    except ValidationError as error:
        raise explain_validation(error, type(space.dataset), lambda key: f"{place}.{DATASET}{key}") from error
    return _convert_outside(space, point, flatten_names(built.model_dump()))


def _convert_outside(space: Space, point: Point, built: Mapping[str, Any]) -> dict[str, Value]:
    """Return a point whose values outside of the search have the types of the Config: the text '7' becomes the number."""
    converted = dict(point)
    for dimension in space.search:
        name = dimension.name
        if name in point and name in built and not dimension.contains_value(point[name]):
            value = to_plain(built[name])
            converted[name] = dimension.normalize(value) if is_plain(value) else point[name]
    return converted


def _explain(error: ValidationError, config: type[BaseModel], locate: Callable[[str], str], space: Space) -> InputError:
    """Return the error for a point that the Config refuses; a required field that is searched has to be given."""
    for details in error.errors():
        name = ".".join(map(str, details["loc"]))
        searched = [d.name for d in space.search if f"{d.name}.".startswith(f"{name}.")]
        if details["type"] == "missing" and searched:
            return InputError(
                locate(""),
                "a searched field without a default needs a value in the baseline, and in every point of start",
                value=", ".join(searched),
                remedy=f"write  {{{searched[0]}: …}} there",
            )
    return explain_validation(error, config, locate)
