"""A space, parsed: frozen and valid. `spaces.load` makes one from a file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, PositiveFloat, PositiveInt

from datasets.registry import AnySpec, DataSpec
from datasets.rooms.spec import Frozen, LocalizerSpec
from datasets.rooms.variants import with_changes

Value = int | float | str | bool

Direction = Literal["maximize", "minimize"]


DATASET: Final = "dataset."
"""Searched names that begin so are fields of the dataset."""
_MOST_GPUS: Final = 16
"""Of one machine."""


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter that is searched.

    Attributes:
        name: Dotted name of a Config field, or `dataset.train.…`.
        kind: How it is drawn: uniformly, log-uniformly, from integers, or from choices.
        low: Least value, of all kinds but `choice`.
        high: Greatest value, likewise.
        choices: The values of `choice`.
        when: It exists only where these other dimensions have one of these values.
    """

    name: str
    kind: Literal["uniform", "log_uniform", "int", "log_int", "choice"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def contains_value(self, value: Value) -> bool:
        """Whether the dimension can take a value."""
        if self.kind == "choice":
            return any(
                value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in self.choices
            )
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def boundary_values(self) -> tuple[Value, ...]:
        """Its choices, or its least and its greatest value."""
        bounds = (self.low, self.high)
        return self.choices or (tuple(map(int, bounds)) if self.kind.endswith("int") else bounds)

    def is_active(self, parameters: Mapping[str, Value]) -> bool:
        """Whether it exists beside the given parameters."""
        return all(name in parameters and parameters[name] in values for name, values in self.when)


class Objective(Frozen):
    """What is to get better."""

    metric: str
    direction: Direction | None = Field(None, description="the metric's own, if absent")


class Stopping(Frozen):
    """When a trial is given up: asynchronous successive halving (Li et al. 2020), or never."""

    rule: Literal["asha", "none"] = "asha"
    reduction: Annotated[int, Field(ge=2, le=10)] = 3
    first_rung: PositiveInt = 1


class Budget(Frozen):
    """How much may be spent."""

    trials: PositiveInt
    epochs: PositiveInt
    hours: PositiveFloat | None = None


def _part_or_whole(gpu: float | Literal["auto"]) -> float | Literal["auto"]:
    if isinstance(gpu, float) and not (0 <= gpu <= 1 or (gpu.is_integer() and 1 < gpu <= _MOST_GPUS)):
        raise ValueError(
            "a trial trains on one GPU (1), on a part of one (0.25), on none (0), on what it needs (auto), "
            f"or on several (2 … {_MOST_GPUS})"
        )
    return gpu


class Resources(Frozen):
    """What one trial gets."""

    cpu: PositiveFloat = 1.0
    gpu: Annotated[Literal["auto"] | float, AfterValidator(_part_or_whole)] = 0.0

    @property
    def gpu_share(self) -> float:
        """Its part of a GPU, or how many it has; none as long as `auto` is not measured."""
        return self.gpu if isinstance(self.gpu, float) else 0.0


@dataclass(frozen=True)
class Space:
    """A search, fully described.

    Attributes:
        name: Of the search; its folder and its MLflow experiment are called so.
        trainable: Built-in name or import path.
        dataset: What is trained and tested on, where a trial does not ask for other training data.
        fixed: Values of Config fields that hold for all trials, by dotted name.
        search: Dimensions, ordered so that conditions come before what they decide.
        inner: Values of inference parameters, all combinations of which every validation tries.
        objectives: Metric and direction; several make a Pareto front.
        baseline: Values of the dimensions of trial 0.
        start: Values of the trials right after it.
        stopping: When trials are given up.
        budget: How much may be spent.
        resources: What one trial gets.
        seed: Of suggestions and of training.
        profile: Name of the profile that was applied, if any.
    """

    name: str
    trainable: str
    dataset: DataSpec
    fixed: Mapping[str, Value]
    search: tuple[Dimension, ...]
    inner: Mapping[str, tuple[float, ...]]
    objectives: tuple[tuple[str, Direction], ...]
    baseline: Mapping[str, Value]
    start: tuple[Mapping[str, Value], ...]
    stopping: Stopping
    budget: Budget
    resources: Resources
    seed: int
    profile: str | None

    def config_values(self, parameters: Mapping[str, Value]) -> dict[str, Value]:
        """The Config fields of a trial: what is fixed for all, and what was proposed for it; by dotted name."""
        return dict(self.fixed) | {name: v for name, v in parameters.items() if not name.startswith(DATASET)}

    def boundary_points(self) -> list[dict[str, Value]]:
        """Config values of the baseline, of the named points, and of the baseline with each dimension at each of its ends."""
        ends = [dict(self.baseline) | {d.name: value} for d in self.search for value in d.boundary_values()]
        return [self.config_values(point) for point in (self.baseline, *self.start, *ends)]

    def dataset_of(self, parameters: Mapping[str, Value]) -> DataSpec:
        """The data of a trial."""
        asked = {name.removeprefix(DATASET): v for name, v in parameters.items() if name.startswith(DATASET)}
        if not asked or not isinstance(self.dataset, LocalizerSpec):
            return self.dataset
        return with_changes(self.dataset, asked)

    def list_dataset_specs(self) -> list[DataSpec] | None:
        """All datasets that trials may ask for, the space's own first; None if there is no end of them."""
        if not isinstance(self.dataset, LocalizerSpec):
            return [self.dataset]
        searched = [dimension for dimension in self.search if dimension.name.startswith(DATASET)]
        return [*self.boundary_datasets()] if all(d.kind == "choice" for d in searched) else None

    def boundary_datasets(self) -> list[LocalizerSpec]:
        """The space's own dataset, and all those at choices and at ends of ranges; none if it has no variants."""
        if not isinstance(self.dataset, LocalizerSpec):
            return []
        searched = [dimension for dimension in self.search if dimension.name.startswith(DATASET)]
        found: list[LocalizerSpec] = [self.dataset]
        for values in itertools.product(*(dimension.boundary_values() for dimension in searched)):
            point = dict(zip((d.name for d in searched), values, strict=True))
            asked = {d.name.removeprefix(DATASET): point[d.name] for d in searched if d.is_active(point)}
            spec = with_changes(self.dataset, asked)
            found += (
                [spec] if all(spec.split_identity("train") != other.split_identity("train") for other in found) else []
            )
        return found

    def identity(self) -> dict[str, Any]:
        """What has to stay the same for a search to be resumed; the budget and the resources may change."""
        return {
            "trainable": self.trainable,
            "dataset": self.dataset.model_dump(mode="json", by_alias=True),
            "fixed": dict(self.fixed),
            "search": {
                d.name: [d.kind, d.low, d.high, list(d.choices), [[n, list(v)] for n, v in d.when]] for d in self.search
            },
            "inner": {name: list(values) for name, values in self.inner.items()},
            "objectives": [list(objective) for objective in self.objectives],
            "baseline": dict(self.baseline),
            "stopping": self.stopping.model_dump(),
            "epochs": self.budget.epochs,
            "seed": self.seed,
        }


class SpaceFile(Frozen):
    """The file as written, its parts not yet checked against the trainable."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    trainable: str
    dataset: AnySpec
    fixed: dict[str, Any] = Field(default_factory=dict)
    search: dict[str, dict[str, Any]] = Field(min_length=1)
    inner: dict[str, dict[str, list[float]]] = Field(default_factory=dict)
    objectives: tuple[Objective, ...] = Field(min_length=1)
    baseline: Literal["paper"] | dict[str, Value] = "paper"
    start: tuple[dict[str, Value], ...] = ()
    stopping: Stopping = Field(default_factory=Stopping)
    budget: Budget
    resources: Resources = Field(default_factory=Resources)
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def nest_names(flat: Mapping[str, Value]) -> dict[str, Any]:
    """Turn dotted names into nested mappings, as pydantic wants them."""
    result: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result


def flatten_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into dotted names."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result |= flatten_names(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result


def field_names(config: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all fields of a Config."""
    names: list[str] = []
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += field_names(field.annotation, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names
