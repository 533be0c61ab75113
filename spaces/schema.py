"""Data types of search spaces; `spaces.load` reads them from a file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, PositiveFloat, PositiveInt, ValidationError

from datasets.building.spec import DatasetSpec, Frozen
from datasets.none import NoneSpec
from datasets.registry import AnySpec
from datasets.rooms.spec import SampleSpec
from runtime.inputs.validation import field_meanings
from spaces.constraints import Constraint
from spaces.tables import Row, TableFile, TableText
from spaces.values import is_equal_number, is_same_value

Value = int | float | str | bool | None | list[Any]

Direction = Literal["maximize", "minimize"]


DATASET: Final = "dataset."
"""Prefix of the searched names that are fields of the dataset."""
TRAIN_SEED: Final = f"{DATASET}train_seed"
"""Name under which a trial carries the seed of its own training data."""
_MOST_GPUS: Final = 16
"""Maximum number of GPUs of a trial, all on one machine."""


PriorWidth = Literal["narrow", "medium", "wide"]


@dataclass(frozen=True)
class Prior:
    """Value of a dimension at which good points are expected, and how close to it."""

    value: Value
    width: PriorWidth = "medium"


@dataclass(frozen=True)
class Dimension:
    """Searched hyperparameter.

    Attributes:
        name: Dotted name of a Config field, or `dataset.train.…`.
        kind: Distribution: uniform, log-uniform, either of them over integers, or a choice.
        low: Lower bound, of all kinds except `choice`.
        high: Upper bound, of all kinds except `choice`.
        choices: Values of the kind `choice`.
        when: Names of other dimensions and their values for which this one is active.
        step: Distance of neighbouring values of a range, counted from the lower bound; None for all values.
        prior: Value at which good points are expected; None for none. It changes proposals only.
    """

    name: str
    kind: Literal["uniform", "log_uniform", "int", "log_int", "choice"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    step: float | None = None
    prior: Prior | None = None

    @property
    def is_integer(self) -> bool:
        """Whether the dimension is a range of integers."""
        return self.kind in ("int", "log_int")

    def find_choice(self, value: object) -> int | None:
        """Return the index of a choice, or None; the number 1 finds 1.0 only where 1 is not a choice, and never true."""
        for is_match in (is_same_value, is_equal_number):
            index = next((i for i, choice in enumerate(self.choices) if is_match(value, choice)), None)
            if index is not None:
                return index
        return None

    def contains_value(self, value: object) -> bool:
        """Return whether the dimension can take a value."""
        if self.kind == "choice":
            return self.find_choice(value) is not None
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        if self.is_integer and value != int(value):
            return False
        return self.step is None or math.isclose(value, self._nearest_step(value), rel_tol=1e-9, abs_tol=1e-12)

    def normalize(self, value: Value) -> Value:
        """Return a value in the form in which the dimension has it; values outside it are returned unchanged."""
        if not self.contains_value(value):
            return value
        index = self.find_choice(value) if self.kind == "choice" else None
        if index is not None:
            return self.choices[index]
        assert isinstance(value, int | float)
        stepped = value if self.step is None else self._nearest_step(value)
        return int(stepped) if self.is_integer else stepped

    def _nearest_step(self, value: float) -> float:
        """Return the value of the grid next to a number, in decimal arithmetic: 0.3, not 0.30000000000000004."""
        low, step = Decimal(str(self.low)), Decimal(str(self.step))
        return float(low + step * round((Decimal(str(value)) - low) / step))

    def grid_values(self, most: int) -> list[Value] | None:
        """Return all values of the dimension; None if they are more than `most`, or not countable."""
        if self.kind == "choice":
            return list(self.choices) if len(self.choices) <= most else None
        step = 1 if self.is_integer and self.step is None else self.step
        if step is None or (self.high - self.low) / step >= most:
            return None
        count = round((self.high - self.low) / step)
        return [self.normalize(self.low + step * number) for number in range(count + 1)]

    def boundary_values(self) -> tuple[Value, ...]:
        """Return all choices, or the lower and the upper bound."""
        bounds = (self.low, self.high)
        return self.choices or (tuple(map(int, bounds)) if self.is_integer else bounds)

    def is_active(self, parameters: Mapping[str, Value]) -> bool:
        """Return whether the dimension is active, given the values of other dimensions."""
        return all(
            name in parameters and any(is_same_value(parameters[name], value) for value in values)
            for name, values in self.when
        )


SamplerName = Literal["auto", "tpe", "gp", "cma", "qmc", "random", "grid"]


class Objective(Frozen):
    """Metric that is optimised."""

    metric: str = Field(description="name of the metric")
    direction: Direction | None = Field(None, description="the metric's own, if absent")


StoppingName = Literal["auto", "asha", "hyperband", "pasha", "median", "none"]


class Stopping(Frozen):
    """Rule that lets the worse trials wait, or stops none. A trial that waits continues once it is among the better ones."""

    rule: StoppingName = Field(
        "auto",
        description="`auto` (successive halving), `asha`, `hyperband`, `pasha`, `median`, or `none`: every trial runs all epochs",
    )
    reduction: int = Field(3, ge=2, le=10, description="the best 1/`reduction` of the trials at a rung is promoted")
    first_rung: PositiveInt = Field(
        1, description="epochs of the first rung; each next rung is `reduction` times later"
    )
    charge: Literal["epochs", "seconds"] = Field(
        "epochs",
        description="unit of the share that is promoted: trials, or their seconds per epoch where configurations differ in cost",
    )
    disk_gb: PositiveFloat = Field(
        10.0,
        description="disk space for the files of waiting trials, in GB; the least promising ones are stopped beyond it",
    )

    @property
    def chosen_rule(self) -> StoppingName:
        """Rule with `auto` replaced."""
        return "asha" if self.rule == "auto" else self.rule

    def identity(self) -> dict[str, Any]:
        """Return the values that determine which trials continue."""
        values = {"rule": self.chosen_rule, "reduction": self.reduction, "first_rung": self.first_rung}
        return values if self.charge == "epochs" else {**values, "charge": self.charge}


class Budget(Frozen):
    """Limits on trials, epochs, time and money.

    Those on `epochs_total`, `presentations`, `gpu_hours` and `money` count over all trials and launches of a search.
    """

    trials: int = Field(gt=0, le=10**6, description="number of trials, including the baseline")
    epochs: int = Field(gt=0, le=10**6, description="epochs of a full training")
    hours: PositiveFloat | None = Field(
        None, description="time limit of each launch, in hours; trials that are running then continue with --resume"
    )
    epochs_total: int | None = Field(None, gt=0, le=10**9, description="epochs of all trials together")
    presentations: int | None = Field(
        None, gt=0, le=10**15, description="training samples shown in all trials together, each repetition counted"
    )
    gpu_hours: PositiveFloat | None = Field(
        None, description="hours of all trials together, times the GPUs of a trial: its share of one, or their number"
    )
    money: PositiveFloat | None = Field(
        None, description="price of all trials together, from `resources.price_per_hour`, in its currency"
    )


class Confirm(Frozen):
    """Confirmation of the best trials after the search, on fresh seeds and the same test scenes."""

    top: int = Field(2, ge=0, le=100, description="number of the best trials to confirm; 0 confirms nothing")
    seeds: int = Field(
        2, ge=1, le=100, description="full trainings of each of them, of the baseline and of every `start`"
    )


def _check_gpu(gpu: float | Literal["auto"]) -> float | Literal["auto"]:
    if isinstance(gpu, float) and not (0 <= gpu <= 1 or (gpu.is_integer() and 1 < gpu <= _MOST_GPUS)):
        raise ValueError(
            "a trial must train on one GPU (1), on a share of one (0.25), on none (0), on as much as it needs (auto), "
            f"or on several (2 … {_MOST_GPUS})"
        )
    return gpu


class Resources(Frozen):
    """CPU cores and GPUs of a trial, and their price."""

    cpu: PositiveFloat = Field(1.0, description="CPU cores of a trial")
    gpu: Annotated[Literal["auto"] | float, AfterValidator(_check_gpu)] = Field(
        0.0,
        description="GPUs of a trial: a share of one, 1, several of one machine, or `auto`: as much as the baseline needs",
        json_schema_extra={"bounds": f"≥ 0, ≤ 1, or an integer from 2 to {_MOST_GPUS}"},
    )
    price_per_hour: PositiveFloat | None = Field(
        None, description="price of an hour of one trial: that of its machine, divided by the trials that share it"
    )

    @property
    def gpu_share(self) -> float:
        """Share of a GPU, or number of GPUs; 0 for `auto`, which is measured later."""
        return self.gpu if isinstance(self.gpu, float) else 0.0


@dataclass(frozen=True)
class EarlierSearch:
    """Search whose best trials are starting points of another one.

    Attributes:
        search: Its name, or the path of its folder, as the space gives it.
        location: Its folder; empty until it has been read.
        trials: Number of its trials when it was read.
        numbers: Numbers of the trials that became starting points, the best first.
        points: Their values, completed for the new space.
        replaced: Names of values that the new space does not contain, and were replaced, per trial.
    """

    search: str
    location: str = ""
    trials: int = 0
    numbers: tuple[int, ...] = ()
    points: tuple[Mapping[str, Value], ...] = ()
    replaced: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Space:
    """Complete description of a search.

    Attributes:
        name: Name of the search, its folder and its MLflow experiment.
        trainable: Built-in name or import path.
        dataset: Dataset of all trials that do not search its training data.
        fixed: Values of Config fields that all trials share, by dotted name.
        search: Dimensions; every condition precedes the dimensions that depend on it.
        inner: Values of inference parameters, of which every validation sweeps all combinations.
        objectives: Metrics and their directions; several form a Pareto front.
        baseline: Values of the dimensions of trial 0.
        start: Values of the trials directly after the baseline.
        stopping: Rule for stopping trials early.
        budget: Limits on trials, epochs, time and money.
        resources: CPU cores and GPUs of a trial, and their price.
        seed: Seed of proposals and trainings.
        profile: Name of the applied profile, or None.
        remarks: What the options and the fixed values change beyond their own keys, for the plan.
        completed: Names of values that the file leaves out of its baseline; they have the Config's defaults.
        distinct_points: Number of different trials that are possible; None if it is unlimited or unknown.
        confirm: Which trials are confirmed after the search; None for none.
        vary_seeds: Whether each trial has a seed of its own.
        sampler: Name of the method that proposes points.
        warm_start: Earlier searches whose best trials run after the points of `start`; a launch reads them.
        table: Rows that are compared, of which `baseline` is the first and `start` has the others; None for a search.
        constraints: Bounds that the winner has to satisfy.
        written: Content of the file with its profile and the options applied, from which the space can be read again; empty
            for a space that was not read from a file.
    """

    name: str
    trainable: str
    dataset: DatasetSpec
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
    remarks: tuple[str, ...] = ()
    completed: frozenset[str] = frozenset()
    distinct_points: int | None = None
    confirm: Confirm | None = None
    vary_seeds: bool = False
    warm_start: tuple[EarlierSearch, ...] = ()
    table: TableFile | None = None
    sampler: SamplerName = "auto"
    constraints: tuple[Constraint, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def max_trials(self) -> int:
        """Number of trials: the budget, or all points of a small space."""
        return min(self.budget.trials, self.distinct_points or self.budget.trials)

    @property
    def outside(self) -> dict[str, Value]:
        """Values of the baseline that are outside the searched ranges and choices, by name."""
        dimensions = [d for d in self.search if d.name in self.baseline]
        return {d.name: self.baseline[d.name] for d in dimensions if not d.contains_value(self.baseline[d.name])}

    def config_values(self, parameters: Mapping[str, Value]) -> dict[str, Value]:
        """Return the Config fields of a trial by dotted name: those fixed for all trials and those proposed for it."""
        return dict(self.fixed) | {name: v for name, v in parameters.items() if not name.startswith(DATASET)}

    def boundary_points(self) -> list[dict[str, Value]]:
        """Return Config values of the baseline, the named points, and the baseline with each dimension at each boundary value."""
        ends = [dict(self.baseline) | {d.name: value} for d in self.search for value in d.boundary_values()]
        return [self.config_values(point) for point in (self.baseline, *self.start, *ends)]

    def dataset_of(self, parameters: Mapping[str, Value]) -> DatasetSpec:
        """Return the dataset of a trial."""
        asked = {name.removeprefix(DATASET): v for name, v in parameters.items() if name.startswith(DATASET)}
        seed = asked.pop(TRAIN_SEED.removeprefix(DATASET), None)
        dataset = self.dataset.with_train_seed(seed) if isinstance(seed, int) else self.dataset
        return dataset.with_changes(asked) if asked and isinstance(dataset, SampleSpec) else dataset

    def list_dataset_specs(self) -> list[DatasetSpec] | None:
        """Return the datasets of all possible trials, the space's own first; None if their number is unlimited."""
        if not isinstance(self.dataset, SampleSpec):
            return [self.dataset]
        searched = [dimension for dimension in self.search if dimension.name.startswith(DATASET)]
        return [*self.boundary_datasets()] if all(d.kind == "choice" for d in searched) else None

    def boundary_datasets(self) -> list[SampleSpec]:
        """Return the space's own dataset and those at choices and bounds of ranges; empty for kinds without variants."""
        if not isinstance(self.dataset, SampleSpec):
            return []
        specs: list[SampleSpec] = [self.dataset]
        for _, spec in self.boundary_variants():
            if all(spec.split_identity("train") != other.split_identity("train") for other in specs):
                specs.append(spec)
        return specs

    def boundary_variants(self) -> list[tuple[dict[str, Value], SampleSpec]]:
        """Return the datasets at choices and bounds of ranges with their searched values, without impossible ones."""
        if not isinstance(self.dataset, SampleSpec):
            return []
        searched = [dimension for dimension in self.search if dimension.name.startswith(DATASET)]
        variants = []
        for values in itertools.product(*(dimension.boundary_values() for dimension in searched)):
            point = dict(zip((d.name for d in searched), values, strict=True))
            asked = {d.name.removeprefix(DATASET): point[d.name] for d in searched if d.is_active(point)}
            with suppress(ValidationError):  # no trial has this combination
                variants.append((asked, self.dataset.with_changes(asked)))
        return variants

    def identity(self) -> dict[str, Any]:
        """Return the values that must not change when a search is resumed.

        The budget without `epochs`, the resources, the sampler, `confirm` and `constraints` may change.
        """
        varied = {"vary_seeds": True} if self.vary_seeds else {}  # absent from searches of earlier versions
        return {
            "trainable": self.trainable,
            "dataset": self.dataset.model_dump(mode="json", by_alias=True),
            "fixed": dict(self.fixed),
            "search": {d.name: _describe_dimension(d) for d in self.search},
            "inner": {name: list(values) for name, values in self.inner.items()},
            "objectives": [list(objective) for objective in self.objectives],
            "baseline": {name: value for name, value in self.baseline.items() if name not in self.completed},
            "stopping": self.stopping.identity(),
            "epochs": self.budget.epochs,
            "seed": self.seed,
            **varied,
        }


