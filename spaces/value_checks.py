"""Checks of dimensions against the Config: types of fields, bounds of ranges, and choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from datasets.config_file import explain_validation
from datasets.rooms.split_spec import SplitSpec
from runtime.errors import InputError
from spaces import field_types
from spaces.configs import build_config, list_metrics
from spaces.schema import DATASET, Dimension, Value, flatten_names
from spaces.values import is_equal_number, is_same_value
from trainables import hooks
from trainables.registry import TrainableDescription

_DEPENDENT: Final = ("value_error", "assertion_error", "multiple_of")
"""Types of errors at a bound of a range that other values of the range, or of other fields, need not have."""


def fill_required(config: type[BaseModel], fixed: Mapping[str, Value], search: Sequence[Dimension]) -> dict[str, Value]:
    """Return the fixed values, with a value for every searched field that has no default, or whose section has none."""
    values = dict(fixed)
    for missing in _missing_names(config, fixed):
        for dimension in search:
            if f"{dimension.name}.".startswith(f"{missing}."):
                values[dimension.name] = dimension.boundary_values()[0]
    return values


def _missing_names(config: type[BaseModel], values: Mapping[str, Value]) -> list[str]:
    try:
        build_config(config, values)
    except ValidationError as error:
        missing = [details["loc"] for details in error.errors() if details["type"] == "missing"]
        return [".".join(map(str, location)) for location in missing]
    except InputError:  # reported where the fixed values are checked
        pass
    return []


def check_split_dimension(dimension: Dimension, path: str) -> None:
    """Check the type of a searched field of the training split.

    Raises:
        InputError: If the field takes no such range.
    """
    field = field_types.find_field(SplitSpec, dimension.name.removeprefix(f"{DATASET}train."))
    if field is not None:
        field_types.check_range(dimension, field, f"{path}: search.{dimension.name}")


def check_dimension(
    config: type[BaseModel],
    values: Mapping[str, Value],
    dimension: Dimension,
    search: Sequence[Dimension],
    path: str,
) -> None:
    """Check the type of a searched field, the bounds of its range and its choices.

    Rules that concern several fields are left to the draws of points: other values may keep them.

    Args:
        config: Config of the trainable.
        values: Values of fields without which the Config is not valid.
        dimension: Dimension to check.
        search: All dimensions, which hold the conditions of this one.
        path: Path of the file, for errors.

    Raises:
        InputError: If no trial can have one of the values.
    """
    place = f"{path}: search.{dimension.name}"
    field = field_types.find_field(config, dimension.name)
    if field is not None:
        field_types.check_range(dimension, field, place)
    values = dict(values) | _conditions(dimension, search)
    if not (dimension.kind == "choice" or dimension.is_integer):
        _check_interior(config, values, dimension, place)
    built = [_check_value(config, values, dimension, value, path) for value in dimension.boundary_values()]
    if dimension.kind == "choice":
        _check_difference(dimension, built, place)


def require_same_metrics(
    described: TrainableDescription,
    values: Mapping[str, Value],
    dimension: Dimension,
    search: Sequence[Dimension],
    path: str,
) -> None:
    """Check that all values of a searched field leave the metrics as they are.

    Args:
        described: The trainable.
        values: Values of fields without which its Config is not valid.
        dimension: The searched field.
        search: All dimensions, which hold the conditions of this one.
        path: Path of the file, for errors.

    Raises:
        InputError: If trials with different values would report different metrics.
    """
    values = dict(values) | _conditions(dimension, search)
    expected = [metric.name for metric in list_metrics(described, values)]
    for value in dimension.boundary_values():
        try:
            config = build_config(described.config, values | {dimension.name: value})
        except (ValidationError, InputError):  # other values may permit this one; the draws of points count it
            continue
        if [metric.name for metric in hooks.reported_metrics(config, described.metrics)] != expected:
            raise InputError(
                f"{path}: search.{dimension.name}",
                "a field that decides which metrics are reported must be fixed: trials with different ones cannot be compared",
                value=value,
                remedy=f"write one of its values under  fixed: {{{dimension.name}: …}}",
            )


def _conditions(dimension: Dimension, search: Sequence[Dimension]) -> dict[str, Value]:
    """Return values of other fields with which a dimension is active."""
    by_name = {other.name: other for other in search}
    result: dict[str, Value] = {}
    for name, allowed in dimension.when:
        if not name.startswith(DATASET):
            result |= {name: allowed[0]} | _conditions(by_name[name], search)
    return result


def _check_interior(config: type[BaseModel], values: Mapping[str, Value], dimension: Dimension, place: str) -> None:
    """Check that a field takes numbers that are no integers, whatever validators it has."""
    try:
        build_config(config, dict(values) | {dimension.name: field_types.interior_value(dimension)})
    except InputError:  # a validator failed; the draws of points count it
        return
    except ValidationError as error:
        if dimension.step is None and field_types.is_type_error(error, dimension.name):
            raise field_types.integer_error(dimension, place) from error


def _check_value(
    config: type[BaseModel], values: Mapping[str, Value], dimension: Dimension, value: Value, path: str
) -> Any:
    """Return the value that the Config makes of a choice or bound; None if a rule refuses it that others may keep."""
    try:
        built = build_config(config, dict(values) | {dimension.name: value})
    except InputError:
        return None
    except ValidationError as error:
        if _is_final(error, dimension):
            raise explain_validation(error, config, lambda key: f"{path}: search.{key or dimension.name}") from error
        return None
    return flatten_names(built.model_dump()).get(dimension.name)


def _is_final(error: ValidationError, dimension: Dimension) -> bool:
    """Return whether an error concerns the value itself, so that no other values of the trial mend it."""
    parts = dimension.name.split(".")
    for details in error.errors():
        kind = details["type"]
        own = list(map(str, details["loc"]))[: len(parts)] == parts
        if own and not (kind in _DEPENDENT and (dimension.kind != "choice" or kind != "multiple_of")):
            return True
    return False


def _check_difference(dimension: Dimension, built: Sequence[Any], place: str) -> None:
    """Check that no two choices, such as 1 and 1.0, become the same value."""
    for second, value in enumerate(dimension.choices):
        for first, other in enumerate(dimension.choices[:second]):
            equal = other == value or is_equal_number(other, value)
            if equal and built[first] is not None and is_same_value(built[first], built[second]):
                raise InputError(
                    place, "choices must differ", value=[other, value], remedy="remove one of them: the field is equal"
                )
