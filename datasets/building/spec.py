"""Bases of the descriptions of datasets. Imports neither torch nor scipy, so that mistakes are reported at once."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

PROCEDURAL: Final = "procedural"
"""Name of the sound that is synthesised from a seed, in place of a folder."""
_RANGE: Final = re.compile(r"(-?[\d.]+)(?:\s*-\s*(-?[\d.]+))?")


class Frozen(BaseModel):
    """An immutable value that refuses unknown keys, infinite numbers, and booleans as numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false where a number is expected, which pydantic takes for 1 and 0."""
        if (
            isinstance(value, bool)
            and info.field_name
            and takes_numbers_only(cls.model_fields[info.field_name].annotation)
        ):
            raise ValueError(f"a number must be written in digits, not as {str(value).lower()}, yes, no, on or off")
        return value


def takes_numbers_only(annotation: Any) -> bool:
    """Return whether a field takes numbers and no booleans."""
    leaves = set(_list_leaves(annotation))
    return bool(leaves & {int, float}) and not leaves & {bool, Any}


def _list_leaves(annotation: Any) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments or origin is Literal:
        yield annotation
        return
    for argument in arguments[:1] if origin is Annotated else arguments:
        yield from _list_leaves(argument)


class DatasetSpec(Frozen):
    """Description of a dataset of any kind.

    Attributes:
        kind: Name of the kind in `datasets.registry`.
    """

    kind: str

    @abstractmethod
    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""

    def with_train_seed(self, seed: int) -> DatasetSpec:
        """Return the description with training data of another seed and the same other splits.

        The default is the description itself, for data that is not simulated.
        """
        del seed
        return self


def parse_range(value: object) -> tuple[Any, Any] | None:
    """Read `1-2` as (1, 2) and `2` as (2, 2); return None for any other form."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, str) and (match := _RANGE.fullmatch(value.strip())):
        return (match[1], match[2] or match[1])
    return None


def validate_range(value: object) -> object:
    """Return a range read from its short form, or the value itself for pydantic to judge."""
    parsed = parse_range(value)
    return value if parsed is None else parsed


Range = Annotated[tuple[float, float], BeforeValidator(validate_range)]
"""Limits of a uniform draw; written [low, high], `low-high` or as one number."""


def require_ordered(name: str, value: tuple[float, float], *, least: float | None = None) -> None:
    """Check that a range starts with its smaller number.

    Args:
        name: Name of the field, for the error.
        value: The range.
        least: Smallest number that it may start with.

    Raises:
        ValueError: If the range is reversed, or starts too low.
    """
    low, high = value
    if low > high:
        raise ValueError(f"{name} is reversed: {[low, high]}; write the smaller number first")
    if least is not None and low < least:
        raise ValueError(f"{name} starts at {least:g} or above, got {low:g}")
