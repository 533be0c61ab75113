"""Reading of space files: YAML, profile and overrides, checked against the Config of the trainable."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from datasets.config_file import (
    build_variants,
    choose_profile,
    explain_validation,
    list_variants,
    locate_in_profile,
    merge_profile,
    read_change,
    read_profiles,
    read_yaml,
)
from datasets.registry import resolve_custom_kind
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.spec import SampleSpec
from datasets.rooms.split_spec import SplitSpec
from runtime.errors import InputError, unknown_name_error
from runtime.inputs.validation import field_meanings
from spaces import feasibility, field_types, points, value_checks
from spaces.configs import build_config, list_metrics
from spaces.constraints import Constraint, ConstraintReader
from spaces.dimensions import read_dimensions
from spaces.overrides import apply_overrides, list_origins, resolve_conditions, resolve_synonyms
from spaces.samplers import check_sampler
from spaces.schema import (
    DATASET,
    Budget,
    Dimension,
    Direction,
    EarlierSearch,
    Space,
    SpaceFile,
    Value,
    flatten_names,
)
from spaces.suggestions import check_forms, with_file_key_hint
from spaces.sweeps import expand_sweep, require_few_combinations, require_few_datasets
from spaces.tables import TableFile, expand_rows, locate_in_rows, require_different_rows
from trainables import registry
from trainables.contract import Metric
from trainables.registry import TrainableDescription

_TRAINING_DATA: Final[Mapping[str, str]] = {
    f"{DATASET}train.{name}": meaning
    for name, meaning in field_meanings(SplitSpec).items()
    if name not in ("acoustics", "genres")
} | field_meanings(Acoustics, f"{DATASET}train.acoustics.")
"""Descriptions of the searchable fields of the training data, by dotted name."""
_COMBINATIONS: Final = 200
"""Number of combinations of searched values of the dataset that are checked when a space is loaded."""


def load_space(
    path: Path,
    *,
    has_gpu: bool,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
) -> Space:
    """Read and check a space file, as written and with each of its profiles.

    Args:
        path: Path of the YAML file.
        has_gpu: Whether the machine has a GPU; without one, the profile `laptop` applies if the file has it.
        profile: Name of a profile; `full` for none.
        overrides: Changes of the form `dotted.name=value`, applied last.
        arguments: Further values by dotted name, which are taken as they are.
        options: Names of the command-line options that `arguments` come from, by dotted name, for errors.

    Raises:
        InputError: If the file, a profile or an override is invalid.
    """
    arguments = arguments or {}
    data = resolve_synonyms(read_yaml(path), str(path))
    profiles = read_profiles(data, path)
    chosen = choose_profile(profiles, profile, path, has_gpu=has_gpu)
    required = _given_required(data, overrides, arguments)
    spaces = {
        name: _check_variant({**data, **required}, path, name, chosen) for name in list_variants(profiles, chosen)
    }
    if not overrides and not arguments:
        return spaces[chosen]
    merged, remarks = apply_overrides(
        merge_profile(data, path, chosen), overrides, arguments, _config_defaults(spaces[chosen])
    )
    try:
        return _check_content(merged, path, chosen, remarks)
    except InputError as error:
        raise _name_option(error, path, list_origins(overrides, arguments, options or {})) from error


def _check_variant(data: Mapping[str, Any], path: Path, name: str | None, chosen: str | None) -> Space:
    """Return the space of a file with one of its profiles, without overrides.

    Raises:
        InputError: If it is invalid; the place names the profile.
    """
    merged, remarks = resolve_conditions(merge_profile(data, path, name), {})
    try:
        return _check_content(merged, path, name, remarks)
    except InputError as error:
        raise locate_in_profile(error, data, path, name, chosen) from error


def _check_content(data: Mapping[str, Any], path: Path, profile: str | None, remarks: Sequence[str]) -> Space:
    expanded = expand_rows(data, str(path))
    try:
        space = _SpaceChecker(str(path), _parse_file(expanded, str(path))).check_space(profile, tuple(remarks))
    except InputError as error:
        raise locate_in_rows(error, data, str(path)) from error
    return dataclasses.replace(space, written=data)


def _config_defaults(space: Space) -> dict[str, Any]:
    """Return the values of all fields of the Config when nothing is searched; empty if a field has no default."""
    config = registry.describe_trainable(space.trainable, "trainable").config
    try:
        return flatten_names(build_config(config, space.fixed).model_dump())
    except (ValidationError, InputError):
        return {}


def _given_required(
    data: Mapping[str, Any], overrides: Sequence[str], arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the required keys that the file leaves to the command line."""
    given: dict[str, Any] = dict(read_change(override, "budget.trials=8") for override in overrides) | dict(arguments)
    missing: dict[str, Any] = {
        name: given[name]
        for name in ("name", "trainable", "dataset", "objectives")
        if name in given and name not in data
    }
    budget = data.get("budget") or given.get("budget") or {}
    if not isinstance(budget, dict):
        return missing
    limits = {key: given[f"budget.{key}"] for key in ("trials", "epochs") if f"budget.{key}" in given}
    return missing | ({"budget": limits | budget} if limits or "budget" in given else {})


