"""Changes to the content of a space file before it is parsed: `--set` options and synonyms of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets.config_file import SYNONYMS, assign_value, list_position, read_change, splits_written_out
from runtime.errors import InputError, suggest_name
from spaces.schema import SpaceFile, flatten_names
from spaces.values import is_equal_number, is_same_value, to_text


def resolve_synonyms(data: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the content of a space file, and of its profiles, in one form.

    Synonyms are replaced by the keys they stand for, names under `fixed` are dotted, and empty mappings are mappings.

    Raises:
        InputError: If a key and its synonym are both given, or a field is fixed twice.
    """
    renamed = _rename_keys(data, f"{path}: ")
    empty: dict[str, Any] = {
        "fixed": {},
        "search": {},
        "inner": {},
        "start": [],
        "warm_start": [],
        "constraints": [],
    }  # keys with comments only
    renamed |= {key: value for key, value in empty.items() if key in renamed and renamed[key] is None}
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
    renamed = {SYNONYMS.get(key, key): value for key, value in data.items()}
    if isinstance(fixed := renamed.get("fixed"), dict):
        renamed["fixed"] = _flatten_fixed(fixed, prefix)
    return renamed


def _flatten_fixed(fixed: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in fixed.items():
        values = flatten_names({key: value}) if value != {} else {}
        for name in values:
            if name in flat:
                rule = "a field must be fixed once; it is written with a dotted name and inside a mapping"
                raise InputError(f"{prefix}fixed.{name}", rule, remedy="remove one of the two")
        flat |= values
    return flat


def apply_overrides(
    data: dict[str, Any],
    overrides: Sequence[str],
    arguments: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Apply `dotted.name=value` options.

    A name that starts with a key of the file, such as `dataset.train` or `budget.trials`, changes that key. Any other
    name is a field of the trainable's Config, which is fixed to the value. A field that is fixed is no longer searched,
    and the points of `baseline` and `start` lose it.

    Args:
        data: Content of the file with the profile merged into it.
        overrides: `--set` options.
        arguments: Values of other options by dotted name, applied last and as they are.
        defaults: Values that fields of the Config have when they are removed from the search.

    Returns:
        The changed content, and remarks for the plan on what else the options change.

    Raises:
        InputError: If an option is malformed, or removes what does not exist.
    """
    changes = [read_change(override, "budget.trials=8") for override in overrides] + list((arguments or {}).items())
    names = [name for name, _ in changes]
    remarks = [
        f"{name} is given {names.count(name)} times; the last value, {to_text(dict(changes)[name])}, applies"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    settled: dict[str, Any] = {}
    places: dict[str, list[str]] = {}
    for name, value in changes:
        before = data
        data, values = _apply_override(data, name, value)
        settled |= values
        places |= _find_freed(before, data, values)
        data = splits_written_out(data)
    removed = {name: value for name, value in (defaults or {}).items() if name in places and name not in settled}
    for name, words in places.items():
        value = f"is fixed to {to_text(settled[name])}" if name in settled else "has its default"
        value += f", {to_text(removed[name])}" if name in removed else ""
        remarks.append(f"{name} {value}: no longer {' nor '.join(words)}")
    data, dropped = resolve_conditions(data, removed | settled)
    return data, (*remarks, *dropped)


def list_origins(overrides: Sequence[str], arguments: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, str]:
    """Return the option that sets each key of the file, for errors.

    Args:
        overrides: `--set` options.
        arguments: Values of other options by dotted name.
        options: Names of these options by dotted name.
    """
    origins = {name: options.get(name, f"--set {name}") for name in arguments}
    for override in overrides:
        name = override.partition("=")[0].strip()
        head, dot, rest = name.partition(".")
        head = SYNONYMS.get(head, head)
        key = f"{head}{dot}{rest}" if head in SpaceFile.model_fields else f"fixed.{name}"
        origins.setdefault(key, f"--set {name}")
    return origins


def _apply_override(data: dict[str, Any], name: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apply one option; return the content, and the values of the fields that it fixes by dotted name."""
    head, _, rest = name.partition(".")
    head = SYNONYMS.get(head, head)
    if head == "profiles":
        rule = "--set changes the keys of the file after the profile has been applied"
        raise InputError(f"--set {name}", rule, remedy=f"--set {rest.partition('.')[2] or 'budget.trials'}=…")
    if head not in SpaceFile.model_fields:
        if value == {}:
            rule = "a group of fields must have at least one value"
            raise InputError(f"--set {name}", rule, remedy=f'--set "{name}={{field: value}}"')
        return _fix_fields(data, _flat_values(name, value))
    if not rest:
        return _replace_key(data, head, value)
    if head in ("search", "fixed", "inner"):  # keys of these mappings are dotted names
        return _change_named(data, head, rest, value)
    if head in ("baseline", "start"):
        return _change_point(data, head, rest, value), {}
    data = assign_value(data, f"{head}.{rest}", value)
    return _free_fields(data, _flat_values(f"{head}.{rest}", value) if head == "dataset" else {})


def _flat_values(name: str, value: Any) -> dict[str, Any]:
    return flatten_names({name: value}) if isinstance(value, dict) and value else {name: value}


def _replace_key(data: dict[str, Any], head: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if value is None:
        _require_present(head, data, f"--set {head}")
        return {key: inside for key, inside in data.items() if key != head}, {}
    if head == "fixed" and isinstance(value, dict):
        return _fix_fields(data | {"fixed": {}}, flatten_names(value))
    before = data.get(head)
    data = data | {head: value}
    if head == "search" and isinstance(value, dict):
        removed = [name for name in (before if isinstance(before, dict) else ()) if name not in value]
        return _free_fields(_without_fixed(data, value), dict.fromkeys(removed), is_known=False)
    return _free_fields(data, flatten_names({head: value}) if head == "dataset" and isinstance(value, dict) else {})


def _change_named(data: dict[str, Any], head: str, name: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Change an entry of `search`, `fixed` or `inner`; null removes it."""
    entries = data.get(head)
    entries = dict(entries) if isinstance(entries, dict) else {}
    if value is None:
        _require_present(name, entries, f"--set {head}.{name}")
        del entries[name]
        return _free_fields(data | {head: entries}, {name: None} if head == "search" else {}, is_known=False)
    if head == "fixed":
        return _fix_fields(data, _flat_values(name, value))
    entry = next((key for key in entries if name.startswith(f"{key}.") and isinstance(entries[key], dict)), None)
    entries |= {name: value} if entry is None else {entry: assign_value(entries[entry], name[len(entry) + 1 :], value)}
    return (_without_fixed(data, entries) if head == "search" else data) | {head: entries}, {}


def _without_fixed(data: dict[str, Any], searched: Iterable[str]) -> dict[str, Any]:
    fixed = data.get("fixed")
    return data | {"fixed": _without(flatten_names(fixed), searched)} if isinstance(fixed, dict) else data


def _change_point(data: dict[str, Any], head: str, rest: str, value: Any) -> dict[str, Any]:
    """Change one value of the baseline, or of a point of `start`; names inside a point are dotted."""
    if head == "baseline":
        inside = data.get("baseline")
        return data | {"baseline": (inside if isinstance(inside, dict) else {}) | {rest: value}}
    points = list(data.get("start") or ())
    part, _, name = rest.partition(".")
    position = list_position(points, part, f"start.{rest}")
    point = points[position]
    points[position] = (point if isinstance(point, dict) else {}) | {name: value} if name else value
    return data | {"start": points}


def _require_present(name: str, entries: Mapping[str, Any], place: str) -> None:
    if name not in entries:
        raise InputError(place, "null removes a key, which must exist", remedy=suggest_name(name, entries))


def _fix_fields(data: dict[str, Any], values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    fixed = data.get("fixed")
    data = data | {"fixed": (flatten_names(fixed) if isinstance(fixed, dict) else {}) | values}
    return _free_fields(data, values)


def _free_fields(
    data: dict[str, Any], values: Mapping[str, Any], *, is_known: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Remove fields from `search`, `baseline` and `start`; points that become empty are removed."""
    result = dict(data)
    for key in ("search", "baseline"):
        if isinstance(inside := data.get(key), dict):
            result[key] = _without(inside, values)
    if data.get("baseline") and result["baseline"] == {}:
        result["baseline"] = "paper"
    if isinstance(points := data.get("start"), list):
        kept = [_without(point, values) if isinstance(point, dict) else point for point in points]
        result["start"] = [point for point, before in zip(kept, points, strict=True) if point != {} or before == {}]
    return result, dict(values) if is_known else {}


def _without(mapping: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def _find_freed(before: Mapping[str, Any], after: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return where every field was that an option fixes or removes from the search: searched, or in a named point."""
    search = [set(data["search"]) if isinstance(data.get("search"), dict) else set() for data in (before, after)]
    baseline, start = before.get("baseline"), before.get("start")
    points = [("part of baseline", baseline)] * isinstance(baseline, dict)
    points += [(f"part of start.{n}", point) for n, point in enumerate(start if isinstance(start, list) else ())]
    return {
        name: words
        for name in dict.fromkeys([*values, *sorted(search[0] - search[1])])
        if (
            words := ["searched"] * (name in search[0])
            + [key for key, p in points if isinstance(p, dict) and name in p]
        )
    }


def resolve_conditions(data: dict[str, Any], settled: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Resolve conditions on fields that are fixed.

    A dimension whose condition holds is always active; one whose condition does not hold is not searched.

    Args:
        data: Content of the file.
        settled: Values of further fields that are fixed, such as those of the dataset, by dotted name.

    Returns:
        The changed content, and one remark per resolved condition.
    """
    fixed, search = data.get("fixed"), data.get("search")
    known = {**(flatten_names(fixed) if isinstance(fixed, dict) else {}), **settled}
    remarks: list[str] = []
    never: dict[str, str] = {}
    while isinstance(search, dict):
        found = _find_resolvable(search, known, never)
        if found is None:
            break
        name, condition, holds = found
        reason = never.get(condition) or f"{condition} is {to_text(known.get(condition))}"
        if holds:
            conditions = _without(search[name]["when"], (condition,))
            search = search | {name: _without(search[name], ("when",)) | ({"when": conditions} if conditions else {})}
            remarks.append(f"{name} is always active, since {reason}")
        else:
            never[name] = f"{name} is not searched"
            search = _without(search, (name,))
            remarks.append(f"{name} is not searched, since {reason}")
    if not remarks:
        return data, []
    return _free_fields(data | {"search": search}, never)[0], remarks


def _find_resolvable(
    search: Mapping[str, Any], known: Mapping[str, Any], never: Mapping[str, str]
) -> tuple[str, str, bool] | None:
    """Return a dimension, a condition of it on a field that is not searched, and whether it holds."""
    for name, written in search.items():
        conditions = written.get("when") if isinstance(written, dict) else None
        for condition, allowed in conditions.items() if isinstance(conditions, dict) else ():
            if condition in search or condition not in {**known, **never}:
                continue
            holds = condition not in never and _is_allowed(known[condition], allowed)
            return name, condition, holds
    return None


def _is_allowed(value: Any, allowed: Any) -> bool:
    """Return whether a condition holds for a value: the value itself, or a list that contains it."""
    values = [allowed, *(allowed if isinstance(allowed, list) else ())]
    return any(is_same_value(value, other) or is_equal_number(value, other) for other in values)
