"""Plots of azimuth and elevation over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.doanet.tracks import OutputChoice, TrackingOutputs, azimuth_deg, elevation_deg, is_sounding

_FRAME_S = 0.1


def plot_timelines(recordings: Mapping[str, TrackingOutputs], choice: OutputChoice, title: str | None = None) -> Figure:
    """Plot recordings, one row each: events as wide grey lines, active outputs as coloured points.

    Args:
        recordings: Recordings by split.
        choice: Inference parameters.
        title: Title of the figure, which replaces the name of the split at each row.
    """
    rows = [
        (f"{name} {number}", tracks, number) for name, tracks in recordings.items() for number in range(len(tracks.ids))
    ]
    figure = Figure(figsize=(12, 1.9 * len(rows) + 0.8), layout="constrained")
    figure.suptitle(title or "")
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True)
    for (label, tracks, number), (azimuth_plot, elevation_plot) in zip(rows, axes, strict=True):
        sounding = is_sounding(tracks, choice)[number]
        _draw_angles(azimuth_plot, azimuth_deg, tracks, number, sounding)
        _draw_angles(elevation_plot, elevation_deg, tracks, number, sounding)
        prefix = f"{label}\n" if title is None else ""
        azimuth_plot.set(ylabel=f"{prefix}azimuth, °", ylim=(-185, 185), yticks=(-180, -90, 0, 90, 180))
        elevation_plot.set(
            ylabel="elevation, °", ylim=(-95, 95), yticks=(-90, -45, 0, 45, 90), xlim=(0, len(sounding) * _FRAME_S)
        )
    for plot in axes[-1]:
        plot.set_xlabel("time, s")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), markerscale=4, frameon=False)
    return figure


def _draw_angles(plot: Axes, angle: Any, tracks: TrackingOutputs, number: int, sounding: NDArray[np.bool_]) -> None:
    time = np.arange(len(sounding)) * _FRAME_S
    for slot in range(sounding.shape[1]):
        active = tracks.active[number, :, slot]
        plot.plot(time[active], angle(tracks.reference[number, active, slot]), ".", color="0.75", markersize=7)
    for output in range(sounding.shape[1]):
        active = sounding[:, output]
        degrees = angle(tracks.predicted[number, active, output])
        plot.plot(time[active], degrees, ".", color=f"C{output}", markersize=2, label=f"output {output}")
