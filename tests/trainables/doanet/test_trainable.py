"""Recordings, sequences and tracks put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.rooms.dataset import Dataset
from datasets.tau2020.provider import RecordingSet
from spaces.schema import nest_names
from tests.contracts.cases import CASES, scenes
from trainables.doanet.config import DoanetConfig
from trainables.doanet.sequences import cut_sequences
from trainables.doanet.trainable import Doanet


@pytest.fixture
def data(tiny: Dataset) -> RecordingSet:
    return scenes(Path(tiny.store.uri))


def made(data: RecordingSet, **changes: Any) -> Doanet:
    values = {key: value for key, value in CASES["doanet"].base.items() if not callable(value)} | changes
    return Doanet(DoanetConfig.model_validate(nest_names(values)), data, device="cpu", seed=0, epochs=3)


def test_sequences_cover_a_recording_without_overlap() -> None:
    assert cut_sequences([2], 50) == [(2, start) for start in range(0, 600, 50)]
    assert len(cut_sequences(range(3), 70)) == 3 * 8  # the last 40 frames do not fill one


def test_an_epoch_takes_whole_files_in_order_and_reshuffles_them(data: RecordingSet) -> None:
    model = made(data, **{"optimizer.epoch_sequences": 0})
    first = model._epoch_order()
    assert sorted(first) == cut_sequences(range(4), 50)
    assert [start for _, start in first[:12]] == list(range(0, 600, 50))
    model.epoch = 1
    assert sorted(model._epoch_order()) == sorted(first)


def test_features_are_computed_once_and_shared(data: RecordingSet) -> None:
    made(data)
    files = sorted(data.cache.glob("features-*/*.npy"))
    before = {path: path.stat().st_mtime_ns for path in files}
    made(data)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert np.load(files[0], mmap_mode="r").shape == (7, 3000, 64)


def test_a_prediction_has_a_frame_each_tenth_of_a_second(data: RecordingSet) -> None:
    found = made(data).predict(torch.randn(2, 4, 24_000 * 3) / 10, {})
    assert found.directions.shape == (2, 30, 2, 3)
    assert found.sounding.shape == (2, 30, 2)


def test_a_prediction_follows_the_settings(data: RecordingSet) -> None:
    model, sound = made(data), torch.randn(1, 4, 24_000 * 3) / 10
    assert model.predict(sound, {"threshold": 0.0}).sounding.all()
    assert not model.predict(sound, {"threshold": 1.0}).sounding.any()


def test_weights_carry_the_scaling_of_the_features(data: RecordingSet) -> None:
    model, other = made(data), made(data)
    weights = model.weights()
    weights["scaler.mean"] = weights["scaler.mean"] + 100
    other.load_weights(weights)
    sound = torch.randn(1, 4, 24_000) / 10
    assert not np.allclose(model.predict(sound, {}).directions, other.predict(sound, {}).directions)


def test_the_picture_has_a_row_a_recording(data: RecordingSet) -> None:
    figure = made(data).plot_predictions(["test", "validate"], {"threshold": 0.5})
    assert [axes.get_ylabel().partition("\n")[0] for axes in figure.axes[::2]] == ["test 0", "validate 0"]
