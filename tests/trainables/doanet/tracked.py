"""Recordings for the tests of metrics: made by hand on the horizon, or random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.doanet.tracks import TrackingOutputs

Slots = Sequence[Sequence[float | None]]


def vectors(azimuths_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors on the horizon, NaN where the azimuth is."""
    radians = np.deg2rad(azimuths_deg)
    return np.stack([np.cos(radians), np.sin(radians), 0 * radians], axis=-1)


def by_hand(outputs: Slots, events: Slots, ids: Sequence[Sequence[int]]) -> TrackingOutputs:
    """One recording; frames of azimuths in degrees, None where nothing sounds."""
    found, truth = (
        np.array([[np.nan if a is None else a for a in frame] for frame in side]) for side in (outputs, events)
    )
    activity = np.where(np.isnan(found), 0.1, 0.9)
    return TrackingOutputs(
        vectors(np.nan_to_num(found))[None],
        activity[None],
        vectors(truth)[None],
        ~np.isnan(truth)[None],
        np.array(ids, np.int64)[None],
    )


def random_tracks(recordings: int, frames: int, sources: int, seed: int) -> TrackingOutputs:
    """Events that move, pause, return and change slots; outputs that follow them, swap, fall silent and stray."""
    generator = np.random.default_rng(seed)
    shape = (recordings, frames, sources)
    active, ids = np.zeros(shape, np.bool_), np.full(shape, -1, np.int64)
    reference, predicted = np.full((*shape, 3), np.nan), np.zeros((*shape, 3))
    for r in range(recordings):
        walk = np.cumsum(generator.normal(0, 0.06, (frames, sources + 1, 3)), axis=0) + generator.normal(
            0, 1, (sources + 1, 3)
        )
        on = _bursts(generator, frames, sources + 1, 0.1)
        order = generator.permutation(sources + 1)
        for t in range(frames):
            if generator.random() < 0.1:
                order = generator.permutation(sources + 1)
            present = [event for event in order if on[t, event]][:sources]
            for slot, event in enumerate(present):
                active[r, t, slot], ids[r, t, slot] = True, event
                reference[r, t, slot] = walk[t, event] / np.linalg.norm(walk[t, event])
        # Output i follows event i most of the time, and a neighbour in bursts.
        followed = (np.arange(sources) + _bursts(generator, frames, 1, 0.08)) % (sources + 1)
        predicted[r] = walk[np.arange(frames)[:, None], followed] + generator.normal(0, 0.2, (frames, sources, 3))
    activity = np.clip(0.6 + generator.normal(0, 0.3, shape), 0, 1)
    return TrackingOutputs(predicted, activity, reference, active, ids)


def _bursts(generator: np.random.Generator, frames: int, count: int, rate: float) -> NDArray[np.int64]:
    """0 or 1, changing at random moments, shape (frames, count)."""
    return (np.cumsum(generator.random((frames, count)) < rate, axis=0) + generator.integers(0, 2, count)) % 2
