"""Change a space file before it is parsed: profiles merged in, `--set` applied, numbers read as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from datasets.errors import InputError
from spaces.schema import SpaceFile, flattened


def overlay(data: Mapping[str, Any], change: Any, place: str) -> dict[str, Any]:
    """Merge mappings; a null removes a key; anything else replaces."""
    if not isinstance(change, dict):
        raise InputError(place, "a profile is a mapping", value=change, remedy="write keys of the space below it")
    result = dict(data)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict) and not _is_leaf(value):
            result[key] = overlay(result[key], value, f"{place}.{key}")
        else:
            result[key] = value
    return result


def _is_leaf(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is one value: a dimension or an inner sweep, replaced whole."""
    return bool({"uniform", "log_uniform", "int", "log_int", "choice", "range"} & set(value))


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply `dotted.name=value` options.

    A name that starts with a key of the file (`dataset.train`, `budget.trials`) changes that; any other is taken for a
    field of the trainable's Config, fixed to the value and no longer searched.
    """
    for override in overrides:
        name, equals, text = override.partition("=")
        if not (equals and name.strip()):
            raise InputError(
                "--set", "an override is written dotted.name=value", value=override, remedy="e.g. --set budget.trials=8"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {name}", "the value must be valid YAML", value=text, remedy="quote it") from error
        data = _set(data, name.strip(), _number(value))
    return data


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; nobody who writes it means text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _set(data: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    head, _, rest = name.partition(".")
    if head not in SpaceFile.model_fields:
        search = {key: v for key, v in (data.get("search") or {}).items() if key != name}
        return data | {"fixed": flattened(data.get("fixed") or {}) | {name: value}, "search": search}
    if not rest:
        return data | {head: value}
    if head in ("search", "fixed", "inner"):  # their keys are dotted names themselves
        return data | {head: (data.get(head) or {}) | {rest: value}}
    part = data.get(head)
    place, result = (dict(part) if isinstance(part, dict) else {}), data
    result = data | {head: place}
    *parents, last = rest.split(".")
    for parent in parents:
        inside = place.get(parent)
        place[parent] = dict(inside) if isinstance(inside, dict) else {}
        place = place[parent]
    place[last] = value
    return result


def numbers(value: Any) -> Any:
    """Read 1e-4 as a number everywhere in the file."""
    if isinstance(value, dict):
        return {key: numbers(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [numbers(inside) for inside in value]
    return _number(value) if isinstance(value, str) and "e" in value.lower() else value
