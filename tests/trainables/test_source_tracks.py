"""Links of detections to tracks, against tracks that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.source_tracks import FoundTrack, link_detections


def distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.abs(first[:, None] - second[None]).sum(-1)


def link(*windows: list[float], gate: float = 1.0, max_gap: int = 1) -> list[list[int]]:
    """Link detections on a line."""
    positions = [np.array(window, np.float64).reshape(-1, 1) for window in windows]
    return [numbers.tolist() for numbers in link_detections(positions, distances, gate=gate, max_gap=max_gap)]


def test_the_order_of_detections_does_not_matter() -> None:
    assert link([0.0, 5.0], [5.1, 0.1], [0.2, 5.2]) == [[0, 1], [1, 0], [0, 1]]


def test_a_detection_beyond_the_gate_begins_a_track() -> None:
    assert link([0.0], [1.0], [2.1]) == [[0], [0], [1]]


def test_a_track_survives_a_gap_and_no_longer_one() -> None:
    assert link([0.0], [], [0.0], max_gap=1) == [[0], [], [0]]
    assert link([0.0], [], [], [0.0], max_gap=1) == [[0], [], [], [1]]
    assert link([0.0], [], [0.0], max_gap=0) == [[0], [], [1]]


def test_all_pairs_together_are_the_closest() -> None:
    # The nearest neighbour of the first track alone is 0.9, which would leave the second one without a detection.
    assert link([0.5, 1.6], [0.9, -0.3]) == [[0, 1], [1, 0]]


def test_as_many_tracks_as_possible_continue() -> None:
    assert link([0.0, 1.0], [0.9, 1.9]) == [[0, 1], [0, 1]]


def test_two_sources_that_move_past_each_other_in_a_plane_keep_their_numbers() -> None:
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 10, 60)
    truth = np.stack([np.stack([steps, 0 * steps], 1), np.stack([10 - steps, 0 * steps + 1.5], 1)], 1)
    orders = [rng.permutation(2) for _ in steps]
    windows = [(positions + rng.normal(0, 0.05, (2, 2)))[order] for positions, order in zip(truth, orders, strict=True)]
    numbers = link_detections(windows, distances, gate=1.0, max_gap=2)
    relative = [number[np.argsort(order)] for number, order in zip(numbers, orders, strict=True)]
    assert len({tuple(row) for row in relative}) == 1


def test_a_track_lasts_from_the_first_window_to_the_end_of_the_last_one() -> None:
    track = FoundTrack.from_windows(3, "there", np.array([2, 3, 7]), 0.5)
    assert (track.active_s, track.first_s, track.last_s) == pytest.approx((1.5, 1.0, 4.0))


def test_no_windows_and_no_detections_give_no_tracks() -> None:
    assert link() == []
    assert link([], []) == [[], []]
