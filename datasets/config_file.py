"""Read what a dataset is from a YAML file: a space, or a file with the `dataset` part alone; with profiles and changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from datasets.registry import KINDS, AnySpec, DataSpec, kind_of
from datasets.rooms.spec import LocalizerSpec, RoomSpec
from datasets.rooms.variants import with_changes
from runtime.errors import InputError, suggest_name

LAPTOP: Final = "laptop"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: If there is none.
    """
    if path.is_dir():
        raise InputError(str(path), "a space is a file", value="a folder", remedy="name one of the files in it")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = [
            str(other) for other in sorted((path.parent if path.parent.is_dir() else Path("spaces")).glob("*.yaml"))
        ]
        remedy = suggest_name(str(path), beside) if beside else "name a YAML file"
        raise InputError(str(path), "the space file must exist", remedy=remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            str(path), "the space file must be readable text", value=str(error), remedy="name a YAML file"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(where, "the file must be valid YAML", value=problem, remedy="mend that line") from error
    if data is None:
        raise InputError(str(path), "a space file must not be empty", remedy="start from spaces/rg_rep.yaml")
    if not isinstance(data, dict):
        raise InputError(
            str(path), "a space is a mapping of keys to values", value=data, remedy="start from spaces/rg_rep.yaml"
        )
    return data


def choose_profile(profiles: Mapping[str, Any], wanted: str | None, path: Path, *, has_gpu: bool) -> str | None:
    """The profile that applies: the one asked for, or `laptop` where there is no GPU; None for none.

    Raises:
        InputError: If the file has no such profile.
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
    """Take the profiles out of a file's content, and lay the one that applies over the rest.

    Returns:
        The content without profiles, and the name of the one that was applied.

    Raises:
        InputError: If the profiles are no mapping, or have not the one asked for.
    """
    rest = splits_written_out(data)
    profiles = rest.pop("profiles", None) or {}
    if not isinstance(profiles, dict):
        raise InputError(
            f"{path}: profiles", "profiles are a mapping by name", value=profiles, remedy="write  laptop: {…}"
        )
    chosen = choose_profile(profiles, wanted, path, has_gpu=has_gpu)
    if chosen is None:
        return rest, None
    return merge_mappings(rest, splits_written_out(profiles[chosen] or {}), f"{path}: profiles.{chosen}"), chosen


def merge_mappings(data: Mapping[str, Any], change: Any, place: str) -> dict[str, Any]:
    """Merge mappings; a null removes a key; anything else replaces."""
    if not isinstance(change, dict):
        raise InputError(place, "a profile is a mapping", value=change, remedy="write keys of the space below it")
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
    """Whether a mapping is one value: a dimension or an inner sweep, replaced whole."""
    return bool({"uniform", "log_uniform", "int", "log_int", "choice", "range"} & set(value))


def splits_written_out(data: Any) -> Any:
    """Write `train: 4000` as `train: {samples: 4000}`, so that a profile or a change may add to it."""
    if not isinstance(data, dict) or not isinstance(data.get("dataset"), dict):
        return dict(data) if isinstance(data, dict) else data
    dataset = {
        key: {"samples": value} if key in ("train", "validate") and type(value) is int else value
        for key, value in data["dataset"].items()
    }
    return data | {"dataset": dataset}


def assign_value(data: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings with one dotted name set; what is no mapping on the way is replaced by one."""
    head, _, rest = name.partition(".")
    if not rest:
        return dict(data) | {head: value}
    inside = data.get(head)
    return dict(data) | {head: assign_value(inside if isinstance(inside, dict) else {}, rest, value)}


def read_change(text: str, example: str) -> tuple[str, Any]:
    """Read a `--set` option, `dotted.name=value`.

    Args:
        text: As it was given.
        example: What to offer if it is wrong.

    Raises:
        InputError: If it is no such thing, or its value is no YAML.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise InputError(
            "--set", "an override is written dotted.name=value", value=text, remedy=f"e.g. --set {example}"
        )
    try:
        return name.strip(), parse_number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise InputError(f"--set {name}", "the value must be valid YAML", value=value, remedy="quote it") from error


def parse_number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; nobody who writes it means text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def parse_numbers(value: Any) -> Any:
    """Read 1e-4 as a number everywhere in the file."""
    if isinstance(value, dict):
        return {key: parse_numbers(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [parse_numbers(inside) for inside in value]
    return parse_number(value) if isinstance(value, str) and "e" in value.lower() else value


def explain_validation(error: ValidationError, model: type[BaseModel], place: Callable[[str], str]) -> InputError:
    """Turn pydantic's first complaint into ours; a misspelt key comes before the missing one it leaves behind."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    location = [str(part) for n, part in enumerate(first["loc"]) if not (n <= 1 and part in KINDS)]
    where = place(".".join(location) or "the file")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        remedy = suggest_name(
            location[-1],
            _names_beside(model, location[:-1], next((str(p) for p in first["loc"][:2] if p in KINDS), "")),
        )
        return InputError(where, "the key must be known", value=location[-1], remedy=remedy)
    if first["type"] == "union_tag_invalid":
        named = first["ctx"]["tag"]
        return InputError(
            f"{where}.kind", "the kind of data must be known", value=named, remedy=suggest_name(named, KINDS)
        )
    if first["type"] == "missing":
        return InputError(where, "the key is required", remedy=f"add  {location[-1]}: …")
    value = first.get("input")
    shown = value if not isinstance(value, dict) else None
    return InputError(
        where, message[0].lower() + message[1:], value=shown, remedy="correct the value; docs/spaces.md lists every key"
    )


def _names_beside(model: type[BaseModel], location: Sequence[str], kind: str) -> list[str]:
    """Keys that are known at a place of the file."""
    for part in location:
        if part == "dataset":
            model = KINDS.get(kind, RoomSpec)
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        model = _model_in(getattr(field, "annotation", None)) or model
    return [field.alias or name for name, field in model.model_fields.items()] + (
        ["profiles"] if "trainable" in model.model_fields else []
    )


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: plainly, or none, or one a name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)


def read_specs(
    path: Path, *, has_gpu: bool, profile: str | None = None, changes: Mapping[str, Any] | None = None
) -> list[DataSpec]:
    """Read the datasets of a file.

    Args:
        path: A space, or a file with the keys of a dataset alone.
        has_gpu: Without one, the profile `laptop` applies where the file has it.
        profile: Name of a profile; `full` is the file without any.
        changes: Fields of the dataset by dotted name.

    Returns:
        The dataset, and after it all others that the space's search may ask for by choices of `dataset.train.…`.

    Raises:
        InputError: If anything is wrong with them.
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


def _parse_spec(written: Any, path: Path) -> DataSpec:
    try:
        return TypeAdapter[DataSpec](AnySpec).validate_python(written)
    except ValidationError as error:
        model = KINDS.get(kind_of(written), RoomSpec)
        raise explain_validation(error, model, lambda key: f"{path}: dataset.{key}") from error
