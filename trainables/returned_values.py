"""Values that a trainable returns: converted to plain floats, with every departure from the contract named.

A search stores metrics in JSON, in the study and in MLflow, which accept plain floats only. Everything that leaves a trainable
therefore passes through this module.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from trainables.contract import ContractError, InferenceParams, Metrics, Trainable

_MAX_NAMED: Final = 5
"""Number of metrics that one message names."""
_ONE_MAPPING: Final = "a mapping from metric names to numbers"


def evaluate_split(trainable: Trainable, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
    """Evaluate a trainable on a split.

    Args:
        trainable: Trainable to evaluate.
        split: Name of the split.
        params_grid: Choices of inference parameters; the trainable receives a copy of each.

    Returns:
        One mapping of plain floats per element of `params_grid`.

    Raises:
        ContractError: If `evaluate` returned anything but one mapping of numbers per element of `params_grid`.
    """
    returned: object = trainable.evaluate(split, [dict(params) for params in params_grid])
    expected = f"a list with {_ONE_MAPPING} per choice of inference parameters"
    if isinstance(returned, Mapping):
        raise ContractError(
            f"evaluate returned one mapping, but must return {expected}; here: [metrics], for {len(params_grid)} choice"
            + "s" * (len(params_grid) != 1)
        )
    if isinstance(returned, str | bytes) or not isinstance(returned, Sequence):
        raise ContractError(f"evaluate returned {describe_value(returned)}, but must return {expected}")
    if len(returned) != len(params_grid):
        raise ContractError(
            f"evaluate returned {len(returned)} mappings for {len(params_grid)} choices of inference parameters; it must "
            f"return {expected}"
        )
    wrong = next((metrics for metrics in returned if not isinstance(metrics, Mapping)), returned)
    if wrong is not returned:
        raise ContractError(
            f"evaluate returned a list that contains {describe_value(wrong)}, but must return {expected}"
        )
    return [read_metrics("evaluate returned", metrics) for metrics in returned]


def read_training_metrics(returned: object) -> Metrics:
    """Return the metrics of `train_epoch` as plain floats; None stands for no metrics.

    Raises:
        ContractError: If it is neither None nor a mapping from names to numbers.
    """
    return {} if returned is None else read_metrics("train_epoch returned", returned)


def merge_metrics(validation: Metrics, training: Metrics) -> Metrics:
    """Return the metrics of an epoch.

    A training metric with the name of a validation metric is renamed to `train_<name>`, and dropped if that exists as well: the
    choice of inference parameters, the best epoch and the objectives are those of validation.
    """
    renamed = {f"train_{name}": value for name, value in training.items() if name in validation}
    return renamed | training | validation


def require_objectives(
    evaluated: Iterable[Metrics], training: Metrics, objectives: Iterable[str], kind: str = "objective"
) -> None:
    """Check that the metrics of an epoch include all objectives; an undefined one is NaN, not absent.

    Args:
        evaluated: Metrics of `evaluate`, per choice of inference parameters.
        training: Metrics of `train_epoch`.
        objectives: Names of the objectives of the search.
        kind: Kind of these names in the message.

    Raises:
        ContractError: If one is absent.
    """
    required = list(objectives)
    for metrics in evaluated:
        absent = [name for name in required if name not in metrics and name not in training]
        if not absent:
            continue
        similar = [f"rename {n!r} to {name!r}" for name in absent for n in metrics if n.lower() == name.lower()]
        raise ContractError(
            f"the {kind} {_join_names(absent)} is missing; {kind}s: {_join_names(required)}; metrics of validation: "
            f"{_join_names(metrics)}; of training: {_join_names(training)}" + "".join(f"; {text}" for text in similar)
        )


def to_float(value: Any) -> float:
    """Convert a number to a plain float.

    Args:
        value: Number of any type that `float` accepts, such as a NumPy scalar, a fraction, or an array or a tensor with one
            element on any device. Text is not a number.

    Raises:
        TypeError: If the value is no real number.
        ValueError: If it is an array of several elements.
        OverflowError: If it exceeds the range of a float.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return float("nan")
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        raise TypeError("a date or a duration is no number")
    item = getattr(value, "item", None)
    if callable(item) and not isinstance(value, int | float):
        value = item()
    if not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):  # float() would parse text
        raise TypeError(f"{type(value).__name__} is no number")
    return float(value)


def read_metrics(subject: str, metrics: object) -> Metrics:
    """Return metrics as plain floats.

    Args:
        subject: Beginning of the messages, such as "evaluate returned".
        metrics: Mapping from names to numbers.

    Raises:
        ContractError: If it is anything else.
    """
    if not isinstance(metrics, Mapping):
        raise ContractError(f"{subject} {describe_value(metrics)}, where {_ONE_MAPPING} is expected")
    unnamed = [describe_value(name) for name in metrics if not isinstance(name, str)]
    if unnamed:
        raise ContractError(f"{subject} metrics whose names are not text: {', '.join(unnamed[:_MAX_NAMED])}")
    converted: Metrics = {}
    wrong: list[str] = []
    for name, value in metrics.items():
        try:
            converted[str.__str__(name)] = to_float(value)  # a plain string, also for an enumeration
        except Exception:  # noqa: BLE001  # the conversion of a foreign type may raise any exception
            wrong.append(f"{str.__str__(name)!r} is {describe_value(value)}")
    if wrong:
        raise ContractError(f"{subject} metrics that are not numbers: {', '.join(wrong[:_MAX_NAMED])}")
    return converted


def describe_value(value: object) -> str:
    """Return the type of a value, with its shape or a short form of its content, for messages."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if inspect.isgenerator(value) or inspect.iscoroutine(value):
        value.close()
        return f"a {name}, whose code has not run (the body of a function with `yield` or `async` does not run when called)"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and not isinstance(value, str):
        return f"{name} of shape {tuple(shape)}" + (f" and type {value.dtype}" if hasattr(value, "dtype") else "")
    return _describe_plain(value, name)


def _describe_plain(value: object, name: str) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"text: {name} {reprlib.repr(str.__str__(value))}"
    if isinstance(value, int | complex | float):
        return f"{name} ({reprlib.repr(value) if abs(value) < 1e300 else 'too large for a float'})"
    return name


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
