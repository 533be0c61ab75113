"""Metrics of `config.METRICS`: those of DOAnet's authors, and CLEAR-MOT at every gate.

Source of the former: Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning sound source
localizers" (2021), section on metrics, as their implementation computes them. Their MOTa does not detect switches: it
counts onsets of outputs instead. Two tracks that swap cost nothing there, and a correct onset costs one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainables.doanet.clearmot import ClearCounts, clear_counts
from trainables.doanet.config import GATES_DEG
from trainables.doanet.tracks import (
    NONE,
    OutputChoice,
    TrackingOutputs,
    cheapest_order,
    is_sounding,
    select_recording,
)

_TINY: Final = 1e-7
"""Initial value of the authors' totals."""
_LARGEST_DEG: Final = 180.0
"""Largest angle, reported as LE without a match."""


@dataclass(frozen=True, eq=False)
class AuthorsCounts:
    """Sums over frames and recordings, one per choice of inference parameters.

    Attributes:
        references: Number of active events.
        predictions: Number of active outputs.
        matches: Sum of the smaller of the two per frame, at any angle.
        angle_deg: Sum of the angles of the best pairs, in degrees.
        misses: Number of events in excess of the outputs.
        false_positives: Number of outputs in excess of the events.
        onsets: Number of active outputs that were inactive in the previous frame of the recording.
    """

    references: NDArray[np.int64]
    predictions: NDArray[np.int64]
    matches: NDArray[np.int64]
    angle_deg: NDArray[np.float64]
    misses: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    onsets: NDArray[np.int64]

    def summarise_counts(self) -> list[dict[str, float]]:
        """Return LE in degrees (NaN without a match), LR, LP, LF and MOTa in percent, and onsets; one mapping per choice."""
        result = []
        for row in range(len(self.references)):
            matches, references = int(self.matches[row]), int(self.references[row]) + _TINY
            recall, precision = matches / references, matches / (int(self.predictions[row]) + _TINY)
            errors = int(self.misses[row] + self.false_positives[row] + self.onsets[row])
            result.append(
                {
                    "le": float(self.angle_deg[row]) / matches if matches else math.nan,
                    "lr": 100 * recall,
                    "lp": 100 * precision,
                    "lf": 100 * 2 * precision * recall / (precision + recall + _TINY),
                    "mota_authors": 100 * (1 - errors / references),
                    "ids_authors": float(self.onsets[row]),
                }
            )
        return result


def authors_counts(tracks: TrackingOutputs, active: NDArray[np.bool_]) -> AuthorsCounts:
    """Count as the authors do, without a largest angle.

    If activity is not predicted, all outputs are always active: localization error and recall then equal those of the authors,
    who omit the other metrics, while precision and MOTa show the cost of outputs that are always active.

    Args:
        tracks: Recordings; onsets are not counted across them, as the authors do not count them across batches.
        active: Whether each output is active, shape (choices, recordings, frames, sources).
    """
    angle = _authors_angles_deg(tracks)
    outputs, events = active.sum(-1), tracks.active.sum(-1)
    angle_sums = []
    for choice_active in active:
        output = cheapest_order(angle, choice_active[..., :, None] & tracks.active[..., None, :])
        paired = np.take_along_axis(angle, np.maximum(output, 0)[..., None, :], -2)[..., 0, :]
        angle_sums.append(float(np.where(output != NONE, paired, 0.0).sum()))
    return AuthorsCounts(
        references=np.full(len(active), events.sum()),
        predictions=outputs.sum((1, 2)),
        matches=np.minimum(outputs, events).sum((1, 2)),
        angle_deg=np.array(angle_sums),
        misses=np.maximum(events - outputs, 0).sum((1, 2)),
        false_positives=np.maximum(outputs - events, 0).sum((1, 2)),
        onsets=(active[:, :, 1:] & ~active[:, :, :-1]).sum((1, 2, 3)),
    )


