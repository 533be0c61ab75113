"""CLEAR-MOT metrics of tracks, for many choices of inference parameters at once.

Source: Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics" (2008). As is
customary, associations persist over frames in which an event or its output is inactive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.doanet.tracks import NONE, TrackingOutputs, angles_deg, cheapest_order


@dataclass(frozen=True, eq=False)
class ClearCounts:
    """Sums over frames and recordings, one per choice of inference parameters.

    Attributes:
        references: Number of active events, summed over frames.
        matches: Number of matched events, summed over frames.
        angle_deg: Sum of the angles between matched events and outputs, in degrees.
        misses: Number of active events without a match.
        false_positives: Number of active outputs without a match.
        switches: Number of matches with another output than the previous match of the event.
        fragmentations: Number of matches of events that were missed since their previous match.
    """

    references: NDArray[np.int64]
    matches: NDArray[np.int64]
    angle_deg: NDArray[np.float64]
    misses: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    switches: NDArray[np.int64]
    fragmentations: NDArray[np.int64]

    def summarise_counts(self) -> list[dict[str, float]]:
        """Return MOTA in percent, MOTP in degrees (NaN without a match), and the errors, one mapping per choice.

        Without events, MOTA divides by 1, so that false positives still count.
        """
        result = []
        for row in range(len(self.references)):
            misses, extra, switches = (int(n[row]) for n in (self.misses, self.false_positives, self.switches))
            matches = int(self.matches[row])
            result.append(
                {
                    "mota": 100 * (1 - (misses + extra + switches) / max(int(self.references[row]), 1)),
                    "motp": float(self.angle_deg[row]) / matches if matches else math.nan,
                    "ids": float(switches),
                    "fp": float(extra),
                    "fn": float(misses),
                    "fragmentations": float(self.fragmentations[row]),
                }
            )
        return result


class _AssociationMemory:
    """Last matched output of each event, and whether the event was missed since, per choice and recording."""

    def __init__(self, choices: int, ids: NDArray[np.int64]) -> None:
        # One entry more than events: the id -1 of empty slots indexes the last one.
        shape = (choices, ids.shape[0], int(ids.max(initial=NONE)) + 2)
        self.output = np.full(shape, NONE, np.int64)
        self.lost = np.zeros(shape, np.bool_)

    def last_matches(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the last output of the events of a frame, -1 if none yet, and whether they were missed since."""
        return np.take_along_axis(self.output, ids, 2), np.take_along_axis(self.lost, ids, 2)

    def store_matches(self, ids: NDArray[np.int64], output: NDArray[np.int64], lost: NDArray[np.bool_]) -> None:
        """Store the matches of a frame."""
        np.put_along_axis(self.output, ids, output, 2)
        np.put_along_axis(self.lost, ids, lost, 2)


def clear_counts(tracks: TrackingOutputs, sounding: NDArray[np.bool_], gates_deg: NDArray[np.float64]) -> ClearCounts:
    """Match events with outputs through all recordings and count errors.

    In each frame an event keeps its last output if that is active and within the gate; if two events have the same last
    output, the one in the earlier slot keeps it. Remaining events and outputs are paired within the gate, as many as
    possible, at the least sum of angles.

    Args:
        tracks: Outputs and events of the recordings.
        sounding: Whether each output is active, shape (choices, recordings, frames, sources).
        gates_deg: Largest angle of a pair, in degrees, shape (choices,).
    """
    choices, recordings, frames, sources = sounding.shape
    memory = _AssociationMemory(choices, tracks.ids)
    angle = angles_deg(tracks.predicted, tracks.reference)
    sums: dict[str, NDArray[Any]] = {
        name: np.zeros(choices, np.int64) for name in ("matches", "misses", "switches", "fragmentations")
    }
    angle_deg = np.zeros(choices)
    for frame in range(frames):
        active, frame_deg = tracks.active[:, frame], angle[:, frame]
        ids = np.broadcast_to(tracks.ids[:, frame], (choices, recordings, sources))
        pairs = sounding[:, :, frame, :, None] & active[:, None, :]
        allowed = pairs & (frame_deg <= gates_deg[:, None, None, None])
        previous, lost = memory.last_matches(ids)
        output = _continue_tracks(previous, allowed)
        output = _fill_matches(output, frame_deg, allowed)
        matched = output != NONE
        known = previous != NONE
        memory.store_matches(ids, np.where(matched, output, previous), ~matched & (lost | (active & known)))
        sums["matches"] += matched.sum((1, 2))
        sums["misses"] += (active & ~matched).sum((1, 2))
        sums["switches"] += (matched & known & (output != previous)).sum((1, 2))
        sums["fragmentations"] += (matched & lost).sum((1, 2))
        matched_deg = np.take_along_axis(frame_deg[None], np.maximum(output, 0)[:, :, None], 2)[:, :, 0]
        angle_deg += np.where(matched, matched_deg, 0).sum((1, 2))
    references = np.full(choices, tracks.active.sum())
    extra = sounding.sum((1, 2, 3)) - sums["matches"]
    return ClearCounts(references=references, angle_deg=angle_deg, false_positives=extra, **sums)


def _continue_tracks(previous: NDArray[np.int64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the last output of each event if the pair is allowed and no earlier event has that output, else -1."""
    outputs = np.arange(allowed.shape[-1])
    taken = np.zeros(allowed.shape[:-1], np.bool_)
    output = np.empty_like(previous)
    for event in range(allowed.shape[-1]):
        same = (outputs == previous[..., event, None]) & allowed[..., event] & ~taken
        taken |= same
        output[..., event] = np.where(same.any(-1), previous[..., event], NONE)
    return output


def _fill_matches(
    output: NDArray[np.int64], angle_deg: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pair the remaining events and outputs."""
    outputs = np.arange(allowed.shape[-1])
    taken = (output[..., None, :] == outputs[:, None]).any(-1)
    free = allowed & ~taken[..., None] & (output == NONE)[..., None, :]
    if not free.any():
        return output
    # Only the few frames with remaining pairs enter the search over orders.
    rows = free.any((-2, -1))
    filled = output.copy()
    paired = cheapest_order(np.broadcast_to(angle_deg, allowed.shape)[rows], free[rows])
    filled[rows] = np.where(paired == NONE, output[rows], paired)
    return filled
