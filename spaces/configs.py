"""Building of Configs from values by dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ValidationError

from runtime.errors import InputError
from spaces.schema import Space, Value, nest_names
from trainables import hooks, registry
from trainables.contract import Metric
from trainables.registry import TrainableDescription


def list_metrics(described: TrainableDescription, values: Mapping[str, Value]) -> tuple[Metric, ...]:
    """Return the metrics of a trainable with these values of its Config; those it declares if they are incomplete or wrong.

    Raises:
        InputError: If its hook `reported_metrics` raises an exception, or returns anything but metrics.
    """
    try:
        config = build_config(described.config, values)
    except (ValidationError, InputError):
        return described.metrics
    return hooks.reported_metrics(config, described.metrics)


def describe_space(space: Space) -> TrainableDescription:
    """Return the description of the trainable of a space, with the metrics that its trials report."""
    described = registry.describe_trainable(space.trainable, "trainable")
    return replace(described, metrics=list_metrics(described, space.config_values(space.baseline)))


def build_config(config: type[BaseModel], values: Mapping[str, Value]) -> BaseModel:
    """Return the Config with these values by dotted name.

    Raises:
        ValidationError: If it refuses them.
        InputError: If one of its validators raises an exception that pydantic does not take for a refusal.
    """
    try:
        return config.model_validate(nest_names(values))
    except ValidationError:
        raise
    except Exception as error:
        raise InputError(
            f"{config.__module__}.{config.__qualname__}",
            "a validator must raise ValueError for values that it refuses",
            value=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            remedy="change the validator of the Config, or the values in the space",
        ) from error
