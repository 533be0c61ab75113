"""Room plans with true and predicted positions of samples, or with the predicted positions of a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from trainables.localizer.array_layout import ArrayLayout
from trainables.localizer.retrieval import Keypoints


def plot_room_plans(layout: ArrayLayout, samples: Mapping[str, tuple[Tensor, Sequence[Keypoints]]]) -> Figure:
    """Plot samples as plans of the room, one row per split.

    Args:
        layout: Room and arrays.
        samples: True positions in metres, shape (samples, slots, 2), and predictions per sample, by split.
    """
    columns = max(len(predictions) for _, predictions in samples.values())
    figure = Figure(figsize=(3.1 * columns, 3.3 * len(samples) + 0.5), layout="constrained")
    axes = figure.subplots(len(samples), columns, squeeze=False)
    for row, (name, (truth, predictions)) in zip(axes, samples.items(), strict=True):
        for plan, positions, keypoints in zip(row, truth, predictions, strict=False):
            _draw_plan(plan, layout, positions, keypoints)
        for unused in row[len(predictions) :]:
            unused.remove()
        row[0].set_ylabel(f"{name}\ny, m")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def plot_path_plan(
    layout: ArrayLayout, name: str, time_s: NDArray[np.float64], positions_m: NDArray[np.floating[Any]]
) -> Figure:
    """Plot the predicted positions of a recording, coloured by time.

    Args:
        layout: Room and arrays.
        name: Name of the recording.
        time_s: Times in seconds, shape (positions,).
        positions_m: Predicted positions in metres, shape (positions, 2).
    """
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    plan = figure.subplots()
    _draw_room(plan, layout)
    x_m, y_m = positions_m.T
    points = plan.scatter(x_m, y_m, s=14, c=time_s, cmap="viridis", alpha=0.7, linewidths=0)
    figure.colorbar(points, label="time, s")
    low, high = plan.viewLim.min, plan.viewLim.max  # a grid may extend beyond the room, and predictions with it
    plan.set(
        xlim=_expand_limits(x_m, low[0], high[0]), ylim=_expand_limits(y_m, low[1], high[1]), title=name, ylabel="y, m"
    )
    return figure


def _draw_plan(plan: Axes, layout: ArrayLayout, truth: Tensor, predicted: Keypoints) -> None:
    _draw_room(plan, layout)
    sources = truth[~truth.isnan().any(dim=-1)]
    plan.plot(
        *sources.T.numpy(), "o", color="tab:green", markersize=13, fillstyle="none", markeredgewidth=2, label="true"
    )
    plan.plot(
        *predicted.positions_m.T.numpy(), "x", color="tab:red", markersize=8, markeredgewidth=2, label="predicted"
    )
    if len(sources) and len(predicted.positions_m):
        nearest = torch.cdist(sources, predicted.positions_m).amin(dim=1)
        plan.set_title("nearest: " + ", ".join(f"{distance:.2f} m" for distance in nearest.tolist()), fontsize=8)
    plan.tick_params(labelsize=7)


def _draw_room(plan: Axes, layout: ArrayLayout) -> None:
    width, depth = layout.size_m
    plan.add_patch(_room_outline((width, depth)))
    for number, array in enumerate(layout.microphones_m):
        plan.plot(*array[:, :2].T, "s", color="0.45", markersize=3, label="microphones" if number == 0 else None)
    plan.set(xlim=(-0.6, width + 0.6), ylim=(-0.6, depth + 0.6), aspect="equal", xlabel="x, m")


def _expand_limits(positions_m: NDArray[np.floating[Any]], low: float, high: float) -> tuple[float, float]:
    """Return axis limits that include all positions."""
    return float(positions_m.min(initial=low)), float(positions_m.max(initial=high))


def _room_outline(size_m: tuple[float, float]) -> Rectangle:
    return Rectangle((0, 0), *size_m, fill=False, edgecolor="0.6")
