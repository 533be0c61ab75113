"""A search that an earlier version started on a folder of music keeps its excerpts, splits and fingerprints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.rooms.provider import RoomProvider
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from search.experiment import Experiment
from search.launch import build_parser, prepare_experiment
from tests.search.wrong_inputs import ROOT

EARLIER_FINGERPRINT = "5878117f6d73fac1"
"""Fingerprint of the dataset of `music` by commit 85b2cb7, which divided music by excerpts."""


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for number, genre in enumerate(("classical", "funk", "jazz")):
        for piece in range(2):
            path = tmp_path / "music" / genre / f"{piece}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.random.default_rng([number, piece]).normal(0, 0.1, 16_000 * 30), 16_000)
    return tmp_path / "music"


def prepare(music: Path, *more: str) -> Experiment:
    words = [str(ROOT / "spaces" / "rg_rep.yaml"), "--profile", "laptop", "--audio", str(music)]
    words += ["--storage", str(music.parent / "runs"), *more]
    return prepare_experiment(build_parser().parse_args(words))


def division(experiment: Experiment) -> str:
    assert isinstance(experiment.space.dataset, RoomSpec)
    return experiment.space.dataset.split_by


def start(experiment: Experiment, *, earlier: bool) -> None:
    identity = experiment.space.identity()
    if earlier:
        identity["dataset"].pop("split_by")
    experiment.results.root_path.mkdir(parents=True)
    experiment.results.write_identity(identity)


def test_a_search_of_an_earlier_version_keeps_its_division(music: Path) -> None:
    start(prepare(music), earlier=True)
    resumed = prepare(music, "--resume")
    assert division(resumed) == "excerpts"
    assert isinstance(resumed.dataset, RoomProvider)
    explicit = prepare(music, "--set", "dataset.split_by=excerpts", "--name", "other")
    assert resumed.dataset.fingerprint == explicit.dataset.fingerprint
    assert resumed.dataset.fingerprint == EARLIER_FINGERPRINT


def test_a_search_of_this_version_keeps_its_own(music: Path) -> None:
    start(prepare(music), earlier=False)
    assert division(prepare(music, "--resume")) == "auto"


def test_another_division_is_another_search(music: Path) -> None:
    start(prepare(music), earlier=True)
    with pytest.raises(InputError, match=r"dataset\.split_by"):
        prepare(music, "--resume", "--set", "dataset.split_by=time")
    assert division(prepare(music, "--fresh")) == "auto"
