"""Models that searches have kept: found by the name of a file or folder, and read back without their data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError

from runtime.errors import InputError
from search.execution.trial import load_checkpoint
from search.results import SearchFolder
from search.study.study import read_trials
from search.study.trials import rank_trials
from trainables import registry
from trainables.contract import Trainable
from trainables.prediction import Predictor

_SEARCH_AGAIN: Final = "search again with this version of the program"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A model as a search has kept it.

    Attributes:
        path: Its file.
        name: Of its trainable.
        trainable: What it was trained with.
        config: An instance of the trainable's Config.
        weights: What the trainable's `weights` returned.
        setting: Inner parameters that were best on validation.
    """

    path: Path
    name: str
    trainable: type[Trainable]
    config: Any
    weights: Mapping[str, Any]
    setting: Mapping[str, float]

    def load_predictor(self, device: str) -> Predictor:
        """Build what predicts from recordings.

        Raises:
            InputError: If its trainable does not, or the weights are not those of its Config.
        """
        try:
            built = self.trainable.predictor(self.config, self.weights, device=device)
        except (KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                str(self.path),
                "a model holds all that predicting needs",
                value=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
                remedy=f"the file is spoilt, or of another version: {_SEARCH_AGAIN}",
            ) from error
        if built is None:
            raise InputError(
                str(self.path),
                "the model's trainable must predict from recordings",
                value=self.name,
                remedy="name a model of the localizer or of DOAnet; a trainable of your own needs a `predictor`",
            )
        return built


def find_model(place: Path) -> Path:
    """The file of a model.

    Args:
        place: The file, a trial's folder, or a search's folder, which stands for its winner.

    Raises:
        InputError: If there is none.
    """
    if not place.is_dir():
        return place
    folder = _ModelLocation(place.absolute().parent, place.absolute().name)
    if folder.is_started():
        return _find_saved(
            folder.model_path(_find_winner(folder)), "name the folder of another trial, or go on with the search"
        )
    remedy = "name a model.pt, a trial's folder, or a search's folder such as runs/searches/rg_rep"
    return _find_saved(place / folder.model_path(0).name, remedy)


class _ModelLocation(SearchFolder):
    """A search's folder, wherever it has been moved to."""

    @property
    def root(self) -> Path:
        """Everything of this search."""
        return self.storage / self.name


def _find_saved(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise InputError(str(path.parent), "the folder must hold a model", value=f"no {path.name}", remedy=remedy)
    return path


def _find_winner(folder: SearchFolder) -> int:
    try:
        objectives = [(name, direction) for name, direction in folder.read_identity()["objectives"]]
        if not folder.journal_path.is_file():
            raise InputError(
                str(folder.root_path),
                "the study must lie in the folder for its winner to be found",
                value="it is in a database",
                remedy="name a trial's folder; the search's last lines name the winner's",
            )
        ranked = rank_trials(read_trials(folder.journal_path), objectives)
    except (OSError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise InputError(
            str(folder.root_path),
            "the search's records must be readable",
            value=f"{type(error).__name__}: {error}",
            remedy="name a trial's folder or a model.pt in it instead",
        ) from error
    if not ranked:
        raise InputError(
            str(folder.root_path),
            "a trial of the search must have a result",
            remedy="wait for one, or name another search",
        )
    return ranked[0].number


def read_model(path: Path) -> SavedModel:
    """Read a model.

    Raises:
        InputError: If the file is no model of a search, or one that this version cannot read.
    """
    content = _load_content(path)
    try:
        name, values, weights = str(content["trainable"]), content["config"], dict(content["weights"])
        setting = {inner: float(value) for inner, value in content["setting"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_model_error(path, f"{type(error).__name__}: {error}") from error
    trainable = registry.load_trainable(name, f"{path}: trainable")
    try:
        config = trainable.Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: config.{where}",
            "the model's Config must be one that this version knows",
            value=first["msg"],
            remedy=f"use the version that kept it, or {_SEARCH_AGAIN}",
        ) from error
    return SavedModel(path, name, trainable, config, weights, setting)


def _load_content(path: Path) -> Mapping[str, Any]:
    try:
        return load_checkpoint(path)
    except Exception as error:  # a spoilt pickle may raise anything
        raise _no_model_error(path, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error


def _no_model_error(path: Path, value: str) -> InputError:
    remedy = "name a trial's model.pt; if it is one, it is spoilt: name another trial's"
    return InputError(str(path), "the file must be a model that a search has kept", value=value, remedy=remedy)


def require_device(name: str | None) -> str:
    """The device that was asked for, or the accelerator if there is one, or the CPU.

    Raises:
        InputError: If this machine has no such device.
    """
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            "--device",
            "this machine must have the device",
            value=f"{name}: {str(error).partition(chr(10))[0]}",
            remedy="leave the option out, or write cpu, cuda or cuda:1",
        ) from error
    return name
