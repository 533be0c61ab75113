"""How recordings are covered by stretches."""

from __future__ import annotations

import pytest

from trainables.prediction import cover_segments


@pytest.mark.parametrize(
    ("total", "length", "expected"),
    [
        (600, 600, [(0, 0)]),
        (599, 600, [(0, 0)]),
        (1, 50, [(0, 0)]),
        (150, 50, [(0, 0), (50, 0), (100, 0)]),
        (120, 50, [(0, 0), (50, 0), (70, 30)]),
        (601, 600, [(0, 0), (1, 599)]),
    ],
)
def test_the_last_stretch_ends_where_the_recording_does(
    total: int, length: int, expected: list[tuple[int, int]]
) -> None:
    assert cover_segments(total, length) == expected


def test_every_place_is_new_once() -> None:
    for total in range(1, 40):
        for length in range(1, 12):
            new = [n for first, known in cover_segments(total, length) for n in range(first + known, first + length)]
            assert new[:total] == list(range(total))
            assert len(new) == max(total, length)
