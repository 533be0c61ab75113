"""Reading of YAML files that describe a dataset, alone or as part of a space, with profiles and overrides."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from datasets.building.spec import DatasetSpec
from datasets.registry import KINDS, AnySpec, kind_of, resolve_custom_kind, spec_class
from datasets.rooms.spec import LocalizerSpec, SampleSpec
from runtime.errors import InputError, suggest_name
from runtime.inputs import validation, yaml_text

LAPTOP: Final = "laptop"
"""Name of the profile that applies by default on a machine without a GPU."""
SYNONYMS: Final = {"inference": "inner", "initial_points": "start"}
"""Keys of a space that are accepted in place of others."""
_MOST_VARIANTS: Final = 1_000


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        InputError: If the file cannot be read or contains no mapping.
    """
    if path.is_dir():
        raise InputError(str(path), "a space must be a file", value="a folder", remedy="name one of the files in it")
    try:
        text = yaml_text.read_text(path, "space file")
    except FileNotFoundError:
        raise InputError(str(path), "the space file must exist", remedy=_suggest_file(path)) from None
    except OSError as error:
        raise InputError(
            str(path), "the space file must be readable text", value=str(error), remedy="name a YAML file"
        ) from error
    data = yaml_text.parse_yaml(text, str(path), is_text=is_text)
    if data is None:
        raise InputError(str(path), "a space file must not be empty", remedy="start from spaces/rg_rep.yaml")
    if not isinstance(data, dict):
        raise InputError(
            str(path), "a space must be a mapping of keys to values", value=data, remedy="start from spaces/rg_rep.yaml"
        )
    return data


def _suggest_file(path: Path) -> str:
    """Return a hint that contains the file that was probably meant: of the same folder, or the space of this name."""
    folder = path.parent if path.parent.is_dir() else Path("spaces")
    neighbours = [str(other) for other in sorted(folder.glob("*.yaml"))]
    same_name = [str(other) for other in Path("spaces").glob("*.yaml") if other.stem == path.stem]
    if same_name and same_name[0] not in neighbours:
        return f"did you mean {same_name[0]!r}?"
    return suggest_name(str(path), neighbours) if neighbours else "name a YAML file"


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


