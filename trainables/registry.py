"""Names of trainables, resolved to classes only when needed, since a network imports torch."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from runtime.errors import InputError, suggest_name
from runtime.inputs.importing import import_object
from trainables import function, inspection, measurement
from trainables.contract import InnerParameter, Metric, Trainable


@dataclass(frozen=True)
class RegistryEntry:
    """Import paths of a built-in trainable.

    Attributes:
        trainable: Path of the class, `package.module:Class`.
        description: Path of its Config; METRICS and INNER are in the same module, which does not import torch.
    """

    trainable: str
    description: str


BUILT_IN: Final = {
    "localizer": RegistryEntry(
        "trainables.localizer.trainable:Localizer", "trainables.localizer.config:LocalizerConfig"
    ),
    "doanet": RegistryEntry("trainables.doanet.trainable:Doanet", "trainables.doanet.config:DoanetConfig"),
    "hnet": RegistryEntry("trainables.hnet.trainable:Hnet", "trainables.hnet.config:HnetConfig"),
}


@dataclass(frozen=True)
class TrainableDescription:
    """Description of a trainable that a search space needs, without the network.

    Attributes:
        name: Built-in name or import path.
        config: Its hyperparameters.
        metrics: Metrics that it reports; empty for a function that declares none: the objectives then name them.
        inner: Its parameters of inference.
        needs_data: Whether it learns from a dataset.
        measurable: Quantities that a search can measure on it, for constraints: `parameters` and `latency_ms`.
    """

    name: str
    config: type[BaseModel]
    metrics: tuple[Metric, ...]
    inner: tuple[InnerParameter, ...]
    needs_data: bool = True
    measurable: frozenset[str] = measurement.QUANTITIES


def describe_trainable(name: str, place: str) -> TrainableDescription:
    """Look up the Config, metrics and inner parameters of a trainable.

    Args:
        name: Built-in name or import path `package.module:Class`.
        place: Location of the name, for errors.

    Raises:
        InputError: If there is no such trainable.
    """
    if name in BUILT_IN:
        module_name, _, attribute = BUILT_IN[name].description.partition(":")
        module = importlib.import_module(module_name)
        return TrainableDescription(name, getattr(module, attribute), module.METRICS, module.INNER)
    trainable = load_trainable(name, place)
    return TrainableDescription(
        name,
        trainable.Config,
        trainable.metrics,
        trainable.inner,
        trainable.needs_data,
        measurement.list_measurable(trainable),
    )


def load_trainable(name: str, place: str) -> type[Trainable]:
    """Import a trainable and check that it fulfils the contract.

    Args:
        name: Built-in name or import path `package.module:name` of a class or function.
        place: Location of the name, for errors.

    Raises:
        InputError: If it cannot be imported or violates the contract.
    """
    path = BUILT_IN[name].trainable if name in BUILT_IN else name
    trainable = _import_trainable(name, path, place)
    inspection.check_trainable(trainable, path, place)
    return trainable


def has_predictor(trainable: type[Trainable]) -> bool:
    """Return whether models of a trainable predict from recordings."""
    own: Any = trainable.predictor
    return own.__func__ is not Trainable.predictor.__func__  # type: ignore[attr-defined]


def _import_trainable(name: str, path: str, place: str) -> type[Trainable]:
    module_name, colon, attribute = path.partition(":")
    if not (colon and module_name and attribute):
        *parents, last = path.split(".")
        example = (
            f"{'.'.join(parents)}:{last}" if all([*parents, last]) and parents else "my_package.my_module:MyTrainable"
        )
        remedy = f"{suggest_name(name, BUILT_IN)} The import path of a class or function is written {example}."
        raise InputError(place, "the trainable must be known", value=name, remedy=remedy)
    imported = import_object(path, place, "trainable")
    if inspect.isclass(imported):
        if issubclass(imported, Trainable):
            return imported
    elif callable(imported):
        return function.as_trainable(imported, path, place)
    raise InputError(
        place,
        "a trainable derives from trainables.contract.Trainable, or is a function that yields metrics",
        value=path,
        remedy="derive from it, or write a function; see docs/tutorial/trainable.md",
    )