def _authors_angles_deg(tracks: TrackingOutputs) -> NDArray[np.float64]:
    """Return angles of unit vectors in single precision, which cannot be smaller than 0.03°."""
    predicted = tracks.predicted.astype(np.float32)
    predicted /= np.maximum(np.linalg.norm(predicted, axis=-1, keepdims=True), 1e-5)
    truth = np.where(tracks.active[..., None], tracks.reference, 0).astype(np.float32)
    cosine = np.clip(predicted @ np.swapaxes(truth, -1, -2), np.float32(-1 + _TINY), np.float32(1 - _TINY))
    angle: NDArray[np.float64] = np.degrees(np.arccos(cosine)).astype(np.float64)
    return angle


@dataclass(frozen=True, eq=False)
class TrackingCounts:
    """All counts for choices of inference parameters and gates.

    Attributes:
        authors: Counts of the authors, one per choice.
        clear: Counts of CLEAR-MOT, one per choice and gate; the gates of a choice are consecutive.
        gates_deg: Gates, in degrees.
    """

    authors: AuthorsCounts
    clear: ClearCounts
    gates_deg: tuple[float, ...]

    def summarise_counts(self) -> list[dict[str, float]]:
        """Return the metrics of each choice by their names in `config.METRICS`; without a match LE is 180°.

        A search compares choices by LE, so a choice without active outputs must be the worst instead of having no result.
        """
        clear = self.clear.summarise_counts()
        result = []
        for row, authors in enumerate(self.authors.summarise_counts()):
            choice_clear = clear[row * len(self.gates_deg) : (row + 1) * len(self.gates_deg)]
            named = {
                f"{name}_{gate:g}deg": value
                for gate, values in zip(self.gates_deg, choice_clear, strict=True)
                for name, value in values.items()
            }
            result.append(named | authors | {"le": _LARGEST_DEG if math.isnan(authors["le"]) else authors["le"]})
        return result


def count_errors(
    tracks: TrackingOutputs, choices: Sequence[OutputChoice], gates_deg: tuple[float, ...] = GATES_DEG
) -> TrackingCounts:
    """Compare outputs with events for all choices of inference parameters.

    Args:
        tracks: Outputs and events.
        choices: Choices of inference parameters.
        gates_deg: Largest angles of a pair in CLEAR-MOT, in degrees.
    """
    active = np.stack([is_sounding(tracks, choice) for choice in choices])
    every_gate = np.tile(np.array(gates_deg, np.float64), len(choices))
    clear = clear_counts(tracks, active.repeat(len(gates_deg), axis=0), every_gate)
    return TrackingCounts(authors_counts(tracks, active), clear, gates_deg)


def recording_terms(tracks: TrackingOutputs, choice: OutputChoice) -> NDArray[np.float64]:
    """Return the counts of each recording for one choice of inference parameters.

    Returns:
        The attributes of `AuthorsCounts`, then those of `ClearCounts` at each gate, shape (recordings, terms).
    """
    counts = [count_errors(select_recording(tracks, number), [choice]) for number in range(len(tracks.ids))]
    rows = [[*_attributes(one.authors), *_attributes(one.clear)] for one in counts]
    return np.array([np.concatenate(row) for row in rows], np.float64)


def summarise_terms(sums: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the metrics of sums of `recording_terms`, shape (resamples, terms)."""
    names = [field.name for field in fields(AuthorsCounts)]
    clear_names = [field.name for field in fields(ClearCounts)]
    by_gate = sums[:, len(names) :].reshape(len(sums), len(clear_names), len(GATES_DEG))
    authors = AuthorsCounts(**_typed_terms(names, sums[:, : len(names)].T))
    clear = ClearCounts(**_typed_terms(clear_names, by_gate.swapaxes(0, 1).reshape(len(clear_names), -1)))
    return TrackingCounts(authors, clear, GATES_DEG).summarise_counts()


def _typed_terms(names: Sequence[str], rows: NDArray[np.float64]) -> dict[str, Any]:
    """Return the rows by name, as integers except for sums of angles."""
    return {name: row if name == "angle_deg" else row.astype(np.int64) for name, row in zip(names, rows, strict=True)}


def _attributes(counts: AuthorsCounts | ClearCounts) -> list[NDArray[np.float64]]:
    return [np.asarray(getattr(counts, field.name), np.float64) for field in fields(counts)]
