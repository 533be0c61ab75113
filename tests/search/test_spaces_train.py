"""Every space, at every kind of point it has, trains, validates and is scored; only the sizes are small."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from datasets import sources
from datasets.shards import Dataset
from search.folder import SearchFolder
from search.proposals import propose
from search.scoring import load_model, score_tests
from search.trial import Job, TrialRun
from spaces.load import load

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = [
    "optimizer.epoch_samples=32",
    "network.width=4",
    "network.tail_width=4",
    "network.decoder_width=16",
    "network.strides=early",
    "baseline={}",
    "start=[]",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rg_rep", "hm_rep", "tg_rep", "encoders"])
def test_a_space_trains_at_its_baseline_and_at_proposals(name: str, tiny: Dataset, tmp_path: Path) -> None:
    searched = load(ROOT / "spaces" / f"{name}.yaml", has_gpu=False, overrides=SMALL)
    searched = dataclasses.replace(searched, dataset=tiny.spec)
    job = Job(searched, SearchFolder(tmp_path, name), sources.prepare(tiny.spec, "tests"), tiny.store)
    points = [searched.baseline, *(propose(searched, [], number) for number in range(1, 4))]
    for number, parameters in enumerate(points):
        epoch = TrialRun(job, number, parameters, 0, "cpu").next_epoch()
        assert 0 <= epoch.metrics["f1_0.3m"] <= epoch.metrics["f1_1m"] <= 1
        assert set(epoch.setting) == set(searched.inner)
        assert set(score_tests(job, number, "cpu")) == set(tiny.spec.tests)
    model, setting = load_model(job, 0, "cpu")
    assert model.picture(["S0", "S1"], setting) is not None
