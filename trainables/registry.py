"""Names of trainables, resolved to classes only when needed, since a network imports torch."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from runtime.errors import InputError, suggest_name
from trainables import hooks
from trainables.contract import InnerParameter, Metric, Trainable, TrainableConfig

_HOOKS: Final = ("check_data", "ddp_batch_size", "supports_ddp")
"""Members of `TrainableConfig` that a Config may override."""
_SIMILARITY: Final = 0.85
"""Ratio of common characters from which a public name of a Config counts as a misspelt hook."""


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
        metrics: Metrics that it reports.
        inner: Its parameters of inference.
    """

    name: str
    config: type[BaseModel]
    metrics: tuple[Metric, ...]
    inner: tuple[InnerParameter, ...]


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
    return TrainableDescription(name, trainable.Config, trainable.metrics, trainable.inner)


def load_trainable(name: str, place: str) -> type[Trainable]:
    """Import a trainable and check that it fulfils the contract.

    Args:
        name: Built-in name or import path `package.module:Class`.
        place: Location of the name, for errors.

    Raises:
        InputError: If it cannot be imported or violates the contract.
    """
    path = BUILT_IN[name].trainable if name in BUILT_IN else name
    trainable = _import_class(name, path, place)
    missing = sorted(trainable.__abstractmethods__)
    missing += [attribute for attribute in ("Config", "metrics", "inner") if not hasattr(trainable, attribute)]
    if missing:
        raise InputError(
            place, f"{path} must keep the contract", value="missing: " + ", ".join(missing), remedy="add them"
        )
    _check_config(trainable.Config, path, place)
    return trainable


def _import_class(name: str, path: str, place: str) -> type[Trainable]:
    module_name, colon, attribute = path.partition(":")
    if not (colon and module_name and attribute):
        remedy = (
            suggest_name(name, BUILT_IN) + " The import path of a class is written my_package.my_module:MyTrainable."
        )
        raise InputError(place, "the trainable must be known", value=name, remedy=remedy)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        imported = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(
            place,
            "the trainable must be importable",
            value=str(error),
            remedy="check the path, and install its package",
        ) from error
    if not (inspect.isclass(imported) and issubclass(imported, Trainable)):
        raise InputError(
            place, "a trainable derives from trainables.contract.Trainable", value=path, remedy="derive from it"
        )
    return imported


def _check_config(config: Any, path: str, place: str) -> None:
    """Check the base class and the hooks of a Config.

    Raises:
        InputError: If it is no pydantic model, or its hooks are misspelt or incomplete.
    """
    if not (inspect.isclass(config) and issubclass(config, BaseModel)):
        raise InputError(
            place,
            "the Config of a trainable is a pydantic model, such as trainables.contract.TrainableConfig",
            value=f"{path}: Config = {getattr(config, '__name__', config)!s}",
            remedy="derive from it",
        )
    for name in _added_names(config):
        similar = difflib.get_close_matches(name, _HOOKS, 1, _SIMILARITY)
        if similar:
            raise InputError(
                place,
                "fields and methods of a Config must not resemble the hooks of TrainableConfig",
                value=f"{config.__name__}.{name}",
                remedy=f"define {similar[0]} as TrainableConfig does if the hook is meant, or choose another name",
            )
    if hooks.lacks_batch_size(config):
        raise InputError(
            place,
            "a Config with supports_ddp must define ddp_batch_size",
            value=config.__name__,
            remedy="add a property that returns the number of items per training step",
        )


def _added_names(config: type[BaseModel]) -> list[str]:
    """Return the public methods and class variables that a Config adds to `TrainableConfig`, and all its fields."""
    members = [name for kind in config.__mro__ if kind not in TrainableConfig.__mro__ for name in vars(kind)]
    public = [name for name in members if not (name.startswith("_") or hasattr(TrainableConfig, name))]
    return [*public, *config.model_fields]
