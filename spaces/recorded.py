"""Dimensions of a space as its identity records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces.schema import Dimension


def read_dimensions(identity: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """Return the dimensions of a recorded space.

    Args:
        identity: Content of `space.json`.
    """
    return tuple(read_dimension(name, described) for name, described in identity["search"].items())


def read_dimension(name: str, described: Any) -> Dimension:
    """Return a dimension from its description in an identity."""
    kind, low, high, choices, when, *step = described
    return Dimension(name, kind, low, high, tuple(choices), tuple((n, tuple(v)) for n, v in when), *step)
