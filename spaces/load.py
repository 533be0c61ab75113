"""Read a space file: YAML, profile, overrides, then check it all against the trainable's Config."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ValidationError

from datasets.config_file import explain_validation, parse_numbers, read_yaml, with_profile
from datasets.rooms.spec import Acoustics, LocalizerSpec, SplitSpec, parse_range
from datasets.rooms.variants import with_changes, write_out_splits
from runtime.errors import InputError, suggest_name
from spaces.dimensions import read_dimensions
from spaces.overrides import apply_overrides
from spaces.schema import (
    DATASET,
    Dimension,
    Direction,
    Space,
    SpaceFile,
    Value,
    field_names,
    flatten_names,
    nest_names,
)
from trainables import registry
from trainables.contract import Metric
from trainables.registry import TrainableDescription

_TRAINED_ON: Final = [
    *(f"{DATASET}train.{name}" for name in SplitSpec.model_fields if name not in ("acoustics", "genres")),
    *(f"{DATASET}train.acoustics.{name}" for name in Acoustics.model_fields),
]


def load_space(path: Path, *, has_gpu: bool, profile: str | None = None, overrides: Sequence[str] = ()) -> Space:
    """Read a space.

    Args:
        path: The YAML file.
        has_gpu: Without one, the profile `laptop` applies where the file has it.
        profile: Name of a profile; `full` is the file without any.
        overrides: `dotted.name=value`, applied last.

    Raises:
        InputError: If anything is wrong; it says where and what to do.
    """
    data, chosen = with_profile(read_yaml(path), path, profile, has_gpu=has_gpu)
    data = apply_overrides(data, overrides)
    return _SpaceChecker(str(path), _parse_file(data, str(path))).check_space(chosen)


def _parse_file(data: dict[str, Any], path: str) -> SpaceFile:
    try:
        return SpaceFile.model_validate(parse_numbers(data))
    except ValidationError as error:
        raise explain_validation(error, SpaceFile, lambda key: f"{path}: {key}") from error


@dataclass(frozen=True)
class _SpaceChecker:
    """Checks a parsed file against its trainable."""

    path: str
    file: SpaceFile

    def check_space(self, profile: str | None) -> Space:
        described = registry.describe_trainable(self.file.trainable, f"{self.path}: trainable")
        names = field_names(described.config)
        fixed = self._check_fixed(names)
        of_data = _TRAINED_ON if isinstance(self.file.dataset, LocalizerSpec) else []
        search = read_dimensions(self.file.search, names + of_data, self.path)
        self._check_values(described.config, fixed, search)
        space = Space(
            name=self.file.name,
            trainable=self.file.trainable,
            dataset=self.file.dataset,
            fixed=fixed,
            search=search,
            inner=self._check_inner(described),
            objectives=self._check_objectives(described.metrics),
            baseline=self._check_baseline(described.config, fixed, search),
            start=(),
            stopping=self.file.stopping,
            budget=self.file.budget,
            resources=self.file.resources,
            seed=self.file.seed,
            profile=profile,
        )
        start = tuple(
            self._check_point(values, search, f"start.{number}") for number, values in enumerate(self.file.start)
        )
        return dataclasses.replace(space, start=start)

    def _check_fixed(self, names: list[str]) -> dict[str, Value]:
        fixed = flatten_names(self.file.fixed)
        for name in fixed:
            _require_known(name, names, f"{self.path}: fixed.{name}")
            if name in self.file.search:
                raise InputError(
                    f"{self.path}: fixed.{name}",
                    "a field is fixed or searched, not both",
                    value=fixed[name],
                    remedy=f"remove it from one of them; in a profile,  search: {{{name}: null}}  removes it",
                )
        return fixed

    def _check_values(self, config: type[BaseModel], fixed: Mapping[str, Value], search: Sequence[Dimension]) -> None:
        """Build Configs at the corners of the space, so that no trial can fail on its values."""
        self._check_config(config, fixed, lambda key: f"{self.path}: fixed.{key}")
        for dimension in search:
            for value in dimension.boundary_values():
                if dimension.name.startswith(DATASET):
                    self._with_variation(dimension.name, value)
                    continue
                self._check_config(
                    config, dict(fixed) | {dimension.name: value}, lambda key: f"{self.path}: search.{key}"
                )

    def _check_config(
        self, config: type[BaseModel], values: Mapping[str, Value], place: Callable[[str], str]
    ) -> BaseModel:
        try:
            return config.model_validate(nest_names(values))
        except ValidationError as error:
            raise explain_validation(error, config, place) from error

    def _with_variation(self, name: str, value: Value) -> None:
        """Change one field of the dataset; other searched fields may have to be there for it, so they are set too."""
        if not isinstance(self.file.dataset, LocalizerSpec):
            return
        beside = {
            other: written["choice"][0] if "choice" in written else next(iter(written.values()))[0]
            for other, written in self.file.search.items()
            if other.startswith(DATASET)
        }
        values = {other.removeprefix(DATASET): v for other, v in (beside | {name: value}).items()}
        try:
            with_changes(self.file.dataset, values)
        except ValidationError as error:
            raise explain_validation(error, type(self.file.dataset), lambda _: f"{self.path}: search.{name}") from error

    def _check_dataset_key(self, dimension: Dimension) -> Value | None:
        """The value of a searched dimension that leaves the dataset as it is."""
        if not isinstance(self.file.dataset, LocalizerSpec):
            return None
        written: Any = write_out_splits(self.file.dataset)
        for key in dimension.name.removeprefix(DATASET).split("."):
            written = None if written is None else written.get(key)
        if isinstance(written, list) and written[0] == written[1]:
            written = written[0]
        same = [choice for choice in dimension.choices if _same_range(choice, written)]
        return same[0] if same else written

    def _check_inner(self, described: TrainableDescription) -> dict[str, tuple[float, ...]]:
        known = {parameter.name: parameter for parameter in described.inner}
        result = {}
        for name, values in self.file.inner.items():
            place = f"{self.path}: inner.{name}"
            _require_known(name, known, place)
            result[name] = _expand_sweep(values, place)
            low, high = known[name].low, known[name].high
            outside = [value for value in result[name] if not low <= value <= high]
            if outside:
                raise InputError(
                    place, f"values lie in [{low:g}, {high:g}]", value=outside[0], remedy="keep to that range"
                )
        return result

    def _check_objectives(self, metrics: Sequence[Metric]) -> tuple[tuple[str, Direction], ...]:
        known = {metric.name: metric for metric in metrics}
        for number, objective in enumerate(self.file.objectives):
            _require_known(objective.metric, known, f"{self.path}: objectives.{number}.metric")
        return tuple((o.metric, o.direction or known[o.metric].direction) for o in self.file.objectives)

    def _check_baseline(
        self, config: type[BaseModel], fixed: Mapping[str, Value], search: Sequence[Dimension]
    ) -> dict[str, Value]:
        given = self.file.baseline
        papers = flatten_names(self._check_config(config, fixed, lambda key: f"{self.path}: fixed.{key}").model_dump())
        of_data = {d.name: self._check_dataset_key(d) for d in search if d.name.startswith(DATASET)}
        papers |= {name: value for name, value in of_data.items() if value is not None}
        values = {d.name: papers[d.name] for d in search if d.name in papers} if given == "paper" else dict(given)
        return self._check_point(values, search, "baseline", partial=given != "paper")

    def _check_point(
        self, values: Mapping[str, Value], search: Sequence[Dimension], key: str, *, partial: bool = True
    ) -> dict[str, Value]:
        """Check that a named point lies in the space; drop what its conditions switch off."""
        place = f"{self.path}: {key}"
        for name in values:
            _require_known(name, [d.name for d in search], f"{place}.{name}")
        point: dict[str, Value] = {}
        for dimension in search:
            if dimension.name not in values or not dimension.is_active(values):
                continue
            value = values[dimension.name]
            if not dimension.contains_value(value):
                allowed = list(dimension.choices) or [dimension.low, dimension.high]
                what = "the paper's value" if not partial else "a named point"
                raise InputError(
                    f"{place}.{dimension.name}",
                    f"{what} must lie in the search, {allowed}",
                    value=value,
                    remedy=f"widen search.{dimension.name}"
                    + ("" if partial else ", or write the baseline's values out"),
                )
            point[dimension.name] = value
        return point


def _require_known(name: str, known: Sequence[str] | Mapping[str, Any], place: str) -> None:
    if name not in known:
        raise InputError(place, "the name must be known", value=name, remedy=suggest_name(name, known))


def _same_range(choice: Value, written: Any) -> bool:
    """Whether a choice such as `0.2-0.4` means the same as what the dataset has."""
    return bool(choice == written) or list(map(float, parse_range(choice) or ())) == written


def _expand_sweep(values: Mapping[str, list[float]], place: str) -> tuple[float, ...]:
    if set(values) == {"choice"} and values["choice"]:
        return tuple(values["choice"])
    if set(values) == {"range"} and len(values["range"]) == 3:
        start, stop, step = values["range"]
        if step > 0 and start <= stop:
            return tuple(float(v) for v in np.round(np.arange(start, stop + step / 2, step), 10))
    raise InputError(
        place,
        "a sweep is a choice of values or a range of start, stop and step",
        value=dict(values),
        remedy="write  {range: [0.05, 0.95, 0.05]}  or  {choice: [0.5, 1.0]}",
    )
