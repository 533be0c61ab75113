"""Outputs and events of recordings, and operations on them that the metrics share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from trainables.contract import InferenceParams
from trainables.doanet.config import InferenceConfig

NONE: Final = -1
"""Number of a missing output or event."""
_BEYOND_DEG: Final = 1000.0
"""Larger than the sum of all angles of a frame."""


@dataclass(frozen=True, eq=False)
class TrackingOutputs:
    """Outputs and events of recordings of one length; associations and onsets do not cross recordings.

    Attributes:
        predicted: Directions of the outputs, shape (recordings, frames, sources, 3); their length does not matter.
        activity: Probability that an output is active, shape (recordings, frames, sources); None if it is not predicted.
        reference: Directions of the events, like `predicted`; arbitrary values, including NaN, in empty slots.
        active: Whether each slot contains an event, shape (recordings, frames, sources).
        ids: Number of the event in each slot, from 0 in each recording; -1 in empty slots.
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
        """Build the outputs of recordings without labels."""
        shape = predicted.shape[:3]
        return cls(predicted, activity, np.full_like(predicted, np.nan), np.zeros(shape, bool), np.full(shape, NONE))


def concatenate_outputs(parts: Sequence[TrackingOutputs]) -> TrackingOutputs:
    """Concatenate sets of recordings.

    Args:
        parts: At least one set; all with activity, or all without.
    """
    activity = [part.activity for part in parts if part.activity is not None]
    return TrackingOutputs(
        np.concatenate([part.predicted for part in parts]),
        np.concatenate(activity) if activity else None,
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.active for part in parts]),
        np.concatenate([part.ids for part in parts]),
    )


def select_recording(tracks: TrackingOutputs, number: int) -> TrackingOutputs:
    """Return one recording of a set."""
    row = slice(number, number + 1)
    activity = None if tracks.activity is None else tracks.activity[row]
    return TrackingOutputs(tracks.predicted[row], activity, tracks.reference[row], tracks.active[row], tracks.ids[row])


@dataclass(frozen=True)
class OutputChoice:
    """Choice of inference parameters.

    Attributes:
        threshold: Activity above which an output is active.
        smoothing_frames: Length of the median over the activity, in frames; an even number means the next odd one.
    """

    threshold: float = 0.5
    smoothing_frames: int = 1

    @classmethod
    def from_params(cls, inference: InferenceConfig, inference_params: InferenceParams) -> OutputChoice:
        """Build a choice from inference parameters, with the Config's values for missing ones."""
        return cls(
            float(inference_params.get("threshold", inference.threshold)),
            round(inference_params.get("smoothing_frames", inference.smoothing_frames)),
        )


def is_sounding(tracks: TrackingOutputs, choice: OutputChoice) -> NDArray[np.bool_]:
    """Return whether each output is active, shape (recordings, frames, sources); all are if activity is not predicted.

    The median extends the first and last frame of a recording beyond its ends.
    """
    if tracks.activity is None:
        return np.ones(tracks.active.shape, np.bool_)
    length = choice.smoothing_frames // 2 * 2 + 1
    loud = tracks.activity > choice.threshold
    # The median of the decisions equals the decision on the median, and bytes are faster to sort.
    smooth = (
        scipy.ndimage.median_filter(loud.view(np.uint8), size=(1, length, 1), mode="nearest") if length > 1 else loud
    )
    return smooth.astype(np.bool_)


def azimuth_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return azimuths, counter-clockwise from the front, in degrees, of vectors of shape (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])), np.float64)


def elevation_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return elevations above the horizon, in degrees, of vectors of shape (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))), np.float64)


def angles_deg(predicted: NDArray[np.floating[Any]], reference: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the angles between all outputs and all events of a frame, 180° where the event is NaN.

    Args:
        predicted: Directions of the outputs, shape (..., outputs, 3).
        reference: Directions of the events, shape (..., events, 3).

    Returns:
        Angles in degrees, shape (..., outputs, events).
    """
    outputs, events = (
        vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        for vectors in (predicted.astype(np.float64), reference.astype(np.float64))
    )
    cosine = np.nan_to_num(outputs @ np.swapaxes(events, -1, -2), nan=-1.0)
    angle: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angle


def cheapest_order(angle_deg: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pair outputs and events one-to-one: as many pairs as possible, then the least sum of angles.

    The search tries all orders.

    Args:
        angle_deg: Angles in degrees, shape (..., sources, sources); rows are outputs, columns events.
        allowed: Whether each pair is allowed, of the same shape.

    Returns:
        Output of each event, shape (..., sources); -1 if it has none.
    """
    sources = allowed.shape[-1]
    # Every allowed pair outweighs any angle.
    cost = np.where(allowed, angle_deg - _BEYOND_DEG, 0.0)
    orders = np.array(list(itertools.permutations(range(sources))))
    columns = np.arange(sources)
    costs = np.stack([cost[..., order, columns].sum(-1) for order in orders])
    chosen = orders[costs.argmin(0)]
    possible = np.take_along_axis(allowed, chosen[..., None, :], axis=-2)[..., 0, :]
    return np.where(possible, chosen, NONE)
