"""Names of trainables. A name is resolved late, since a network brings torch with it."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from runtime.errors import InputError, suggest_name
from trainables.contract import InnerParameter, Metric, Trainable


@dataclass(frozen=True)
class RegistryEntry:
    """Where a built-in trainable lives, and where its light-weight description does."""

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
    """What a space has to know of a trainable, without the network."""

    name: str
    config: type[BaseModel]
    metrics: tuple[Metric, ...]
    inner: tuple[InnerParameter, ...]


def describe_trainable(name: str, place: str) -> TrainableDescription:
    """Look up a trainable's Config, metrics and inner parameters.

    Args:
        name: A built-in name or an import path `package.module:Class`.
        place: Where it was named, for errors.

    Raises:
        InputError: If there is no such trainable.
    """
    if name in BUILT_IN:
        module = importlib.import_module(BUILT_IN[name].description.partition(":")[0])
        config = getattr(module, BUILT_IN[name].description.partition(":")[2])
        return TrainableDescription(name, config, module.METRICS, module.INNER)
    trainable = load_trainable(name, place)
    return TrainableDescription(name, trainable.Config, trainable.metrics, trainable.inner)


def load_trainable(name: str, place: str) -> type[Trainable]:
    """Import a trainable and check that it keeps the contract.

    Raises:
        InputError: If it cannot be imported, or is none.
    """
    path = BUILT_IN[name].trainable if name in BUILT_IN else name
    module_name, colon, attribute = path.partition(":")
    if not (colon and module_name and attribute):
        remedy = suggest_name(name, BUILT_IN) + " One of your own is written my_package.my_module:MyTrainable."
        raise InputError(place, "the trainable must be known", value=name, remedy=remedy)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(
            place,
            "the trainable must be importable",
            value=str(error),
            remedy="check the path, and install its package",
        ) from error
    if not (inspect.isclass(found) and issubclass(found, Trainable)):
        raise InputError(
            place, "a trainable derives from trainables.contract.Trainable", value=path, remedy="derive from it"
        )
    missing = sorted(found.__abstractmethods__) + [a for a in ("Config", "metrics", "inner") if not hasattr(found, a)]
    if missing:
        raise InputError(
            place, f"{path} must keep the contract", value="missing: " + ", ".join(missing), remedy="add them"
        )
    return found
