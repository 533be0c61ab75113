"""Constraints of a space: bounds on metrics of validation and on measured quantities of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from runtime.errors import InputError, suggest_name
from trainables.measurement import LATENCY, PARAMETERS

MEASURED: Final[Mapping[str, str]] = {
    PARAMETERS: "number of trainable parameters",
    LATENCY: "latency of a prediction in milliseconds",
}
"""Quantities that a search measures on a model, by the name of their metric."""
_HOOKS: Final[Mapping[str, str]] = {PARAMETERS: "count_parameters", LATENCY: "prepare_prediction"}
"""Methods of a trainable on which the measurements depend."""
_FORM: Final = re.compile(r"(?P<metric>\S.*?)\s*(?P<operator><=|>=|≤|≥)\s*(?P<bound>[^\s<>=≤≥]+)")
_EXAMPLE: Final = "write  constraints: [parameters <= 2e6, latency_ms <= 10]"
Operator = Literal["<=", ">="]


@dataclass(frozen=True)
class Constraint:
    """Bound on a metric.

    Attributes:
        metric: Name of the metric.
        operator: `<=` for an upper bound, `>=` for a lower one.
        bound: The bound; a value equal to it is allowed.
        is_measured: Whether the search measures the metric on the model; it is then the same in all epochs of a trial.
    """

    metric: str
    operator: Operator
    bound: float
    is_measured: bool = False

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {format_quantity(self.metric, self.bound)}"

    @property
    def is_upper(self) -> bool:
        """Whether the bound is an upper one."""
        return self.operator == "<="

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Return by which share of the bound a metric exceeds it; 0 if it does not, infinity if the metric is undefined.

        With a bound of 0, the violation is the distance from it.
        """
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            return math.inf
        excess = value - self.bound if self.is_upper else self.bound - value
        return max(0.0, excess) / (abs(self.bound) or 1.0)

    def describe_violation(self, metrics: Mapping[str, float]) -> str:
        """Return the value of the metric and the bound in words: "3,100,000 parameters, at most 2,000,000 are allowed"."""
        value, allowed = metrics.get(self.metric, math.nan), format_quantity(self.metric, self.bound)
        side = "at most" if self.is_upper else "at least"
        if math.isnan(value):
            return f"{self.metric} is undefined, {side} {allowed} is allowed"
        if self.is_measured and self.metric == PARAMETERS:
            return f"{format_quantity(PARAMETERS, value)} parameters, {side} {allowed} are allowed"
        return f"{self.metric} {format_quantity(self.metric, value)}, {side} {allowed} is allowed"

    def to_record(self) -> list[Any]:
        """Return the constraint as plain values, for the record of a search."""
        return [self.metric, self.operator, self.bound, self.is_measured]


Constraints = Sequence[Constraint]


def format_quantity(metric: str, value: float) -> str:
    """Return a value for users: numbers of parameters in full, all others with four significant digits."""
    return f"{value:,.0f}" if metric == PARAMETERS and float(value).is_integer() else f"{value:.4g}"


def read_recorded(recorded: Sequence[Sequence[Any]] | None) -> tuple[Constraint, ...]:
    """Return the constraints in the record of a search; none for searches of earlier versions."""
    return tuple(Constraint(metric, operator, bound, measured) for metric, operator, bound, measured in recorded or ())


