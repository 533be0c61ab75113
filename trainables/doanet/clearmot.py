"""CLEAR-MOT: tracks that keep their identity, for many settings at once.

Source: Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics" (2008). As is
usual, the memory of who followed whom survives frames in which an event or its output is silent.
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
    """Sums over frames and recordings, one of each setting.

    Attributes:
        references: Events in frames.
        matches: Events in frames that an output follows.
        angle_deg: Their angles, summed.
        misses: Events in frames without output.
        false_positives: Sounding outputs in frames without event.
        switches: Events taken over by another output than the one that followed them last.
        fragmentations: Events followed again after frames of theirs in which they were not.
    """

    references: NDArray[np.int64]
    matches: NDArray[np.int64]
    angle_deg: NDArray[np.float64]
    misses: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    switches: NDArray[np.int64]
    fragmentations: NDArray[np.int64]

    def summarise_counts(self) -> list[dict[str, float]]:
        """MOTA in percent, MOTP in degrees (NaN without a match), and the errors, one mapping a setting.

        Without events MOTA divides by 1, so that false positives still count.
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
    """Who followed each event last, and whether it has been missed since; a recording in each row of a setting."""

    def __init__(self, settings: int, ids: NDArray[np.int64]) -> None:
        # One place more than events: the number -1 of empty slots points to the last.
        shape = (settings, ids.shape[0], int(ids.max(initial=NONE)) + 2)
        self.output = np.full(shape, NONE, np.int64)
        self.lost = np.zeros(shape, np.bool_)

    def recall_matches(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The last output of the events of a frame, -1 if none yet, and whether they were missed since."""
        return np.take_along_axis(self.output, ids, 2), np.take_along_axis(self.lost, ids, 2)

    def store_matches(self, ids: NDArray[np.int64], output: NDArray[np.int64], lost: NDArray[np.bool_]) -> None:
        """Remember a frame."""
        np.put_along_axis(self.output, ids, output, 2)
        np.put_along_axis(self.lost, ids, lost, 2)


def clear_counts(tracks: TrackingOutputs, sounding: NDArray[np.bool_], gates_deg: NDArray[np.float64]) -> ClearCounts:
    """Follow every event through its recording.

    In each frame an event keeps the output that followed it last, if that sounds and is within the gate; where two events
    remember the same output, the one in the earlier slot keeps it. The others are paired with what is left, as many as
    possible within the gate, at the least sum of angles.

    Args:
        tracks: The recordings.
        sounding: Which outputs sound, shape (settings, recordings, frames, sources).
        gates_deg: The largest angle of a pair, shape (settings,), degrees.
    """
    settings, recordings, frames, sources = sounding.shape
    memory = _AssociationMemory(settings, tracks.ids)
    angle = angles_deg(tracks.predicted, tracks.reference)
    sums: dict[str, NDArray[Any]] = {
        name: np.zeros(settings, np.int64) for name in ("matches", "misses", "switches", "fragmentations")
    }
    angle_deg = np.zeros(settings)
    for frame in range(frames):
        there, here_deg = tracks.active[:, frame], angle[:, frame]
        ids = np.broadcast_to(tracks.ids[:, frame], (settings, recordings, sources))
        pairs = sounding[:, :, frame, :, None] & there[:, None, :]
        allowed = pairs & (here_deg <= gates_deg[:, None, None, None])
        previous, lost = memory.recall_matches(ids)
        output = _continue_tracks(previous, allowed)
        output = _fill_matches(output, here_deg, allowed)
        found = output != NONE
        known = previous != NONE
        memory.store_matches(ids, np.where(found, output, previous), ~found & (lost | (there & known)))
        sums["matches"] += found.sum((1, 2))
        sums["misses"] += (there & ~found).sum((1, 2))
        sums["switches"] += (found & known & (output != previous)).sum((1, 2))
        sums["fragmentations"] += (found & lost).sum((1, 2))
        matched_deg = np.take_along_axis(here_deg[None], np.maximum(output, 0)[:, :, None], 2)[:, :, 0]
        angle_deg += np.where(found, matched_deg, 0).sum((1, 2))
    references = np.full(settings, tracks.active.sum())
    extra = sounding.sum((1, 2, 3)) - sums["matches"]
    return ClearCounts(references=references, angle_deg=angle_deg, false_positives=extra, **sums)


def _continue_tracks(previous: NDArray[np.int64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give each event its last output where it may have it and no event before it has."""
    outputs = np.arange(allowed.shape[-1])
    taken = np.zeros(allowed.shape[:-1], np.bool_)
    kept = np.empty_like(previous)
    for event in range(allowed.shape[-1]):
        same = (outputs == previous[..., event, None]) & allowed[..., event] & ~taken
        taken |= same
        kept[..., event] = np.where(same.any(-1), previous[..., event], NONE)
    return kept


def _fill_matches(
    output: NDArray[np.int64], angle_deg: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pair the events and outputs that are left."""
    outputs = np.arange(allowed.shape[-1])
    taken = (output[..., None, :] == outputs[:, None]).any(-1)
    free = allowed & ~taken[..., None] & (output == NONE)[..., None, :]
    if not free.any():
        return output
    # Few frames have anything left, and these are all that the search over orders needs to see.
    rows = free.any((-2, -1))
    filled = output.copy()
    fresh = cheapest_order(np.broadcast_to(angle_deg, allowed.shape)[rows], free[rows])
    filled[rows] = np.where(fresh == NONE, output[rows], fresh)
    return filled
