"""Every space, at every kind of point it has, trains, validates and is scored; only the sizes are small."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from datasets.building.builder import Builder
from datasets.registry import prepare_dataset
from datasets.rooms.dataset import Dataset
from runtime.storage import storage_at
from search.execution.scoring import load_trial_model, score_test_splits
from search.execution.trial import TrialRunner
from search.experiment import Experiment
from search.results import SearchFolder
from search.study.sampler import suggest_parameters
from spaces.load import load_space

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
    searched = load_space(ROOT / "spaces" / f"{name}.yaml", has_gpu=False, overrides=SMALL)
    searched = dataclasses.replace(searched, dataset=tiny.spec)
    experiment = Experiment(searched, prepare_dataset(tiny.spec, "tests"), SearchFolder(tmp_path, name), tiny.store)
    points = [searched.baseline, *(suggest_parameters(searched, [], number) for number in range(1, 4))]
    for number, parameters in enumerate(points):
        epoch = TrialRunner(experiment, number, parameters, 0, "cpu").next_epoch()
        assert 0 <= epoch.metrics["f1_0.3m"] <= epoch.metrics["f1_1m"] <= 1
        assert set(epoch.setting) == set(searched.inner)
        assert set(score_test_splits(experiment, number, "cpu")) == set(tiny.spec.test_names())
    model, setting = load_trial_model(experiment, 0, "cpu")
    assert model.plot_predictions(["S0", "S1"], setting) is not None


SMALL_DATA = [
    *(
        f"dataset.{where}acoustics.{size}"
        for where in ("", "train.")
        for size in ("rooms=1", "positions=8", "max_order=3")
    ),
    "dataset.train.samples=48",
    "dataset.validate=16",
    *(f"dataset.tests.{name}.samples=8" for name in ("E0", "E2", "S0")),
    "dataset.excerpts=8",
    "dataset.min_distance_m=1",
]


@pytest.mark.slow
def test_a_space_that_searches_its_training_data_trains_on_what_each_trial_asks_for(tmp_path: Path) -> None:
    searched = load_space(
        ROOT / "spaces" / "rooms.yaml", has_gpu=False, overrides=[*SMALL[:-2], "start=[]", *SMALL_DATA]
    )
    source, store = prepare_dataset(searched.dataset, "tests"), storage_at(str(tmp_path / "data"))
    experiment = Experiment(searched, source, SearchFolder(tmp_path, "rooms"), store)
    points = [
        searched.baseline,
        *({**searched.baseline, "dataset.train.acoustics.rt60_s": rt60_s} for rt60_s in (0.4, "0.2-0.6")),
    ]
    losses = []
    for number, parameters in enumerate(points):
        experiment.dataset_for(parameters).build(Builder(store))
        epoch = TrialRunner(experiment, number, parameters, 0, "cpu").next_epoch()
        losses.append(epoch.metrics["train_loss"])
        assert set(score_test_splits(experiment, number, "cpu")) == {"E0", "E2", "S0"}
    assert len(set(losses)) == 3
    folders = [path.name.partition("-")[0] for path in (tmp_path / "data").iterdir()]
    assert {name: folders.count(name) for name in folders} == {
        "music": 1,
        "responses": 4,  # of two training sets, of validation, and of the tests that echo
        "train": 3,
        "validate": 1,
        "E0": 1,
        "E2": 1,
        "S0": 1,
    }