@dataclass(frozen=True)
class ConstraintReader:
    """Reader of the constraints of a space file.

    Attributes:
        path: Path of the file, for errors.
        metrics: Descriptions of the metrics of the trainable, by name; empty if it declares none.
        measurable: Quantities in `MEASURED` that the trainable can be measured by.
    """

    path: str
    metrics: Mapping[str, str]
    measurable: frozenset[str]

    def read(self, written: Sequence[str]) -> tuple[Constraint, ...]:
        """Return the constraints that are written in the file.

        Raises:
            InputError: If one is no constraint, its metric is unknown, or two do not fit together.
        """
        constraints: list[Constraint] = []
        for number, text in enumerate(written):
            place = f"{self.path}: constraints.{number}"
            constraint = self._read_one(text, place)
            _require_compatible(constraint, constraints, place)
            constraints.append(constraint)
        return tuple(constraints)

    def _read_one(self, text: str, place: str) -> Constraint:
        metric, operator, bound = _split(text, place)
        is_measured = metric in MEASURED and metric not in self.metrics
        if not (is_measured and metric in self.measurable):
            self._require_metric(metric, place)
            is_measured = False
        if is_measured and bound <= 0:
            raise InputError(place, f"a bound on {metric} must be positive", value=text, remedy=_EXAMPLE)
        return Constraint(metric, operator, bound, is_measured)

    def _require_metric(self, metric: str, place: str) -> None:
        """Require a metric that the trainable declares; one that declares none may return any."""
        if metric in self.metrics or not self.metrics:
            return
        if metric in MEASURED:
            raise InputError(
                place,
                f"a constraint on {metric} needs a trainable that the search can measure",
                value=metric,
                remedy=f"define {_HOOKS[metric]} of trainables.contract.Trainable, or constrain a metric: "
                + ", ".join(self.metrics),
            )
        known = [*self.metrics, *sorted(self.measurable)]
        remedy = f"{suggest_name(metric, known)}; the metrics are {', '.join(known)}"
        raise InputError(place, "a constraint must be on a known metric", value=metric, remedy=remedy)


def form_error(text: object, place: str) -> InputError:
    """Return the error for an entry that is no constraint."""
    rule = "a constraint has the form  METRIC <= NUMBER  or  METRIC >= NUMBER"
    return InputError(place, rule, value=text, remedy=_suggest_form(text))


def _split(text: str, place: str) -> tuple[str, Operator, float]:
    """Return metric, operator and bound of a constraint."""
    found = _FORM.fullmatch(text.strip())
    if found is None or _is_number(found["metric"]):
        raise form_error(text, place)
    bound = float(found["bound"]) if _is_number(found["bound"]) else math.nan
    if not math.isfinite(bound):
        raise InputError(place, "the bound of a constraint must be a finite number", value=text, remedy=_EXAMPLE)
    return found["metric"], "<=" if found["operator"] in ("<=", "≤") else ">=", bound


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _suggest_form(text: object) -> str:
    """Return the remedy for a constraint that is written in another form."""
    if isinstance(text, Mapping) and len(text) == 1:
        ((name, bound),) = text.items()
        return f"write  {name} <= {bound}  or  {name} >= {bound}"
    parts = re.fullmatch(r"\s*(\S.*?)\s*(<=|>=|≤|≥|==|=|<|>)\s*(\S+)\s*", text) if isinstance(text, str) else None
    if parts is None:
        return _EXAMPLE
    left, operator, right = parts.groups()
    if _is_number(left) and not _is_number(right):
        return f"write the metric first:  {right} {'>=' if operator[0] in '<≤' else '<='} {left}"
    if operator in "<>":
        return f"write  {left} {operator}= {right}  (a value equal to the bound is allowed)"
    return _EXAMPLE


def _require_compatible(constraint: Constraint, earlier: Sequence[Constraint], place: str) -> None:
    """Require that a metric has one bound per side, and that a value can satisfy both."""
    for other in earlier:
        if other.metric != constraint.metric:
            continue
        if other.operator == constraint.operator:
            rule = f"{constraint.metric} must have one {'upper' if constraint.is_upper else 'lower'} bound"
            raise InputError(place, rule, value=f"{other} and {constraint}", remedy="remove one of the two")
        lower, upper = (other, constraint) if constraint.is_upper else (constraint, other)
        if lower.bound > upper.bound:
            rule = "constraints on a metric must not contradict each other"
            raise InputError(place, rule, value=f"{lower} and {upper}", remedy="correct one of the bounds")
