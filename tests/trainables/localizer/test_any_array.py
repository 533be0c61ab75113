"""Arrays of any shape: data, network, errors, figure and predictor, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.registry import prepare_dataset
from datasets.rooms.dataset import build_dataset
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from tests.datasets.small import plan_samples
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.predictor import LocalizerPredictor
from trainables.localizer.trainable import Localizer
from trainables.prediction import Recording

SMALL: dict[str, Any] = {"representation": "rg", "network": {"width": 8, "tail_width": 8, "decoder_width": 16}}
TWO_CIRCLES = [{"centre_m": [1, 1], "model": "respeaker_4"}, {"centre_m": [5, 1], "model": "respeaker_4"}]
SCATTERED = [{"centre_m": place, "mics_m": [[0, 0]]} for place in ([0, 0], [6, 0], [0, 6], [6, 6], [3, 0])]
RAISED = [{"centre_m": [1, 1], "model": "tetrahedron"}, {"centre_m": [5, 1], "model": "tetrahedron"}]


def spec_of(arrays: list[dict[str, Any]]) -> RoomSpec:
    small = {"train": 24, "validate": 8, "tests": {"S0": 8}, "excerpts": 8, "excerpt_s": 1}
    return RoomSpec.model_validate(small | {"arrays": arrays})


@pytest.mark.parametrize(
    ("arrays", "encoder", "kind"),
    [
        (TWO_CIRCLES, "combined", "spectra"),
        ([{"centre_m": [3, 3], "model": "uma_16"}], "array", "spectra"),
        ([{"centre_m": [3, 3], "model": "uma_16"}], "array", "ipd"),
        (SCATTERED, "array", "spectra"),
        (SCATTERED, "single", "spectra"),
        (SCATTERED, "single", "ipd"),
        (RAISED, "combined", "spectra"),
    ],
)
def test_a_localizer_learns_and_predicts(arrays: list[dict[str, Any]], encoder: str, kind: str, tmp_path: Path) -> None:
    data = build_dataset(plan_samples(spec_of(arrays)), tmp_path, lambda *_: None)
    config = LocalizerConfig.model_validate(SMALL | {"encoder": encoder, "features": {"kind": kind}})
    config.check_data(prepare_dataset(spec_of(arrays), "dataset.music"))
    model = Localizer(config, data, device="cpu", seed=0, epochs=1)
    assert np.isfinite(model.train_epoch()["train_loss"])
    assert 0 <= model.evaluate("validate", [{}])[0]["f1_mean"] <= 1
    errors = model.analyse_errors("S0", {})
    assert errors.axes.landmarks.shape == (data.microphones_m.shape[0] * data.microphones_m.shape[1], 2)
    assert model.plot_predictions(["S0"], {}) is not None
    predictor = LocalizerPredictor.from_weights(config, model.weights(), model.device)
    wave = np.random.default_rng(0).standard_normal((16_000, predictor.sound.channels)).astype(np.float32)
    recording = Recording("noise", len(wave), lambda first, count: wave[first : first + count])
    assert predictor.predict(recording, {"threshold": 0.0}).rows
    assert predictor.sound.channels == errors.axes.landmarks.shape[0]


def test_pairs_of_single_microphones_are_refused_before_a_search_starts() -> None:
    dataset = prepare_dataset(spec_of(SCATTERED), "dataset.music")
    LocalizerConfig.model_validate({"encoder": "single"}).check_data(dataset)
    with pytest.raises(InputError, match="needs pairs of microphones") as caught:
        LocalizerConfig.model_validate({"encoder": "combined"}).check_data(dataset)
    assert caught.value.place == "encoder"
    LocalizerConfig.model_validate({"encoder": "single", "features": {"kind": "ipd"}}).check_data(dataset)
    with pytest.raises(InputError, match="need two microphones in an array") as caught:
        LocalizerConfig.model_validate({"encoder": "array", "features": {"kind": "ipd"}}).check_data(dataset)
    assert caught.value.place == "features.kind"


def test_the_plan_says_what_one_small_array_cannot_tell() -> None:
    plan = plan_samples(spec_of([{"centre_m": [3, 3], "model": "respeaker_4"}]))
    assert any("hardly its distance" in note for note in plan.describe_notes())
    assert plan_samples(spec_of(TWO_CIRCLES)).describe_notes() == []
