"""Azimuth and elevation over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.doanet.tracks import Choice, Tracks, sounding

_FRAME_S = 0.1


def timelines(shown: Mapping[str, Tracks], choice: Choice) -> Figure:
    """Draw recordings, a row each: events as wide grey lines, outputs as coloured points where they sound.

    Args:
        shown: Recordings by split.
        choice: When an output sounds.
    """
    rows = [(f"{name} {number}", tracks, number) for name, tracks in shown.items() for number in range(len(tracks.ids))]
    figure = Figure(figsize=(12, 1.9 * len(rows) + 0.8), layout="constrained")
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True)
    for (label, tracks, number), (across, up) in zip(rows, axes, strict=True):
        loud = sounding(tracks, choice)[number]
        _angles(across, azimuth_deg, tracks, number, loud)
        _angles(up, elevation_deg, tracks, number, loud)
        across.set(ylabel=f"{label}\nazimuth, °", ylim=(-185, 185), yticks=(-180, -90, 0, 90, 180))
        up.set(ylabel="elevation, °", ylim=(-95, 95), yticks=(-90, -45, 0, 45, 90))
    for plot in axes[-1]:
        plot.set_xlabel("time, s")
    return figure


def _angles(plot: Axes, angle: Any, tracks: Tracks, number: int, loud: NDArray[np.bool_]) -> None:
    time = np.arange(len(loud)) * _FRAME_S
    for slot in range(loud.shape[1]):
        there = tracks.active[number, :, slot]
        plot.plot(time[there], angle(tracks.reference[number, there, slot]), ".", color="0.75", markersize=7)
    for output in range(loud.shape[1]):
        heard = loud[:, output]
        plot.plot(time[heard], angle(tracks.predicted[number, heard, output]), ".", color=f"C{output}", markersize=2)


def azimuth_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Counter-clockwise from the front, shape (...,) from (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])), np.float64)


def elevation_deg(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Above the horizon, shape (...,) from (..., 3)."""
    return np.asarray(np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))), np.float64)
