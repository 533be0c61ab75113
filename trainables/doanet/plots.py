"""Azimuth and elevation over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.doanet.tracks import OutputChoice, TrackingOutputs, azimuth_deg, elevation_deg, is_sounding

_FRAME_S = 0.1


def plot_timelines(shown: Mapping[str, TrackingOutputs], choice: OutputChoice, title: str | None = None) -> Figure:
    """Draw recordings, a row each: events as wide grey lines, outputs as coloured points where they sound.

    Args:
        shown: Recordings by split.
        choice: When an output sounds.
        title: Stands above instead of the split's name beside each row.
    """
    rows = [(f"{name} {number}", tracks, number) for name, tracks in shown.items() for number in range(len(tracks.ids))]
    figure = Figure(figsize=(12, 1.9 * len(rows) + 0.8), layout="constrained")
    figure.suptitle(title or "")
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True)
    for (label, tracks, number), (across, up) in zip(rows, axes, strict=True):
        loud = is_sounding(tracks, choice)[number]
        _draw_angles(across, azimuth_deg, tracks, number, loud)
        _draw_angles(up, elevation_deg, tracks, number, loud)
        beside = f"{label}\n" if title is None else ""
        across.set(ylabel=f"{beside}azimuth, °", ylim=(-185, 185), yticks=(-180, -90, 0, 90, 180))
        up.set(ylabel="elevation, °", ylim=(-95, 95), yticks=(-90, -45, 0, 45, 90), xlim=(0, len(loud) * _FRAME_S))
    for plot in axes[-1]:
        plot.set_xlabel("time, s")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), markerscale=4, frameon=False)
    return figure


def _draw_angles(plot: Axes, angle: Any, tracks: TrackingOutputs, number: int, loud: NDArray[np.bool_]) -> None:
    time = np.arange(len(loud)) * _FRAME_S
    for slot in range(loud.shape[1]):
        there = tracks.active[number, :, slot]
        plot.plot(time[there], angle(tracks.reference[number, there, slot]), ".", color="0.75", markersize=7)
    for output in range(loud.shape[1]):
        heard = loud[:, output]
        degrees = angle(tracks.predicted[number, heard, output])
        plot.plot(time[heard], degrees, ".", color=f"C{output}", markersize=2, label=f"output {output}")
