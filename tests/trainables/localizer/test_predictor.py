"""The localizer on recordings: windows that follow each other, read in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.rooms.dataset import Dataset
from tests.contracts.cases import one_after_the_other
from tests.trainables.localizer.support import small
from trainables.localizer import predictor as module
from trainables.localizer.predictor import LocalizerPredictor
from trainables.localizer.trainable import Localizer
from trainables.prediction import Recording


@pytest.fixture(scope="module")
def trained(tiny: Dataset) -> Localizer:
    model = Localizer(small(), tiny, device="cpu", seed=0, epochs=2)
    model.train_epoch()
    return model


@pytest.fixture
def predictor(trained: Localizer) -> LocalizerPredictor:
    return Localizer.predictor(trained.config, trained.weights(), device="cpu")


def recorded(tiny: Dataset, windows: int, more: int = 0) -> Recording:
    sound = one_after_the_other(tiny.open_split("S0").read_batch(np.arange(windows)).waves)
    sound = np.concatenate([sound, sound[:more]])
    return Recording("toy", len(sound), lambda first, samples: sound[first : first + samples])


def test_each_window_is_a_sample_of_its_own(predictor: LocalizerPredictor, trained: Localizer, tiny: Dataset) -> None:
    rows = predictor.predict(recorded(tiny, 6), {"threshold": 0.3}).rows
    found = trained.predict(tiny.open_split("S0").read_batch(np.arange(6)).waves, {"threshold": 0.3})
    expected = [
        (frame, round(0.16 * frame, 2), source, *position, score)
        for frame, keypoints in enumerate(found)
        for source, (position, score) in enumerate(
            zip(keypoints.positions_m.tolist(), keypoints.scores.tolist(), strict=True)
        )
    ]
    assert len(rows) == len(expected) > 6
    assert np.allclose([row[:6] for row in rows], expected, atol=6e-4)


def test_a_source_that_stays_keeps_its_number(predictor: LocalizerPredictor, tiny: Dataset) -> None:
    sound = one_after_the_other(tiny.open_split("S0").read_batch(np.arange(1)).waves)
    repeated = np.tile(sound, (4, 1))
    found = predictor.predict(
        Recording("toy", len(repeated), lambda first, samples: repeated[first : first + samples]), {"threshold": 0.3}
    )
    windows = np.array(found.rows).reshape(4, -1, 7)
    assert np.array_equal(windows[:, :, 6], np.tile(np.arange(windows.shape[1]), (4, 1)))
    assert [track.number for track in found.tracks] == list(range(windows.shape[1]))
    x_m, y_m = windows[0, 0, 3:5]
    assert found.tracks[0].location == f"x {x_m:.2f} m, y {y_m:.2f} m, spread 0.00 m"
    assert all(track.active_s == pytest.approx(0.64) for track in found.tracks)


def test_what_does_not_fill_a_window_is_left_out(predictor: LocalizerPredictor, tiny: Dataset) -> None:
    whole = predictor.predict(recorded(tiny, 3), {"threshold": 0.1}).rows
    assert predictor.predict(recorded(tiny, 3, more=2559), {"threshold": 0.1}).rows == whole
    assert {row[0] for row in predictor.predict(recorded(tiny, 3, more=2560), {"threshold": 0.1}).rows} == {0, 1, 2, 3}


def test_long_recordings_are_read_in_pieces(
    predictor: LocalizerPredictor, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predictor.predict(recorded(tiny, 8), {"threshold": 0.3}).rows
    monkeypatch.setattr(module, "_BATCH", 3)
    recording = recorded(tiny, 8)
    asked = []

    def read(first: int, samples: int) -> np.ndarray:
        asked.append((first, samples))
        return recording.read(first, samples)

    rows = predictor.predict(Recording("toy", recording.samples, read), {"threshold": 0.3}).rows
    assert asked == [(0, 3 * 2560), (3 * 2560, 3 * 2560), (6 * 2560, 2 * 2560)]
    assert np.allclose(rows, whole, atol=2e-3)


def test_the_room_is_kept_with_the_weights(predictor: LocalizerPredictor, tiny: Dataset) -> None:
    assert np.array_equal(predictor._layout.microphones_m, tiny.microphones_m)
    assert predictor._layout.size_m == tiny.spec.area_m()


def test_the_plan_leaves_out_nothing_that_was_found(predictor: LocalizerPredictor, tiny: Dataset) -> None:
    prediction = predictor.predict(recorded(tiny, 6), {"threshold": 0.05})
    plan = prediction.draw_figure().axes[0]
    x_m, y_m = np.array(prediction.rows)[:, 3:5].T
    assert plan.get_xlim()[0] <= x_m.min() <= x_m.max() <= plan.get_xlim()[1]
    assert plan.get_ylim()[0] <= y_m.min() <= y_m.max() <= plan.get_ylim()[1]
    assert len(plan.collections[0].get_offsets()) == len(prediction.rows)
