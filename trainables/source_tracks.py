"""Tracks over windows: detections of one source in consecutive windows get one number.

Detections are linked window by window: tracks and detections are paired one-to-one with the least sum of distances
(Hungarian assignment), and only pairs within a gate count. A track that is not detected keeps its last position and may
continue after a gap; other detections begin new tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.floating]
Distance = Callable[[Positions, Positions], NDArray[np.float64]]
"""Function of positions of shapes (tracks, …) and (detections, …); returns distances, shape (tracks, detections)."""


@dataclass(frozen=True)
class FoundTrack:
    """Track of a source in a recording.

    Attributes:
        number: Number in the table.
        location: Where the source was, for users.
        active_s: Duration of all its detections, in s.
        first_s: Beginning of the first detection, in s.
        last_s: End of the last detection, in s.
    """

    number: int
    location: str
    active_s: float
    first_s: float
    last_s: float

    @classmethod
    def from_windows(cls, number: int, location: str, windows: NDArray[np.integer], window_s: float) -> FoundTrack:
        """Build a track from the indices of the windows in which its source was detected, in ascending order."""
        return cls(
            number, location, len(windows) * window_s, int(windows[0]) * window_s, (int(windows[-1]) + 1) * window_s
        )


def link_detections(
    windows: Iterable[Positions], distance: Distance, *, gate: float, max_gap: int
) -> list[NDArray[np.int64]]:
    """Link the detections of consecutive windows to tracks.

    Args:
        windows: Positions of the detections of each window, shape (detections, …).
        distance: Distances between positions.
        gate: Largest distance of a detection from the last one of its track.
        max_gap: Largest number of consecutive windows in which a track is not detected.

    Returns:
        Number of the track of each detection, per window. Tracks are numbered from 0 by their first detections; those
        of one window in the order of its detections.
    """
    linker = _Linker(distance, gate, max_gap)
    return [linker.link_window(positions) for positions in windows]


class _Linker:
    """Tracks up to the present window."""

    def __init__(self, distance: Distance, gate: float, max_gap: int) -> None:
        self._distance = distance
        self._gate = gate
        self._max_gap = max_gap
        self._count = 0
        self._last: dict[int, tuple[int, Positions]] = {}  # last window and position of each track that may continue
        self._window = -1

    def link_window(self, positions: Positions) -> NDArray[np.int64]:
        """Return the track of each detection of the next window."""
        self._window += 1
        self._last = {
            number: (window, position)
            for number, (window, position) in self._last.items()
            if self._window - window <= self._max_gap + 1
        }
        numbers = np.full(len(positions), -1, np.int64)
        if self._last and len(positions):
            detection, track = self._pair(positions)
            numbers[detection] = track
        begun = np.flatnonzero(numbers < 0)
        numbers[begun] = self._count + np.arange(len(begun))
        self._count += len(begun)
        self._last.update({int(n): (self._window, p) for n, p in zip(numbers, positions, strict=True)})
        return numbers

    def _pair(self, positions: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the detections that continue tracks, and the numbers of these tracks."""
        from scipy.optimize import linear_sum_assignment

        distances = self._distance(np.stack([position for _, position in self._last.values()]), positions)
        # Beyond the gate all distances cost the same, and more than any number of pairs within it.
        is_near = distances <= self._gate
        beyond = self._gate * (min(distances.shape) + 1)
        row, column = linear_sum_assignment(np.where(is_near, distances, beyond))
        near = is_near[row, column]
        return column[near], np.array(list(self._last))[row[near]]
