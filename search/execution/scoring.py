"""Scores on the test splits: computed once for the winner and the baseline, with the setting chosen on validation."""

from __future__ import annotations

from runtime.errors import InputError
from search.execution.checkpoint import load_checkpoint
from search.execution.error_text import describe_error
from search.execution.trial import build_trainable
from search.experiment import Experiment
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


def score_test_splits(experiment: Experiment, number: int, device: str) -> TestScores:
    """Return the metrics of a trial's saved model on every test split."""
    model, setting = load_trial_model(experiment, number, device)
    return {
        name: returned_values.evaluate_split(model, name, [setting])[0]
        for name in experiment.space.dataset.test_names()
    }


def try_scoring(experiment: Experiment, number: int, device: str) -> TestScores | str:
    """Return the metrics of a trial's saved model on every test split, or the reason why the trainable gave none."""
    try:
        return score_test_splits(experiment, number, device)
    except InputError:  # the storage or the dataset, not the trainable
        raise
    except (Exception, SystemExit) as error:  # any exception of a trainable; the search has its results
        if hasattr(error, "ray_terminate_msg"):  # raised by Ray for SIGTERM
            raise
        return describe_error(error)
