"""Bases of the descriptions of datasets. Imports neither torch nor scipy, so that mistakes are reported at once."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict

PROCEDURAL: Final = "procedural"
"""Name of the sound that is synthesised from a seed, in place of a folder."""
_RANGE: Final = re.compile(r"(-?[\d.]+)(?:\s*-\s*(-?[\d.]+))?")


class Frozen(BaseModel):
    """An immutable value that refuses unknown keys and infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSpec(Frozen):
    """Description of a dataset of any kind.

    Attributes:
        kind: Name of the kind in `datasets.registry`.
    """

    kind: str

    @abstractmethod
    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""


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
