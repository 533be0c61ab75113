"""Errors of DOAnet by direction, speed, separation and number of sources, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.tau2020.layout import SAMPLE_RATE_HZ
from trainables.doanet.clearmot import clear_counts
from trainables.doanet.tracks import (
    NONE,
    OutputChoice,
    TrackingOutputs,
    angles_deg,
    azimuth_deg,
    cheapest_order,
    elevation_deg,
    is_sounding,
    select_recording,
)
from trainables.error_analysis import (
    SIMULTANEOUS,
    ErrorAnalysis,
    Estimates,
    Example,
    PositionAxes,
    SourceErrors,
    choose_examples,
)

_FRAME_S: Final = 0.1


def analyse_recordings(
    tracks: TrackingOutputs,
    choice: OutputChoice,
    gates_deg: Sequence[float],
    read_sound: Callable[[int], NDArray[np.float32]],
) -> ErrorAnalysis:
    """Return the errors of recordings, one source per event and frame.

    In each frame, events and outputs are paired within a gate, as many as possible, at the least sum of angles; MOTA, by which
    recordings are ranked, keeps pairs from frame to frame.

    Args:
        tracks: Outputs and events.
        choice: Inference parameters.
        gates_deg: Largest angles of a pair in degrees, in increasing order.
        read_sound: Function from the number of a recording to one of its channels.
    """
    sounding = is_sounding(tracks, choice)
    angle = angles_deg(tracks.predicted, tracks.reference)
    pairs = sounding[..., :, None] & tracks.active[..., None, :]
    outputs = [cheapest_order(angle, pairs & (angle <= gate)) for gate in gates_deg]
    matched = [np.take_along_axis(angle, np.maximum(output, 0)[..., None, :], -2)[..., 0, :] for output in outputs]
    errors = [np.where(output == NONE, np.nan, degrees) for output, degrees in zip(outputs, matched, strict=True)]
    truth, predicted = _to_angles(tracks.reference), _to_angles(tracks.predicted)
    shown: NDArray[np.float64] = np.where(sounding[..., None], predicted, np.nan).astype(np.float64)
    nearest = np.take_along_axis(predicted, np.maximum(outputs[-1], 0)[..., None], -2)
    bias = np.where((outputs[-1] == NONE)[..., None], np.nan, nearest - truth)
    bias[..., 0] = (bias[..., 0] + 180) % 360 - 180
    events = tracks.active.sum(-1).astype(np.float64)
    factors = {
        SIMULTANEOUS: np.broadcast_to(events[..., None], tracks.active.shape),
        "angle to the nearest other source, °": _separation_deg(tracks),
        "angular speed, ° per second": _speed_deg(tracks),
        "elevation above or below the horizon, °": np.abs(truth[..., 1]),
    }
    counts = [
        clear_counts(select_recording(tracks, n), sounding[None, n : n + 1], np.array([gates_deg[0]]))
        for n in range(len(tracks.ids))
    ]
    scores = np.array([count.summarise_counts()[0]["mota"] for count in counts])
    name = f"MOTA at {gates_deg[0]:g}°, %"
    return ErrorAnalysis(
        PositionAxes(
            ("azimuth, °", "elevation, °"), ((-180.0, 180.0), (-90.0, 90.0)), "°", tuple(gates_deg), is_circular=True
        ),
        SourceErrors(
            truth[tracks.active],
            np.stack([error[tracks.active] for error in errors]),
            bias[tracks.active],
            {factor: values[tracks.active] for factor, values in factors.items()},
        ),
        Estimates(
            predicted[sounding],
            np.stack([_is_free(output, sounding)[sounding] for output in outputs]),
            {SIMULTANEOUS: np.broadcast_to(events[..., None], sounding.shape)[sounding]},
        ),
        scores,
        name,
        tuple(
            Example(
                f"{place}: recording {number}, {name} {scores[number]:.0f}",
                (np.arange(sounding.shape[1]) * _FRAME_S).astype(np.float64),
                _events_by_id(tracks, number),
                shown[number],
                read_sound(number),
                SAMPLE_RATE_HZ,
            )
            for place, number in choose_examples(scores).items()
        ),
        sum(int(count.switches[0]) for count in counts),
    )


def _to_angles(directions: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return azimuth and elevation in degrees, shape (…, 2)."""
    return np.stack([azimuth_deg(directions), elevation_deg(directions)], axis=-1).astype(np.float64)


def _is_free(output: NDArray[np.int64], sounding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each output is paired with no event, shape (recordings, frames, outputs)."""
    is_free: NDArray[np.bool_] = ~(output[..., None, :] == np.arange(sounding.shape[-1])[:, None]).any(-1)
    return is_free


def _separation_deg(tracks: TrackingOutputs) -> NDArray[np.float64]:
    """Return the angle of each event to the nearest other one of its frame; NaN without another one."""
    between = angles_deg(tracks.reference, tracks.reference)
    allowed = tracks.active[..., :, None] & tracks.active[..., None, :] & ~np.eye(tracks.active.shape[-1], dtype=bool)
    nearest = np.where(allowed, between, np.inf).min(axis=-1)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _speed_deg(tracks: TrackingOutputs) -> NDArray[np.float64]:
    """Return the angle between the direction of an event and that one second earlier; NaN where it was not active then."""
    frames = round(1 / _FRAME_S)
    speed = np.full(tracks.active.shape, np.nan)
    now, before = tracks.reference[:, frames:, :, None], tracks.reference[:, :-frames, :, None]
    same = (tracks.ids[:, frames:] == tracks.ids[:, :-frames]) & tracks.active[:, frames:] & tracks.active[:, :-frames]
    speed[:, frames:] = np.where(same, angles_deg(before, now)[..., 0, 0], np.nan)
    return speed


def _events_by_id(tracks: TrackingOutputs, number: int) -> NDArray[np.float64]:
    """Return azimuth and elevation of each event of a recording, shape (frames, events, 2); NaN while it is inactive."""
    ids, active = tracks.ids[number], tracks.active[number]
    angles = _to_angles(tracks.reference[number])
    events = np.full((len(ids), int(ids.max(initial=NONE)) + 1, 2), np.nan)
    frame, slot = np.nonzero(active)
    events[frame, ids[frame, slot]] = angles[frame, slot]
    return events
