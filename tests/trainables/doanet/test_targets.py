"""Events keep their number while they sound, whatever slot they slide to."""

from __future__ import annotations

import numpy as np

from datasets.tau2020.labels import track_slots
from trainables.doanet.targets import track_identities


def rows(*lines: tuple[int, int, int]) -> np.ndarray:
    """Frame, class, track; the angles play no role."""
    return np.array([(*line, 0, 0) for line in lines], np.int64).reshape(-1, 5)


def test_an_event_that_slides_to_the_first_slot_keeps_its_number() -> None:
    found = track_identities(rows((0, 3, 0), (1, 3, 0), (1, 7, 0), (2, 7, 0)))
    assert found.shape == (600, 2)
    assert found[:4].tolist() == [[0, -1], [0, 1], [1, -1], [-1, -1]]


def test_events_of_one_class_are_told_apart_by_track() -> None:
    assert track_identities(rows((5, 3, 0), (5, 3, 1), (6, 3, 1)))[5:7].tolist() == [[0, 1], [1, -1]]


def test_what_returns_after_a_pause_is_another_event() -> None:
    assert track_identities(rows((0, 3, 0), (2, 3, 0)))[:3, 0].tolist() == [0, -1, 1]


def test_slots_are_those_of_the_labels() -> None:
    generator = np.random.default_rng(0)
    lines = [(int(f), int(c), 0) for f in generator.permutation(600)[:400] for c in range(generator.integers(1, 4))]
    labels = rows(*lines)
    _, active = track_slots(labels, 3)
    np.testing.assert_array_equal(track_identities(labels, 3) >= 0, active)


def test_silence_has_no_events() -> None:
    assert (track_identities(rows()) == -1).all()
