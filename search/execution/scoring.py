"""Scores on the test splits: computed once for the winner and the baseline, with the setting chosen on validation."""

from __future__ import annotations

from search.execution.checkpoint import load_checkpoint
from search.execution.trial import build_trainable
from search.experiment import Experiment
from trainables.contract import Trainable


def load_trial_model(experiment: Experiment, number: int, device: str) -> tuple[Trainable, dict[str, float]]:
    """Load the saved model of a trial and the inference setting that was best on validation."""
    content = load_checkpoint(experiment.results.fetch_file(experiment.results.model_path(number)), device)
    model = build_trainable(experiment, content["config"], device)
    model.load_weights(content["weights"])
    return model, content["setting"]


def score_test_splits(experiment: Experiment, number: int, device: str) -> dict[str, dict[str, float]]:
    """Return the metrics of a trial's saved model on every test split."""
    model, setting = load_trial_model(experiment, number, device)
    return {name: model.evaluate(name, [setting])[0] for name in experiment.space.dataset.test_names()}
