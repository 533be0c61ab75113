"""Test sets: scored once, for the winner and the baseline, with the setting that validation chose."""

from __future__ import annotations

from search.execution.trial import Job, build_trainable, load_checkpoint
from trainables.contract import Trainable


def load_trial_model(job: Job, number: int, device: str) -> tuple[Trainable, dict[str, float]]:
    """Load a trial's kept weights, and the setting they were best with."""
    content = load_checkpoint(job.folder.fetch_file(job.folder.model_path(number)), device)
    model = build_trainable(job, content["config"], device)
    model.load_weights(content["weights"])
    return model, content["setting"]


def score_test_splits(job: Job, number: int, device: str) -> dict[str, dict[str, float]]:
    """Metrics of every test set."""
    model, setting = load_trial_model(job, number, device)
    return {name: model.evaluate(name, [setting])[0] for name in job.space.dataset.test_names()}
