"""Training targets: directions in slots, and the event in each slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from datasets.tau2020.labels import FRAMES

EMPTY: Final = -1
"""Number of the event in an empty slot."""


@dataclass(frozen=True, eq=False)
class ReferenceTracks:
    """Labels of a batch of sequences.

    Attributes:
        directions: Unit vectors (x front, y left, z up); arbitrary values, including NaN, in empty slots.
        active: Whether each slot contains an event.
        ids: Number of the event in each slot, unique within its sequence; -1 in empty slots.
    """

    directions: Float[Tensor, "batch labels sources 3"]
    active: Bool[Tensor, "batch labels sources"]
    ids: Int[Tensor, "batch labels sources"]


def track_identities(rows: NDArray[np.int64], sources: int = 2) -> NDArray[np.int64]:
    """Return the number of the event in each slot of `datasets.tau2020.labels.track_slots`.

    A slot does not identify an event, since an event moves to slot 0 when the previous one ends. An event is an unbroken run
    of frames of one class and track; the dataset reuses track numbers, so a run after a pause is another event.

    Args:
        rows: Labels, shape (lines, 5): frame, class, track, azimuth, elevation; no frame has more lines than `sources`.
        sources: Number of slots.

    Returns:
        Event numbers from 0 in order of onset, shape (600, sources); -1 in empty slots.
    """
    numbers = np.full((FRAMES, sources), EMPTY, np.int64)
    current: dict[tuple[int, int], tuple[int, int]] = {}
    filled = [0] * FRAMES
    known = 0
    for frame, sound, track in rows[np.argsort(rows[:, 0], kind="stable"), :3].tolist():
        number, last = current.get((sound, track), (EMPTY, EMPTY))
        if number == EMPTY or frame > last + 1:
            number, known = known, known + 1
        current[sound, track] = (number, frame)
        numbers[frame, filled[frame]] = number
        filled[frame] += 1
    return numbers
