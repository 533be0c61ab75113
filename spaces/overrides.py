"""Changes to the content of a space file before it is parsed: `--set` options and synonyms of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.config_file import SYNONYMS, assign_value, read_change, splits_written_out
from runtime.errors import InputError
from spaces.schema import SpaceFile, flatten_names


def resolve_synonyms(data: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the content of a space file, and of its profiles, with synonyms replaced by the keys they stand for.

    Raises:
        InputError: If a key and its synonym are both given.
    """
    renamed = _rename_keys(data, f"{path}: ")
    profiles = renamed.get("profiles")
    if isinstance(profiles, dict):
        renamed["profiles"] = {
            name: _rename_keys(profile, f"{path}: profiles.{name}.") if isinstance(profile, dict) else profile
            for name, profile in profiles.items()
        }
    return renamed


def _rename_keys(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    for synonym, key in SYNONYMS.items():
        if synonym in data and key in data:
            raise InputError(
                f"{prefix}{synonym}",
                f"`{synonym}` and `{key}` are two names of the same key, of which one can be given",
                remedy=f"move all values below {key}, and remove {synonym}",
            )
    return {SYNONYMS.get(key, key): value for key, value in data.items()}


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply `dotted.name=value` options.

    A name that starts with a key of the file, such as `dataset.train` or `budget.trials`, changes that key. Any other
    name is a field of the trainable's Config, which is fixed to the value and removed from the search.
    """
    for override in overrides:
        name, value = read_change(override, "budget.trials=8")
        data = splits_written_out(_apply_override(data, name, value))
    return data


def _apply_override(data: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    head, _, rest = name.partition(".")
    head = SYNONYMS.get(head, head)
    if head not in SpaceFile.model_fields:
        search = {key: v for key, v in (data.get("search") or {}).items() if key != name}
        return data | {"fixed": flatten_names(data.get("fixed") or {}) | {name: value}, "search": search}
    if not rest:
        return data | {head: value}
    if head in ("search", "fixed", "inner"):  # keys of these mappings are dotted names
        return data | {head: (data.get(head) or {}) | {rest: value}}
    return assign_value(data, f"{head}.{rest}", value)
