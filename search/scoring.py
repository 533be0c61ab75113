"""Test sets: scored once, for the winner and the baseline, with the setting that validation chose."""

from __future__ import annotations

from datasets.shards import open_dataset
from search.trial import Job, load
from trainables import registry
from trainables.contract import Trainable


def load_model(job: Job, number: int, device: str) -> tuple[Trainable, dict[str, float]]:
    """Load a trial's kept weights, and the setting they were best with."""
    content = load(job.folder.model(number), device)
    kind = registry.load(content["trainable"], "trainable")
    config = kind.Config.model_validate(content["config"])
    data = open_dataset(job.dataset)
    model = kind(config, data, device=device, seed=job.space.seed, epochs=job.space.budget.epochs)
    model.load_weights(content["weights"])
    return model, content["setting"]


def score_tests(job: Job, number: int, device: str) -> dict[str, dict[str, float]]:
    """Metrics of every test set."""
    model, setting = load_model(job, number, device)
    return {name: model.evaluate(name, [setting])[0] for name in job.space.dataset.tests}
