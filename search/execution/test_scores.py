"""Test sets: scored once, for the winner and the baseline, with the setting that validation chose."""

from __future__ import annotations

from search.execution.trial import Job, build, load
from trainables.contract import Trainable


def load_model(job: Job, number: int, device: str) -> tuple[Trainable, dict[str, float]]:
    """Load a trial's kept weights, and the setting they were best with."""
    content = load(job.folder.fetched(job.folder.model(number)), device)
    model = build(job, content["config"], device)
    model.load_weights(content["weights"])
    return model, content["setting"]


def score_tests(job: Job, number: int, device: str) -> dict[str, dict[str, float]]:
    """Metrics of every test set."""
    model, setting = load_model(job, number, device)
    return {name: model.evaluate(name, [setting])[0] for name in job.space.dataset.test_names()}
