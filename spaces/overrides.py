"""Change a space file before it is parsed, by `--set`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets.config_file import assign_value, read_change, splits_written_out
from spaces.schema import SpaceFile, flatten_names


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply `dotted.name=value` options.

    A name that starts with a key of the file (`dataset.train`, `budget.trials`) changes that; any other is taken for a
    field of the trainable's Config, fixed to the value and no longer searched.
    """
    for override in overrides:
        name, value = read_change(override, "budget.trials=8")
        data = splits_written_out(_apply_override(data, name, value))
    return data


def _apply_override(data: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    head, _, rest = name.partition(".")
    if head not in SpaceFile.model_fields:
        search = {key: v for key, v in (data.get("search") or {}).items() if key != name}
        return data | {"fixed": flatten_names(data.get("fixed") or {}) | {name: value}, "search": search}
    if not rest:
        return data | {head: value}
    if head in ("search", "fixed", "inner"):  # their keys are dotted names themselves
        return data | {head: (data.get(head) or {}) | {rest: value}}
    return assign_value(data, name, value)
