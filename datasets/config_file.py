"""Reading of YAML files that describe a dataset, alone or as part of a space, with profiles and overrides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from datasets.building.spec import DatasetSpec
from datasets.registry import KINDS, AnySpec, kind_of, spec_class
from datasets.rooms.spec import LocalizerSpec
from datasets.rooms.variants import with_changes
from runtime import validation
from runtime.errors import InputError, suggest_name

LAPTOP: Final = "laptop"
"""Name of the profile that applies by default on a machine without a GPU."""
SYNONYMS: Final = {"inference": "inner", "initial_points": "start"}
"""Keys of a space that are accepted in place of others."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        InputError: If the file cannot be read or contains no mapping.
    """
    if path.is_dir():
        raise InputError(str(path), "a space must be a file", value="a folder", remedy="name one of the files in it")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path("spaces")
        neighbours = [str(other) for other in sorted(folder.glob("*.yaml"))]
        remedy = suggest_name(str(path), neighbours) if neighbours else "name a YAML file"
        raise InputError(str(path), "the space file must exist", remedy=remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            str(path), "the space file must be readable text", value=str(error), remedy="name a YAML file"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(where, "the file must be valid YAML", value=problem, remedy="correct that line") from error
    if data is None:
        raise InputError(str(path), "a space file must not be empty", remedy="start from spaces/rg_rep.yaml")
    if not isinstance(data, dict):
        raise InputError(
            str(path), "a space must be a mapping of keys to values", value=data, remedy="start from spaces/rg_rep.yaml"
        )
    return data


def choose_profile(profiles: Mapping[str, Any], wanted: str | None, path: Path, *, has_gpu: bool) -> str | None:
    """Return the name of the profile that applies: the requested one, or `laptop` on a machine without a GPU.

    Returns:
        Name of the profile, or None if no profile applies.

    Raises:
        InputError: If the requested profile does not exist.
    """
    if wanted == "full":
        return None
    if wanted is None:
        return LAPTOP if LAPTOP in profiles and not has_gpu else None
    if wanted not in profiles:
        raise InputError(
            f"{path}: profiles",
            "the profile must exist",
            value=wanted,
            remedy=suggest_name(wanted, [*profiles, "full"]),
        )
    return wanted


def with_profile(
    data: Mapping[str, Any], path: Path, wanted: str | None, *, has_gpu: bool
) -> tuple[dict[str, Any], str | None]:
    """Merge the profile that applies into the content of a file.

    Returns:
        The content without the profiles, and the name of the applied profile or None.

    Raises:
        InputError: If the profiles are not a mapping, or the requested one does not exist.
    """
    rest = splits_written_out(data)
    profiles = rest.pop("profiles", None) or {}
    if not isinstance(profiles, dict):
        raise InputError(
            f"{path}: profiles", "profiles must be a mapping by name", value=profiles, remedy="write  laptop: {…}"
        )
    chosen = choose_profile(profiles, wanted, path, has_gpu=has_gpu)
    if chosen is None:
        return rest, None
    return merge_mappings(rest, splits_written_out(profiles[chosen] or {}), f"{path}: profiles.{chosen}"), chosen


def merge_mappings(data: Mapping[str, Any], change: Any, place: str) -> dict[str, Any]:
    """Merge two nested mappings; null removes a key, and any other value replaces the previous one."""
    if not isinstance(change, dict):
        raise InputError(place, "a profile must be a mapping", value=change, remedy="write keys of the space below it")
    result = dict(data)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict) and not _is_leaf(value):
            result[key] = merge_mappings(result[key], value, f"{place}.{key}")
        else:
            result[key] = value
    return result


def _is_leaf(value: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a dimension or a sweep, which a profile replaces as a whole."""
    return bool({"uniform", "log_uniform", "int", "log_int", "choice", "range"} & set(value))


def splits_written_out(data: Any) -> Any:
    """Return the content with `train: 4000` written as `train: {samples: 4000}`, to which a profile can add keys."""
    if not isinstance(data, dict) or not isinstance(data.get("dataset"), dict):
        return dict(data) if isinstance(data, dict) else data
    dataset = {
        key: {"samples": value} if key in ("train", "validate") and type(value) is int else value
        for key, value in data["dataset"].items()
    }
    return data | {"dataset": dataset}


