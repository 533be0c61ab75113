"""Scores on the test splits: computed once per model, with the setting chosen on validation."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from search.execution.checkpoint import load_checkpoint
from search.execution.error_text import describe_error
from search.execution.trial import build_trainable
from search.experiment import Experiment
from search.results import SearchFolder
from trainables import returned_values
from trainables.contract import Trainable

TestScores = dict[str, dict[str, float]]
"""Metrics by test split."""


def load_trial_model(experiment: Experiment, number: int, device: str) -> tuple[Trainable, dict[str, float]]:
    """Load the saved model of a trial and the inference setting that was best on validation."""
    content = load_checkpoint(experiment.results.fetch_file(experiment.results.model_path(number)), device)
    model = build_trainable(experiment, content["config"], device)
    model.load_weights(content["weights"])
    return model, content["setting"]


def score_test_splits(experiment: Experiment, number: int, device: str, *, keeps_scenes: bool = False) -> TestScores:
    """Return the metrics of a trial's saved model on every test split.

    Args:
        experiment: Search that the trial belongs to.
        number: Number of the trial.
        device: Torch device.
        keeps_scenes: Whether to write the results per scene to the folder of the trial, if the trainable has any.
    """
    model, setting = load_trial_model(experiment, number, device)
    splits = experiment.space.dataset.test_names()
    if keeps_scenes:
        terms = {name: model.evaluate_scenes(name, setting) for name in splits}
        write_scenes(experiment.results, number, {name: each for name, each in terms.items() if each is not None})
    return {name: returned_values.evaluate_split(model, name, [setting])[0] for name in splits}


def write_scenes(results: SearchFolder, number: int, terms: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the results per scene of a trial, by test split.

    Args:
        results: Files of the search.
        number: Number of the trial.
        terms: Additive terms, shape (scenes, terms), by split; nothing is written if there are none.
    """
    if terms:
        with results.write_file(results.scenes_path(number)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **terms)


def read_scenes(results: SearchFolder, number: int) -> dict[str, NDArray[np.float64]]:
    """Return the results per scene of a trial, by test split; empty if there are none, or the file is corrupt."""
    path = results.fetch_file(results.scenes_path(number))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return {}


def try_scoring(experiment: Experiment, number: int, device: str, *, keeps_scenes: bool = False) -> TestScores | str:
    """Return the metrics of a trial's saved model on every test split, or the reason why the trainable gave none."""
    try:
        return score_test_splits(experiment, number, device, keeps_scenes=keeps_scenes)
    except InputError:  # the storage or the dataset, not the trainable
        raise
    except (Exception, SystemExit) as error:  # any exception of a trainable; the search has its results
        if hasattr(error, "ray_terminate_msg"):  # raised by Ray for SIGTERM
            raise
        return describe_error(error)
