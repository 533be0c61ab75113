"""Building of Configs from values by dotted name."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from runtime.errors import InputError
from spaces.schema import Value, nest_names


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
