"""Saved models of searches: found by the name of a file or folder, and loaded without their dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError

from datasets.config_file import explain_validation
from runtime.errors import InputError
from search.execution.checkpoint import load_checkpoint
from search.results import SearchFolder
from search.study.study import read_trials
from search.study.trials import choose_winner, rank_trials
from trainables import registry
from trainables.contract import Trainable
from trainables.prediction import Predictor, Recording, SoundFormat
from trainables.sound_profile import SoundProfile
from trainables.sound_warnings import describe_departures

_SEARCH_AGAIN: Final = "search again with this version"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """Model saved by a search.

    Attributes:
        path: Path of the model file.
        name: Name of the trainable.
        trainable: Trainable that the model was trained with.
        config: Config instance of the trainable.
        weights: Weights as returned by `Trainable.weights`.
        inference_params: Inference parameters with the best validation result.
        sound: Profile of the training sound; None if the file has none.
    """

    path: Path
    name: str
    trainable: type[Trainable]
    config: Any
    weights: Mapping[str, Any]
    inference_params: Mapping[str, float]
    sound: SoundProfile | None = None

    def load_predictor(self, device: str) -> Predictor:
        """Build the predictor of the model.

        Raises:
            InputError: If the trainable has no predictor, or the weights do not fit the Config.
        """
        try:
            predictor = self.trainable.predictor(self.config, self.weights, device=device)
        except (KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                str(self.path),
                "the file must hold all weights of the model",
                value=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
                remedy=f"the file is corrupt or was written by another version: {_SEARCH_AGAIN}",
            ) from error
        if predictor is None:
            raise InputError(
                str(self.path),
                "the trainable of the model must have a predictor for recordings",
                value=self.name,
                remedy="use a model of the localizer or of DOAnet; a custom trainable needs a `predictor`",
            )
        return predictor

    def compare_sound(self, recording: Recording, sound: SoundFormat) -> list[str]:
        """Return lines of text about what is unlike the training data in a recording; none if the file has no profile.

        Args:
            recording: Recording in the format of the predictor.
            sound: This format.
        """
        if self.sound is None or self.sound.rate_hz != sound.rate_hz:
            return []
        return describe_departures(self.sound, recording)


def find_model(path: Path) -> Path:
    """Return the path of a model file.

    Args:
        path: A model file, the folder of a trial, or the folder of a search, which selects its winner.

    Raises:
        InputError: If the folder holds no model.
    """
    if not path.is_dir():
        return path
    folder = _ModelLocation(path.absolute().parent, path.absolute().name)
    if folder.is_started():
        return _find_saved(
            folder.model_path(_find_winner(folder)), "name the folder of another trial, or continue the search"
        )
    remedy = "name a model.pt, a trial's folder, or a search's folder such as runs/searches/rg_rep"
    return _find_saved(path / folder.model_path(0).name, remedy)


class _ModelLocation(SearchFolder):
    """Results of a search in a folder that may have been moved."""

    @property
    def root_path(self) -> Path:
        """Return the folder of the search."""
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
                "the folder must hold the study, which determines the winner",
                value="the study is in a database",
                remedy="name the folder of a trial; the last lines of the search name that of the winner",
            )
        ranked = rank_trials(read_trials(folder.journal_path, constraints=folder.read_constraints()), objectives)
    except (OSError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise InputError(
            str(folder.root_path),
            "the records of the search must be readable",
            value=f"{type(error).__name__}: {error}",
            remedy="name the folder of a trial, or a model.pt in it",
        ) from error
    if not ranked:
        raise InputError(
            str(folder.root_path),
            "the search must have a trial with a result",
            remedy="wait for the first result, or name another search",
        )
    return choose_winner(ranked, folder.read_winner()).number


def read_model(path: Path) -> SavedModel:
    """Load a model file.

    Raises:
        InputError: If the file is not a saved model, or this version cannot read it.
    """
    content = _load_content(path)
    try:
        name, values, weights = str(content["trainable"]), content["config"], dict(content["weights"])
        inference_params = {parameter: float(value) for parameter, value in content["setting"].items()}
        profile = content.get("sound")  # absent in models of earlier versions
        sound = None if profile is None else SoundProfile.from_values(profile)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_model_error(path, f"{type(error).__name__}: {error}") from error
    trainable = registry.load_trainable(name, f"{path}: trainable")
    try:
        config = trainable.Config.model_validate(values)
    except ValidationError as error:
        explained = explain_validation(error, trainable.Config, lambda field: f"{path}: config.{field}")
        raise InputError(
            explained.place,
            "the Config of the model must fit this version",
            value=explained.rule,
            remedy=f"use the version that saved the model, or {_SEARCH_AGAIN}",
        ) from error
    return SavedModel(path, name, trainable, config, weights, inference_params, sound)


def _load_content(path: Path) -> Mapping[str, Any]:
    try:
        return load_checkpoint(path)
    except Exception as error:  # a corrupt pickle may raise any exception
        raise _no_model_error(path, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error


def _no_model_error(path: Path, value: str) -> InputError:
    remedy = "name the model.pt of a trial; if it is one, the file is corrupt: use that of another trial"
    return InputError(str(path), "the file must be a model saved by a search", value=value, remedy=remedy)


def require_device(name: str | None) -> str:
    """Return the requested device, by default the GPU if there is one, or else the CPU.

    Raises:
        InputError: If this machine does not have the device.
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
            remedy="omit the option, or write cpu, cuda or cuda:1",
        ) from error
    return name