def read_profiles(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the profiles of a file by name.

    Raises:
        InputError: If they are not a mapping.
    """
    profiles = data.get("profiles") or {}
    if not isinstance(profiles, dict):
        raise InputError(
            f"{path}: profiles", "profiles must be a mapping by name", value=profiles, remedy="write  laptop: {…}"
        )
    if "full" in profiles:
        rule = "`full` is the file without a profile, and no profile can have this name"
        raise InputError(f"{path}: profiles.full", rule, remedy="choose another name for the profile")
    return dict(profiles)


def merge_profile(data: Mapping[str, Any], path: Path, name: str | None) -> dict[str, Any]:
    """Return the content of a file with one profile merged into it, or with none.

    Raises:
        InputError: If the profile is not a mapping, or removes a key that the file does not have.
    """
    rest: dict[str, Any] = splits_written_out({key: value for key, value in data.items() if key != "profiles"})
    if name is None:
        return rest
    change = read_profiles(data, path)[name]
    return merge_mappings(rest, splits_written_out({} if change is None else change), f"{path}: profiles.{name}")


def with_profile(
    data: Mapping[str, Any], path: Path, wanted: str | None, *, has_gpu: bool
) -> tuple[dict[str, Any], str | None]:
    """Merge the profile that applies into the content of a file.

    Returns:
        The content without the profiles, and the name of the applied profile or None.

    Raises:
        InputError: If the profiles are not a mapping, or the requested one does not exist.
    """
    chosen = choose_profile(read_profiles(data, path), wanted, path, has_gpu=has_gpu)
    return merge_profile(data, path, chosen), chosen


def list_variants(profiles: Mapping[str, Any], chosen: str | None) -> list[str | None]:
    """Return the profiles with which a file is checked, None for the file as written; the chosen one comes first."""
    return [chosen, *(name for name in (None, *profiles) if name != chosen)]


def locate_in_profile(
    error: InputError, data: Mapping[str, Any], path: Path, name: str | None, chosen: str | None
) -> InputError:
    """Return an error whose place names the profile that it concerns.

    Args:
        error: Error in the content of the file with the profile merged into it.
        data: Content of the file.
        path: Path of the file.
        name: Profile with which the file was checked, or None for none.
        chosen: Profile that applies to this command.
    """
    prefix, key = f"{path}: ", error.place.removeprefix(f"{path}: ")
    if not error.place.startswith(prefix) or key.startswith("profiles."):
        return error
    written = _dotted_names(data["profiles"][name]) if name is not None else []
    if any(f"{key}.".startswith(f"{other}.") or other.startswith(f"{key}.") for other in written):
        place = f"{prefix}profiles.{name}.{key}"
    elif name == chosen:
        return error
    else:
        place = f"{error.place} ({'without a profile' if name is None else f'with the profile {name}'})"
    return InputError(place, error.rule, value=error.value, remedy=error.remedy)


def _dotted_names(value: Any, prefix: str = "") -> list[str]:
    if not isinstance(value, dict) or not value:
        return [prefix.rstrip(".")] if prefix else []
    return [name for key, inside in value.items() for name in _dotted_names(inside, f"{prefix}{key}.")]


def merge_mappings(data: Mapping[str, Any], change: Any, place: str) -> dict[str, Any]:
    """Merge two nested mappings; null removes a key, and any other value replaces the previous one.

    Raises:
        InputError: If a profile is not a mapping, or removes a key that does not exist.
    """
    if not isinstance(change, dict):
        raise InputError(place, "a profile must be a mapping", value=change, remedy="write keys of the space below it")
    result = dict(data)
    for key, value in change.items():
        if value is None:
            if key not in result:
                rule = "null in a profile removes a key, and the file has none of this name"
                known = suggest_name(key, data) if data else f"remove {key} from the profile"
                raise InputError(f"{place}.{key}", rule, remedy=known)
            del result[key]
        elif isinstance(value, dict) and not _is_leaf(value) and isinstance(inside := result.get(key, {}), dict):
            result[key] = merge_mappings(inside, value, f"{place}.{key}")
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
    if not issubclass(spec_class(kind_of(data["dataset"])), LocalizerSpec):
        return dict(data)
    dataset = {
        key: {"samples": value} if key in ("train", "validate") and type(value) is int else value
        for key, value in data["dataset"].items()
    }
    return data | {"dataset": dataset}


def assign_value(data: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return a copy of nested mappings and lists with one dotted name set, for `--set`.

    Null removes an existing key. Absent values and plain values on the path become mappings, and an entry of a list is
    named by its number.

    Raises:
        InputError: If the name leads to an entry that a list does not have.
    """
    result: dict[str, Any] = _assign(dict(data), name.split("."), value, name)
    return result


def _assign(inside: Any, parts: Sequence[str], value: Any, name: str) -> Any:
    head, *rest = parts
    if isinstance(inside, list):
        position = list_position(inside, head, name)
        inside = list(inside)
        inside[position] = _assign(inside[position], rest, value, name) if rest else value
        return inside
    mapping = dict(inside) if isinstance(inside, dict) else {}
    if not rest and value is None and head in mapping:
        del mapping[head]
        return mapping
    return mapping | {head: _assign(mapping.get(head), rest, value, name) if rest else value}


def list_position(values: Sequence[Any], part: str, name: str) -> int:
    """Return the position in a list that a component of a `--set` option names.

    Raises:
        InputError: If it is not a number, or the list has no such entry.
    """
    if part.isascii() and part.isdigit() and int(part[:9]) < len(values):
        return int(part)
    entries = f"0 to {len(values) - 1}" if values else "none"
    raise InputError(
        f"--set {name}",
        f"the value is a list, whose entries are numbered: {entries}",
        value=part,
        remedy=f"--set {name.partition(f'.{part}')[0]}=[…] replaces the whole list",
    )


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
    name = name.strip()
    if not (equals and all(name.split("."))):
        raise InputError(
            "--set", "an override must have the form dotted.name=value", value=text, remedy=f"e.g. --set {example}"
        )
    if comment := yaml_text.find_comment(value):
        rule = "the value of --set is YAML, in which # after a space begins a comment"
        raise InputError(f"--set {name}", rule, value=comment, remedy=f"""quote the text: --set '{name}="…"'""")
    path = tuple(name.split("."))
    return name, yaml_text.parse_yaml(value, f"--set {name}", is_text=lambda inside: is_text((*path, *inside)))


def is_text(path: tuple[str, ...]) -> bool:
    """Return whether a space or a dataset has text at a path of keys, so that 2024 without quotes is text there."""
    if path[:1] == ("profiles",):
        path = path[2:]
    if path[:1] == ("dataset",):
        return len(path) == 2 and path[1] in _text_fields()
    return len(path) == 1 and path[0] in {"name", "trainable", *_text_fields()}


@functools.cache
def _text_fields() -> frozenset[str]:
    """Return the fields of datasets that take text only, or lists of text."""
    fields = (pair for kind in KINDS.values() for pair in kind.spec.model_fields.items())
    return frozenset(name for name, field in fields if _is_text_type(field.annotation))


def _is_text_type(annotation: Any) -> bool:
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _is_text_type(arguments[0])
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in arguments)
    inside = [argument for argument in arguments if argument not in (type(None), Ellipsis)]
    if get_origin(annotation) is dict:
        return False
    return annotation in (str, Path) or (bool(inside) and all(map(_is_text_type, inside)))


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
        data = data | {"dataset": {"kind": "none"}} if "trainable" in data else {"dataset": data}
    _check_profiles(data, path, profile, has_gpu=has_gpu)
    data, _ = with_profile(data, path, profile, has_gpu=has_gpu)
    for name, value in (changes or {}).items():
        data = splits_written_out(assign_value(data, f"dataset.{name}", value))
    spec = _parse_spec(data.get("dataset"), path)
    search = data.get("search") or {}
    search = search if isinstance(search, dict) else {}
    asked = {
        name.removeprefix("dataset."): written["choice"]
        for name, written in search.items()
        if name.startswith("dataset.train.") and isinstance(written, dict) and isinstance(written.get("choice"), list)
    }
    if not isinstance(spec, SampleSpec) or not asked:
        return [spec]
    if (count := math.prod(map(len, asked.values()))) > _MOST_VARIANTS:
        rule = f"a search must request at most {_MOST_VARIANTS:,} training sets"
        raise InputError(f"{path}: search", rule, value=f"{count:,} training sets", remedy="write fewer choices")
    points = [dict(zip(asked, values, strict=True)) for values in itertools.product(*asked.values())]
    return [spec, *build_variants(spec, points, path)]