def _describe_dimension(dimension: Dimension) -> list[Any]:
    """Return all values of a dimension; searches that were started before `step` existed have no entry for it."""
    when = [[name, list(values)] for name, values in dimension.when]
    step = [] if dimension.step is None else [dimension.step]
    return [dimension.kind, dimension.low, dimension.high, list(dimension.choices), when, *step]


class SpaceFile(Frozen):
    """Content of a space file, not yet checked against the trainable."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="name of the search, its folder and its MLflow experiment",
    )
    trainable: str = Field(description="built-in name, or import path `package.module:Class`")
    dataset: AnySpec = Field(
        default_factory=NoneSpec,
        description="dataset of one of the kinds below, or of an import path; absent for a trainable that needs none",
    )
    fixed: dict[str, Any] = Field(
        default_factory=dict, description="values of Config fields that all trials share, by dotted name"
    )
    search: dict[str, dict[str, Any]] = Field(
        description="searched dimensions, by dotted name; with none, the search is one training"
    )
    inner: dict[str, dict[str, list[float]]] = Field(
        default_factory=dict,
        description="values of inference parameters, of which every validation sweeps all combinations",
    )
    objectives: tuple[Objective, ...] = Field(
        min_length=1, description="metrics to optimise; several form a Pareto front"
    )
    constraints: tuple[str, ...] = Field(
        (), description="bounds on metrics, on `parameters` and on `latency_ms`, such as `parameters <= 2e6`"
    )
    baseline: Literal["paper"] | dict[str, Value] = Field(
        "paper", description="values of trial 0: those of the paper, or values by name"
    )
    start: tuple[dict[str, Value], ...] = Field((), description="values of the trials after the baseline")
    warm_start: tuple[str, ...] = Field(
        (), description="earlier searches, by name or folder, whose best trials are evaluated after the starting points"
    )
    sampler: SamplerName = Field(
        "auto", description="method that proposes points: `auto` (TPE), `tpe`, `gp`, `cma`, `qmc`, `random` or `grid`"
    )
    stopping: Stopping = Field(default_factory=Stopping)
    budget: Budget
    resources: Resources = Field(default_factory=Resources)
    confirm: Confirm | None = Field(
        None, description="trainings on fresh seeds after the search, for a verdict on the best trials; none if absent"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of proposals and trainings")
    vary_seeds: bool = Field(
        False, description="whether each trial has a seed of its own, so that no choice is tuned to one"
    )
    rows: dict[str, Row] = Field(
        default_factory=dict,
        description="configurations of a table by name, in place of `search`: each one is trained in full on each seed",
    )
    seeds: int | tuple[int, ...] = Field(3, description="number of trainings of each of the `rows`, or their seeds")
    table: TableText = Field(default_factory=TableText, description="texts, columns and differences of a table")


def nest_names(flat: Mapping[str, Value]) -> dict[str, Any]:
    """Convert dotted names to nested mappings."""
    result: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        section = result
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return result


def flatten_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert nested mappings to dotted names."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result |= flatten_names(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result


def field_names(config: type[BaseModel]) -> list[str]:
    """Return the dotted names of all fields of a Config."""
    return list(field_meanings(config))
