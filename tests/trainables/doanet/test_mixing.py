"""Mixtures in training: which there are, what they hold, and that nothing else changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.tau2020.layout import RecordingName, write_recording
from datasets.tau2020.provider import RecordingSet
from datasets.tau2020.spec import GROUPS
from runtime.errors import InputError
from trainables.doanet.features import extract_features
from trainables.doanet.sequences import fit_split_scaler, load_split

ROWS = {
    "fold3_room1_mix001_ov1": [[0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [5, 2, 0, 90, 0]],
    "fold3_room1_mix002_ov1": [[1, 1, 0, 180, 0], [2, 1, 0, 180, 0]],
    "fold3_room1_mix003_ov1": [[9, 1, 0, -90, 0]],
    "fold3_room2_mix001_ov1": [[0, 1, 0, 0, 0]],
    "fold2_room1_mix001_ov1": [[0, 1, 0, 0, 0]],
    "fold2_room1_mix002_ov1": [[0, 1, 0, 0, 0]],
    "fold1_room1_mix001_ov1": [[0, 1, 0, 0, 0]],
}


def waves(stem: str) -> np.ndarray:
    """Four channels of 2 s on the steps of 16 bit."""
    steps = np.random.default_rng(list(ROWS).index(stem)).integers(-9_000, 9_000, (4, 48_000))
    return (steps / 2**15).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RecordingSet:
    root = tmp_path_factory.mktemp("tau")
    for stem, rows in ROWS.items():
        write_recording(root, RecordingName.from_stem(stem), foa=waves(stem), rows=np.array(rows))
    return RecordingSet(root, dict(GROUPS), "0123", root / "cache")


def stems(paths: tuple[Path, ...]) -> list[str]:
    return [path.stem for path in paths]


SINGLE = [stem for stem in ROWS if stem.startswith("fold3")]
MIXED = ["fold3_room1_aug001002_ov1", "fold3_room1_aug001003_ov1", "fold3_room1_aug002003_ov1"]


def test_mixtures_of_one_room_follow_the_training_recordings_and_no_others(data: RecordingSet) -> None:
    assert stems(load_split(data, "train", "foa", 2, 4).features) == SINGLE + MIXED
    assert len(load_split(data, "validate", "foa", 2, 4).features) == 2
    assert len(load_split(data, "test", "foa", 2, 4).features) == 1


def test_a_mixture_is_the_mean_of_two_sounds_with_the_events_of_both(data: RecordingSet) -> None:
    train = load_split(data, "train", "foa", 2, 4)
    mean = np.pad((waves(SINGLE[0]) + waves(SINGLE[1])) / 2, ((0, 0), (0, 1_392_000)))  # silence up to 60 s
    expected = extract_features(torch.from_numpy(mean)[None], "foa")[0].numpy()
    np.testing.assert_allclose(np.load(train.features[4]), expected, atol=1e-4)
    assert train.active[4, :7].sum(1).tolist() == [1, 2, 1, 0, 0, 1, 0]
    np.testing.assert_allclose(train.directions[4, 1], [[1, 0, 0], [-1, 0, 0]], atol=1e-6)
    assert train.ids[4, :6].tolist() == [[0, -1], [0, 1], [1, -1], [-1, -1], [-1, -1], [2, -1]]


def test_another_number_of_mixtures_computes_nothing_anew(data: RecordingSet) -> None:
    most = load_split(data, "train", "foa", 2, 4).features
    before = {path: path.stat().st_mtime_ns for path in most}
    assert load_split(data, "train", "foa", 2, 0).features == most[:4]
    assert load_split(data, "train", "foa", 2, 1).features == most
    assert {path: path.stat().st_mtime_ns for path in most} == before


def test_mixtures_never_hold_more_events_at_once_than_the_network(data: RecordingSet) -> None:
    # The first two sound together in frame 1; the third one meets none of them.
    assert stems(load_split(data, "train", "foa", 1, 4).features) == [*SINGLE, *MIXED[1:]]


def test_the_scaling_is_of_all_that_is_trained_on(data: RecordingSet) -> None:
    train = load_split(data, "train", "foa", 2, 4)
    together = np.concatenate([np.load(path) for path in train.features], axis=1)
    np.testing.assert_allclose(fit_split_scaler(train).mean, together.mean(1, dtype=np.float64), rtol=1e-4, atol=1e-5)


def test_a_full_disk_is_answered_before_features_are_computed(
    data: RecordingSet, monkeypatch: pytest.MonkeyPatch
) -> None:

    elsewhere = RecordingSet(data.root, data.folds, data.fingerprint, data.root / "other")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"needs 37\.6 MB free"):  # 7 files of 7 × 3000 × 64 × 4 bytes
        load_split(elsewhere, "train", "foa", 2, 4)
    assert not elsewhere.cache.exists()