def build_variants(spec: SampleSpec, points: Sequence[Mapping[str, Any]], path: Path) -> list[DatasetSpec]:
    """Return the variants of a dataset, without impossible combinations of choices.

    Raises:
        InputError: If a choice is impossible in all combinations.
    """
    variants: list[DatasetSpec] = []
    possible: set[str] = set()
    refused: dict[str, tuple[str, ValidationError]] = {}
    for point in points:
        choices = {repr(item): item[0] for item in point.items()}
        try:
            variants.append(spec.with_changes(point))
            possible |= choices.keys()
        except ValidationError as error:
            refused |= {choice: (name, error) for choice, name in choices.items() if choice not in refused}
    for choice, (name, refusal) in refused.items():
        if choice not in possible:
            place = f"{path}: search.dataset.{name}"
            raise explain_validation(refusal, type(spec), functools.partial(_keep_place, place)) from refusal
    return variants


def _keep_place(place: str, key: str) -> str:  # noqa: ARG001  # the field that pydantic names is that of the dataset
    return place


def _check_profiles(data: Mapping[str, Any], path: Path, wanted: str | None, *, has_gpu: bool) -> None:
    """Check the dataset of a file as written and with each of its profiles.

    Raises:
        InputError: If one of them is invalid; its place names the profile.
    """
    profiles = read_profiles(data, path)
    chosen = choose_profile(profiles, wanted, path, has_gpu=has_gpu)
    for name in list_variants(profiles, chosen):
        try:
            _parse_spec(merge_profile(data, path, name).get("dataset"), path)
        except InputError as error:
            raise locate_in_profile(error, data, path, name, chosen) from error


def _parse_spec(written: Any, path: Path) -> DatasetSpec:
    written = resolve_custom_kind(written, lambda key: f"{path}: dataset.{key}")
    try:
        return TypeAdapter[DatasetSpec](AnySpec).validate_python(written)
    except ValidationError as error:
        model = spec_class(kind_of(written))
        raise explain_validation(error, model, lambda key: f"{path}: dataset.{key}") from error