def _name_option(error: InputError, path: Path, origins: Mapping[str, str]) -> InputError:
    """Return an error whose place is the option that set the value."""
    key = error.place.removeprefix(f"{path}: ")
    for name, option in origins.items():
        if key != error.place and f"{key}.".startswith(f"{name}."):
            return InputError(option + key[len(name) :], error.rule, value=error.value, remedy=error.remedy)
    return error


def _parse_file(data: Mapping[str, Any], path: str) -> SpaceFile:
    check_forms(data, path)
    dataset = resolve_custom_kind(data.get("dataset"), lambda key: f"{path}: dataset.{key}")
    data = {key: value for key, value in data.items() if key != "dataset"}
    if dataset is not None:
        data |= {"dataset": dataset}
    try:
        return SpaceFile.model_validate(data)
    except ValidationError as error:
        explained = explain_validation(error, SpaceFile, lambda key: f"{path}: {key}")
        raise with_file_key_hint(explained, path) from error


@dataclass(frozen=True)
class _SpaceChecker:
    """Checks of a parsed file against its trainable.

    Attributes:
        path: Path of the file, for errors.
        file: Parsed file.
    """

    path: str
    file: SpaceFile

    def check_space(self, profile: str | None, remarks: tuple[str, ...] = ()) -> Space:
        described = registry.describe_trainable(self.file.trainable, f"{self.path}: trainable")
        budget, more_remarks = self._limit_budget()
        self._require_dataset(described)
        meanings = field_meanings(described.config)
        fixed = self._check_fixed(meanings)
        training_data = _TRAINING_DATA if isinstance(self.file.dataset, SampleSpec) else {}
        search = read_dimensions(self.file.search, meanings | dict(training_data), self.path)
        require_few_datasets(search, f"{self.path}: search")
        self._check_values(described, fixed, search)
        metrics = list_metrics(described, value_checks.fill_required(described.config, fixed, search))
        described = dataclasses.replace(described, metrics=metrics)
        space = Space(
            name=self.file.name,
            trainable=self.file.trainable,
            dataset=self.file.dataset,
            fixed=fixed,
            search=search,
            inner=self._check_inner(described),
            objectives=self._check_objectives(described.metrics),
            baseline={},
            start=(),
            stopping=self.file.stopping,
            budget=budget,
            resources=self.file.resources,
            seed=self.file.seed,
            profile=profile,
            remarks=remarks + more_remarks,
            confirm=self.file.confirm if self.file.confirm and self.file.confirm.top else None,
            vary_seeds=self.file.vary_seeds,
            warm_start=tuple(map(EarlierSearch, dict.fromkeys(self.file.warm_start))),
            table=self._read_table(),
            sampler=self.file.sampler,
            constraints=self._read_constraints(described),
        )
        check_sampler(space, self.path)
        return self._with_points(space)

    def _read_table(self) -> TableFile | None:
        if not self.file.rows:
            return None
        return TableFile(rows=self.file.rows, seeds=self.file.seeds, table=self.file.table)

    def _read_constraints(self, described: TrainableDescription) -> tuple[Constraint, ...]:
        if self.file.rows and self.file.constraints:
            rule = "a table has no constraints: all its rows are trained in full"
            raise InputError(f"{self.path}: constraints", rule, remedy="remove the key")
        meanings = {metric.name: metric.meaning for metric in described.metrics}
        return ConstraintReader(self.path, meanings, described.measurable).read(self.file.constraints)

    def _limit_budget(self) -> tuple[Budget, tuple[str, ...]]:
        """Return the budget, of one trial if nothing is searched, and a remark for the plan in that case."""
        if self.file.search or self.file.rows:
            return self.file.budget, ()
        return self.file.budget.model_copy(update={"trials": 1}), (
            "nothing is searched: one training with fixed values",
        )

    def _require_dataset(self, described: TrainableDescription) -> None:
        if described.needs_data and self.file.dataset.kind == "none":
            raise InputError(
                f"{self.path}: dataset",
                f"the key is required: {described.name} needs data",
                value="kind: none" if "dataset" in self.file.model_fields_set else None,
                remedy="add  dataset: {kind: …}  (docs/data.md lists the kinds), or set needs_data = False in a trainable "
                "that loads its own",
            )

    def _check_fixed(self, meanings: Mapping[str, str]) -> dict[str, Value]:
        fixed = flatten_names(self.file.fixed)
        for name in fixed:
            _require_known(name, meanings, f"{self.path}: fixed.{name}")
            if name in self.file.search:
                raise InputError(
                    f"{self.path}: fixed.{name}",
                    "a field must be fixed or searched, not both",
                    value=fixed[name],
                    remedy=f"remove it from one of them; in a profile,  search: {{{name}: null}}  removes it, "
                    f"and so does  --set {name}=…",
                )
        return fixed

    def _check_values(
        self, described: TrainableDescription, fixed: Mapping[str, Value], search: Sequence[Dimension]
    ) -> None:
        """Check the fixed values, and every dimension with the Config at its boundary values."""
        config = described.config
        written = [("fixed", name, value) for name, value in fixed.items()]
        for key, name, value in (*written, *(("search", d.name, value) for d in search for value in d.choices)):
            field_types.check_boolean(value, field_types.find_field(config, name), f"{self.path}: {key}.{name}")
        values = value_checks.fill_required(config, fixed, search)
        self._check_config(config, values, lambda key: f"{self.path}: fixed.{key}")
        for dimension in search:
            if not dimension.name.startswith(DATASET):
                value_checks.check_dimension(config, values, dimension, search, self.path)
                value_checks.require_same_metrics(described, values, dimension, search, self.path)
        self._check_variants(search)

    def _check_config(
        self, config: type[BaseModel], values: Mapping[str, Value], place: Callable[[str], str]
    ) -> BaseModel:
        try:
            return build_config(config, values)
        except ValidationError as error:
            raise explain_validation(error, config, place) from error

    def _check_variants(self, search: Sequence[Dimension]) -> None:
        """Check the searched fields of the dataset at their boundary values, in combinations with each other."""
        searched = [dimension for dimension in search if dimension.name.startswith(DATASET)]
        for dimension in searched:
            value_checks.check_split_dimension(dimension, self.path)
        if isinstance(self.file.dataset, SampleSpec) and searched:
            values = {d.name.removeprefix(DATASET): d.boundary_values() for d in searched}
            combinations = itertools.islice(itertools.product(*values.values()), _COMBINATIONS)
            points = [dict(zip(values, point, strict=True)) for point in combinations]
            points += [
                points[0] | {name: value} for name in values for value in values[name]
            ]  # every value at least once
            build_variants(self.file.dataset, points, Path(self.path))

    def _check_inner(self, described: TrainableDescription) -> dict[str, tuple[float, ...]]:
        known = {parameter.name: parameter for parameter in described.inner}
        meanings = {parameter.name: parameter.meaning for parameter in described.inner}
        result = {}
        for name, values in self.file.inner.items():
            place = f"{self.path}: inner.{name}"
            _require_known(name, meanings, place)
            result[name] = expand_sweep(values, place)
            low, high = known[name].low, known[name].high
            outside = [value for value in result[name] if not low <= value <= high]
            if outside:
                raise InputError(
                    place,
                    f"values must be in [{low:g}, {high:g}]",
                    value=outside[0],
                    remedy=f"write values from {low:g} to {high:g} ({meanings[name]})",
                )
        require_few_combinations(result, f"{self.path}: inner")
        return result

    def _check_objectives(self, metrics: Sequence[Metric]) -> tuple[tuple[str, Direction], ...]:
        known = {metric.name: metric for metric in metrics}
        for number, objective in enumerate(self.file.objectives):
            place = f"{self.path}: objectives.{number}"
            if objective.metric in [other.metric for other in self.file.objectives[:number]]:
                rule = "the metrics of the objectives must differ"
                raise InputError(
                    f"{place}.metric", rule, value=objective.metric, remedy="remove the repeated objective"
                )
            if metrics:
                _require_known(objective.metric, {metric.name: metric.meaning for metric in metrics}, f"{place}.metric")
            elif objective.direction is None:
                raise InputError(
                    f"{place}.direction",
                    "an objective must have a direction if the trainable declares no metrics",
                    value=objective.metric,
                    remedy="add  direction: maximize  or  direction: minimize",
                )
        return tuple((o.metric, o.direction or known[o.metric].direction) for o in self.file.objectives)

    def _with_points(self, space: Space) -> Space:
        """Return the space with its baseline, its points of `start`, and the number of different trials."""
        written = {"baseline": self.file.baseline} | {f"start.{n}": point for n, point in enumerate(self.file.start)}
        for key, values in written.items():
            for name in {} if values == "paper" else values:
                self._require_searched(name, space.search, key)
        baseline, completed = points.read_baseline(space, self.file.baseline, self.path)
        start = tuple(points.read_start(space, point, n, self.path) for n, point in enumerate(self.file.start))
        space = dataclasses.replace(space, baseline=baseline, completed=completed, start=start)
        if space.table is not None:  # no points but the rows are ever trained
            require_different_rows([*space.table.rows], [baseline, *start], self.path)
            return dataclasses.replace(space, distinct_points=len(space.table.rows))
        feasibility.check_possible(space, f"{self.path}: search")
        return dataclasses.replace(space, distinct_points=feasibility.count_points(space))

    def _require_searched(self, name: str, search: Sequence[Dimension], key: str) -> None:
        """Require that a name in a point is a dimension; a field that was fixed by `--set` may be left over in it."""
        names = [dimension.name for dimension in search]
        if name not in names and name in flatten_names(self.file.fixed):
            option = "baseline=paper" if key == "baseline" else "start=[]"
            raise InputError(
                f"{self.path}: {key}.{name}",
                "a point must give values of searched fields only, and this field is fixed",
                value=name,
                remedy=f"remove {name} from {key} in the file, or replace all of it by  --set {option}",
            )
        _require_known(name, dict.fromkeys(names, ""), f"{self.path}: {key}.{name}")


def _require_known(name: str, meanings: Mapping[str, str], place: str) -> None:
    if name not in meanings:
        raise unknown_name_error(place, name, meanings)
