"""Outputs and events side by side: what every metric starts from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

NONE: Final = -1
_BEYOND_DEG: Final = 1000.0
"""More than all angles of a frame together."""


@dataclass(frozen=True, eq=False)
class TrackingOutputs:
    """Recordings of one length, or the chunks that metrics should not look beyond.

    Attributes:
        predicted: Directions of the outputs, shape (recordings, frames, sources, 3); their length does not matter.
        activity: Probability that an output sounds, shape (recordings, frames, sources); None if it is not predicted.
        reference: Directions of the events, like `predicted`; anything, NaN included, in empty slots.
        active: Which slots hold an event, shape (recordings, frames, sources).
        ids: The event in each slot, numbered from 0 in each recording; -1 in empty slots.
    """

    predicted: NDArray[np.floating[Any]]
    activity: NDArray[np.floating[Any]] | None
    reference: NDArray[np.floating[Any]]
    active: NDArray[np.bool_]
    ids: NDArray[np.int64]

    @classmethod
    def without_events(
        cls, predicted: NDArray[np.floating[Any]], activity: NDArray[np.floating[Any]] | None
    ) -> TrackingOutputs:
        """Recordings whose events nobody knows."""
        shape = predicted.shape[:3]
        return cls(predicted, activity, np.full_like(predicted, np.nan), np.zeros(shape, bool), np.full(shape, NONE))


def concatenate_outputs(parts: Sequence[TrackingOutputs]) -> TrackingOutputs:
    """Recordings of several sets as one.

    Args:
        parts: At least one; all with activity, or all without.
    """
    activity = [part.activity for part in parts if part.activity is not None]
    return TrackingOutputs(
        np.concatenate([part.predicted for part in parts]),
        np.concatenate(activity) if activity else None,
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.active for part in parts]),
        np.concatenate([part.ids for part in parts]),
    )


@dataclass(frozen=True)
class OutputChoice:
    """Parameters of inference.

    Attributes:
        threshold: An output sounds where its activity is above.
        smoothing_frames: Length of the median over its activity; an even number means the next odd one.
    """

    threshold: float = 0.5
    smoothing_frames: int = 1


def is_sounding(tracks: TrackingOutputs, choice: OutputChoice) -> NDArray[np.bool_]:
    """Which outputs sound, shape (recordings, frames, sources): all of them if activity is not predicted.

    The median of a recording's first and last frames takes its edge to go on for ever.
    """
    if tracks.activity is None:
        return np.ones(tracks.active.shape, np.bool_)
    length = choice.smoothing_frames // 2 * 2 + 1
    loud = tracks.activity > choice.threshold
    # The median of the decisions is the decision on the median, and bytes are faster to sort.
    smooth = (
        scipy.ndimage.median_filter(loud.view(np.uint8), size=(1, length, 1), mode="nearest") if length > 1 else loud
    )
    return smooth.astype(np.bool_)


def azimuth_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Counter-clockwise from the front, shape (...,) from (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])), np.float64)


def elevation_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Above the horizon, shape (...,) from (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))), np.float64)


def angles_deg(predicted: NDArray[np.floating[Any]], reference: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Angles between all outputs and all events of a frame, 180° where the event is NaN.

    Args:
        predicted: Shape (..., outputs, 3).
        reference: Shape (..., events, 3).

    Returns:
        Shape (..., outputs, events), degrees.
    """
    found, truth = (
        sides / np.maximum(np.linalg.norm(sides, axis=-1, keepdims=True), 1e-12)
        for sides in (predicted.astype(np.float64), reference.astype(np.float64))
    )
    cosine = np.nan_to_num(found @ np.swapaxes(truth, -1, -2), nan=-1.0)
    angle: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angle


def cheapest_order(angle_deg: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One-to-one pairs: as many as possible, and of these the least sum of angles, by trial of all orders.

    Args:
        angle_deg: Shape (..., sources, sources); rows are outputs, columns events.
        allowed: Which pairs may be made, likewise.

    Returns:
        The output of each event, shape (..., sources); -1 if it has none.
    """
    sources = allowed.shape[-1]
    # Every allowed pair is worth more than any angle.
    worth = np.where(allowed, angle_deg - _BEYOND_DEG, 0.0)
    ways = np.array(list(itertools.permutations(range(sources))))
    columns = np.arange(sources)
    costs = np.stack([worth[..., way, columns].sum(-1) for way in ways])
    chosen = ways[costs.argmin(0)]
    possible = np.take_along_axis(allowed, chosen[..., None, :], axis=-2)[..., 0, :]
    return np.where(possible, chosen, NONE)
