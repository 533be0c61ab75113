"""Sensor noise on recordings: as far below the samples as asked, and another one in every split and shard."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from datasets.building.parts import Shard
from datasets.recordings.clip_list import read_clip_list
from datasets.recordings.sounds import gather_sounds
from datasets.recordings.synthesis import RecordingsSynthesizer
from tests.datasets.recorded import PLACE, record, spec_of


def test_noise_has_the_level_that_is_asked_for_and_is_never_heard_twice(tmp_path: Path) -> None:
    quiet = spec_of(record(tmp_path))
    noisy = quiet.model_copy(update={"snr_db": (20.0, 20.0)})
    sounds = gather_sounds(quiet, read_clip_list(quiet, PLACE), lambda *_: None)
    noises = []
    for split, number in (("train", 0), ("train", 1), ("validate", 0), ("A0", 0)):
        shard = Shard(split, number, 8)
        clean, heard = (
            RecordingsSynthesizer(spec, split, sounds).make_batch(shard).waves.numpy() for spec in (quiet, noisy)
        )
        noise = heard - clean
        ratio_db = 10 * np.log10((clean**2).mean((1, 2, 3)) / (noise**2).mean((1, 2, 3)))
        assert ratio_db == pytest.approx(20, abs=0.2)
        noises.append((noise / noise.std((1, 2, 3), keepdims=True)).ravel())
    for one, other in combinations(noises, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