def assign_value(data: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return a copy of nested mappings with one dotted name set; values on its path become mappings."""
    head, _, rest = name.partition(".")
    if not rest:
        return dict(data) | {head: value}
    inside = data.get(head)
    return dict(data) | {head: assign_value(inside if isinstance(inside, dict) else {}, rest, value)}


def read_change(text: str, example: str) -> tuple[str, Any]:
    """Split the value of a `--set` option, `dotted.name=value`.

    Args:
        text: Value of the option.
        example: Valid value, for errors.

    Returns:
        The dotted name and the parsed value.

    Raises:
        InputError: If the text has another form, or its value is not valid YAML.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise InputError(
            "--set", "an override must have the form dotted.name=value", value=text, remedy=f"e.g. --set {example}"
        )
    try:
        return name.strip(), parse_number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise InputError(f"--set {name}", "the value must be valid YAML", value=value, remedy="quote it") from error


def parse_number(value: Any) -> Any:
    """Return text such as 1e-3, which YAML 1.1 does not read as a number, as a number; return other values unchanged."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def parse_numbers(value: Any) -> Any:
    """Apply `parse_number` to all text in nested values that may be a number in exponential notation."""
    if isinstance(value, dict):
        return {key: parse_numbers(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [parse_numbers(inside) for inside in value]
    return parse_number(value) if isinstance(value, str) and "e" in value.lower() else value


def explain_validation(error: ValidationError, model: type[BaseModel], place: Callable[[str], str]) -> InputError:
    """Return the error for a user that corresponds to pydantic's first one, for a model that may contain a dataset.

    Args:
        error: Error that pydantic raised.
        model: Model that was validated.
        place: Function from a dotted name to the place in the file; an empty name is the model itself.
    """
    kinds = {name: kind.spec for name, kind in KINDS.items()}
    # A space has profiles and synonyms of keys, which are resolved before its model is built.
    more_keys = ("profiles", *SYNONYMS) if "trainable" in model.model_fields else ()
    return validation.explain_validation(error, model, place, kinds=kinds, more_keys=more_keys)


def read_specs(
    path: Path, *, has_gpu: bool, profile: str | None = None, changes: Mapping[str, Any] | None = None
) -> list[DatasetSpec]:
    """Read the datasets that a file describes.

    Args:
        path: Space, or file with the keys of a dataset alone.
        has_gpu: Whether the machine has a GPU; without one, the profile `laptop` applies if the file has it.
        profile: Name of a profile; `full` for none.
        changes: Values of fields of the dataset by dotted name.

    Returns:
        The dataset of the file, followed by the variants for all choices of `dataset.train.…` in its search.

    Raises:
        InputError: If the file, the profile or a field is invalid.
    """
    data = read_yaml(path)
    if "dataset" not in data:
        data = {"dataset": data}
    data, _ = with_profile(data, path, profile, has_gpu=has_gpu)
    for name, value in (changes or {}).items():
        data = splits_written_out(assign_value(data, f"dataset.{name}", value))
    spec = _parse_spec(parse_numbers(data["dataset"]), path)
    search = data.get("search") or {}
    asked = {
        name.removeprefix("dataset."): written["choice"]
        for name, written in search.items()
        if name.startswith("dataset.train.") and isinstance(written, dict) and isinstance(written.get("choice"), list)
    }
    if not isinstance(spec, LocalizerSpec) or not asked:
        return [spec]
    points = (dict(zip(asked, values, strict=True)) for values in itertools.product(*asked.values()))
    return [spec, *(with_changes(spec, point) for point in points)]


def _parse_spec(written: Any, path: Path) -> DatasetSpec:
    try:
        return TypeAdapter[DatasetSpec](AnySpec).validate_python(written)
    except ValidationError as error:
        model = spec_class(kind_of(written))
        raise explain_validation(error, model, lambda key: f"{path}: dataset.{key}") from error
