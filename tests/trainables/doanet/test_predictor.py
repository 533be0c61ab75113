"""DOAnet on recordings: what is written against a network that is known, and stretches against each alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.doanet.config import DoanetConfig
from trainables.doanet.features import FeatureScaler
from trainables.doanet.network import DoaNetwork, DoaOutput
from trainables.doanet.predictor import DoanetPredictor
from trainables.prediction import Recording

CPU = torch.device("cpu")
PLAIN = FeatureScaler(torch.zeros(7, 64), torch.ones(7, 64))


class Known(nn.Module):
    """Says the same in every sequence, whatever it hears."""

    def __init__(self, directions: list[list[tuple[float, float, float]]], activity: list[list[float]] | None) -> None:
        super().__init__()
        self.directions = torch.tensor(directions)
        self.logits = None if activity is None else torch.tensor(activity).logit()

    def forward(self, features: Tensor) -> DoaOutput:
        labels = features.shape[2] // 5
        assert labels <= len(self.directions)
        activity = None if self.logits is None else self.logits[None, :labels]
        return DoaOutput(self.directions[None, :labels], activity)


def config(**changes: object) -> DoanetConfig:
    return DoanetConfig.model_validate({"sequence_frames": 3, **changes})


def recording(seconds: float, seed: int = 0) -> tuple[Recording, NDArray[np.float32]]:
    sound = np.random.default_rng(seed).normal(0, 0.1, (round(24_000 * seconds), 4)).astype(np.float32)
    return Recording("toy", len(sound), lambda first, samples: sound[first : first + samples]), sound


FRONT, LEFT, UP, BEHIND = (2.0, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 1.0), (-1.0, -0.001, 0.0)
DIRECTIONS = [[FRONT, LEFT], [LEFT, UP], [BEHIND, FRONT]]
ACTIVITY = [[0.9, 0.2], [0.6, 0.7], [0.2, 0.3]]


def test_rows_are_frame_class_track_azimuth_elevation() -> None:
    predictor = DoanetPredictor(config(), Known(DIRECTIONS, ACTIVITY), PLAIN, CPU)
    found = predictor.predict(recording(0.39)[0], {"threshold": 0.25, "smoothing_frames": 1})
    assert found.columns == ("frame", "class", "track", "azimuth", "elevation")
    assert not found.header
    assert [tuple(row) for row in found.rows] == [
        (0, 0, 0, 0, 0),
        (1, 0, 1, 90, 0),
        (1, 0, 2, 0, 90),
        (2, 0, 0, 0, 0),  # the direction of frame 0, from the other output
    ]


def test_a_track_keeps_its_number_although_outputs_swap_sources() -> None:
    swapped = [[FRONT, LEFT], [LEFT, FRONT], [FRONT, LEFT]]
    predictor = DoanetPredictor(config(), Known(swapped, [[0.9, 0.9], [0.9, 0.9], [0.9, 0.1]]), PLAIN, CPU)
    found = predictor.predict(recording(0.3)[0], {"threshold": 0.5, "smoothing_frames": 1})
    assert [(row[0], row[2], row[3]) for row in found.rows] == [(0, 0, 0), (0, 1, 90), (1, 1, 90), (1, 0, 0), (2, 0, 0)]
    front, left = found.tracks
    assert (front.number, front.location, left.location) == (0, "azimuth 0°, elevation 0°", "azimuth 90°, elevation 0°")
    assert (front.active_s, front.last_s) == pytest.approx((0.3, 0.3))
    assert (left.active_s, left.first_s, left.last_s) == pytest.approx((0.2, 0.0, 0.2))


def test_a_range_of_azimuths_does_not_jump_behind_the_array() -> None:
    x, y = np.cos(np.radians([170, 180, 190])), np.sin(np.radians([170, 180, 190]))
    moving = [[(float(a), float(b), 0.0), LEFT] for a, b in zip(x, y, strict=True)]
    predictor = DoanetPredictor(config(), Known(moving, [[0.9, 0.1]] * 3), PLAIN, CPU)
    [track] = predictor.predict(recording(0.3)[0], {"threshold": 0.5, "smoothing_frames": 1}).tracks
    assert track.location == "azimuth 170° to 190°, elevation 0°"


def test_settings_come_before_the_configs_values() -> None:
    quiet = config(inference={"threshold": 0.8})
    predictor = DoanetPredictor(quiet, Known(DIRECTIONS, ACTIVITY), PLAIN, CPU)
    assert [row[:3] for row in predictor.predict(recording(0.3)[0], {}).rows] == [[0, 0, 0]]
    # The median of 0.9, 0.6, 0.2 over three frames, edges repeated, is above 0.5 in the first two.
    smoothed = predictor.predict(recording(0.3)[0], {"threshold": 0.5, "smoothing_frames": 3}).rows
    assert [(row[0], row[3]) for row in smoothed] == [(0, 0), (1, 90)]


def test_without_activity_all_outputs_sound_all_the_time() -> None:
    predictor = DoanetPredictor(config(loss={"kind": "mse"}), Known(DIRECTIONS, None), PLAIN, CPU)
    rows = predictor.predict(recording(0.3)[0], {}).rows
    assert [row[:3] for row in rows] == [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 0, 2], [2, 0, 3], [2, 0, 0]]
    assert rows[4][3:] == [-180, 0]


def test_a_recording_that_is_no_multiple_of_a_sequence_keeps_to_whole_sequences() -> None:
    predictor = DoanetPredictor(config(), Known(DIRECTIONS, ACTIVITY), PLAIN, CPU)
    rows = predictor.predict(recording(0.5)[0], {"threshold": 0.0}).rows
    # Frames 3 and 4 are the second and third of the sequence of frames 2, 3 and 4.
    assert [row[3:] for row in rows[::2]] == [[0, 0], [90, 0], [-180, 0], [90, 0], [-180, 0]]


def small_network() -> tuple[DoanetConfig, DoaNetwork]:
    small = config(sequence_frames=50, network={"channels": 4, "gru": 8, "branch": 8}, hnet="exact")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return small, DoaNetwork(small)


def angles(rows: Sequence[Sequence[float]], first: int, last: int) -> NDArray[np.float64]:
    """Azimuth and elevation of both outputs in some frames."""
    chosen = [row[3:] for row in rows if first <= row[0] < last]
    return np.array(chosen, np.float64).reshape(last - first, 2, 2)


def test_a_long_recording_is_heard_in_stretches_of_a_minute() -> None:
    small, network = small_network()
    predictor = DoanetPredictor(small, network, PLAIN, CPU)
    long, sound = recording(75)
    rows = list(predictor.predict(long, {"threshold": 0.0}).rows)
    assert [row[0] for row in rows] == [frame for frame in range(750) for _ in range(2)]
    for first in (0, 15):  # seconds; the last minute begins there
        minute = torch.from_numpy(sound[first * 24_000 : (first + 60) * 24_000].T.copy())[None]
        alone = predictor.predict_trajectories(minute, {"threshold": 0.0}).directions[0]
        new = slice(0, 600) if first == 0 else slice(450, 600)
        x, y, z = np.moveaxis(alone[new].astype(np.float64), -1, 0)
        expected = np.rint(np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], -1)))
        found = angles(rows, new.start + 10 * first, new.stop + 10 * first)
        assert np.array_equal(found, expected)


def test_it_hears_one_sequence_at_a_time() -> None:
    small, network = small_network()
    predictor = DoanetPredictor(small, network, PLAIN, CPU)
    _, sound = recording(10)
    changed = sound.copy()
    changed[: 4 * 24_000] = 0.1 * sound[: 4 * 24_000]  # in the first sequence, and never the loudest moment
    before, after = (
        predictor.predict_trajectories(torch.from_numpy(heard.T.copy())[None], {}).directions[0]
        for heard in (sound, changed)
    )
    assert not np.allclose(before[:50], after[:50])
    assert np.array_equal(before[50:], after[50:])
