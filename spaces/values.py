"""Values of parameters: equality that distinguishes 1, 1.0 and true, and text as YAML writes them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any


def is_same_value(one: object, other: object) -> bool:
    """Return whether two values are equal and of one type; Python itself takes 1, 1.0 and true for equal."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same_value, one, other))
    return type(one) is type(other) and one == other


def is_equal_number(one: object, other: object) -> bool:
    """Return whether two values are the same number, of either type; true and false are not numbers."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            is_same_value(a, b) or is_equal_number(a, b) for a, b in zip(one, other, strict=True)
        )
    return numbers and one == other


def to_plain(value: Any) -> Any:
    """Return the value of a Config field as a file would give it: a member of an enumeration as its value, a tuple as a list."""
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [to_plain(inside) for inside in value]
    if isinstance(value, set | frozenset):
        return sorted((to_plain(inside) for inside in value), key=repr)
    return value


def is_plain(value: object) -> bool:
    """Return whether a value is a number, text, a boolean, None, or a list of them, as a file and the study hold."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def to_text(value: object) -> str:
    """Return a value as text: null and lists as YAML writes them, everything else as Python does."""
    if value is None or isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def quote_value(value: object) -> str:
    """Return a value as text for an error, with text in quotes and true and false as YAML writes them."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else to_text(value)
