"""Room plans: where sources are, and where the localizer hears them; or where it hears them in the course of a recording."""

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

from trainables.localizer.retrieval import Keypoints
from trainables.localizer.room import ArrayLayout


def plot_room_plans(room: ArrayLayout, shown: Mapping[str, tuple[Tensor, Sequence[Keypoints]]]) -> Figure:
    """Draw samples as plans of the room.

    Args:
        room: The room and its arrays.
        shown: By split: true positions, shape (samples, slots, 2), and what was found.
    """
    columns = max(len(found) for _, found in shown.values())
    figure = Figure(figsize=(3.1 * columns, 3.3 * len(shown) + 0.5), layout="constrained")
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for row, (name, (truth, found)) in zip(axes, shown.items(), strict=True):
        for plan, positions, keypoints in zip(row, truth, found, strict=False):
            _draw_plan(plan, room, positions, keypoints)
        for spare in row[len(found) :]:
            spare.remove()
        row[0].set_ylabel(f"{name}\ny, m")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def plot_path_plan(
    room: ArrayLayout, name: str, time_s: NDArray[np.float64], positions_m: NDArray[np.floating[Any]]
) -> Figure:
    """Draw what was found in a recording, coloured by time.

    Args:
        room: The room and its arrays.
        name: Of the recording.
        time_s: Shape (positions,).
        positions_m: Shape (positions, 2).
    """
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    plan = figure.subplots()
    _draw_room(plan, room)
    x_m, y_m = positions_m.T
    drawn = plan.scatter(x_m, y_m, s=14, c=time_s, cmap="viridis", alpha=0.7, linewidths=0)
    figure.colorbar(drawn, label="time, s")
    low, high = plan.viewLim.min, plan.viewLim.max  # grids reach beyond the room, and so may what is found
    plan.set(
        xlim=_with_legend(x_m, low[0], high[0]), ylim=_with_legend(y_m, low[1], high[1]), title=name, ylabel="y, m"
    )
    return figure


def _draw_plan(plan: Axes, room: ArrayLayout, truth: Tensor, found: Keypoints) -> None:
    _draw_room(plan, room)
    there = truth[~truth.isnan().any(dim=-1)]
    plan.plot(
        *there.T.numpy(), "o", color="tab:green", markersize=13, fillstyle="none", markeredgewidth=2, label="true"
    )
    plan.plot(*found.positions_m.T.numpy(), "x", color="tab:red", markersize=8, markeredgewidth=2, label="predicted")
    if len(there) and len(found.positions_m):
        nearest = torch.cdist(there, found.positions_m).amin(dim=1)
        plan.set_title("nearest: " + ", ".join(f"{distance:.2f} m" for distance in nearest.tolist()), fontsize=8)
    plan.tick_params(labelsize=7)


def _draw_room(plan: Axes, room: ArrayLayout) -> None:
    width, depth = room.size_m
    plan.add_patch(_draw_rectangle((width, depth)))
    for number, array in enumerate(room.microphones_m):
        plan.plot(*array.T, "s", color="0.45", markersize=3, label="microphones" if number == 0 else None)
    plan.set(xlim=(-0.6, width + 0.6), ylim=(-0.6, depth + 0.6), aspect="equal", xlabel="x, m")


def _with_legend(places_m: NDArray[np.floating[Any]], low: float, high: float) -> tuple[float, float]:
    """Limits that leave nothing out."""
    return float(places_m.min(initial=low)), float(places_m.max(initial=high))


def _draw_rectangle(size_m: tuple[float, float]) -> Rectangle:
    return Rectangle((0, 0), *size_m, fill=False, edgecolor="0.6")
