"""Room plans: where sources are, and where the localizer hears them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from datasets.shards import Dataset
from trainables.localizer.retrieval import Keypoints


def room_plans(data: Dataset, shown: Mapping[str, tuple[Tensor, Sequence[Keypoints]]]) -> Figure:
    """Draw samples as plans of the room.

    Args:
        data: The room and its arrays.
        shown: By split: true positions, shape (samples, slots, 2), and what was found.
    """
    columns = max(len(found) for _, found in shown.values())
    figure = Figure(figsize=(3.1 * columns, 3.3 * len(shown) + 0.5), layout="constrained")
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for row, (name, (truth, found)) in zip(axes, shown.items(), strict=True):
        for plan, positions, keypoints in zip(row, truth, found, strict=False):
            _plan(plan, data, positions, keypoints)
        for spare in row[len(found) :]:
            spare.remove()
        row[0].set_ylabel(f"{name}\ny, m")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _plan(plan: Axes, data: Dataset, truth: Tensor, found: Keypoints) -> None:
    width, depth = data.spec.size_m
    plan.add_patch(_rectangle((width, depth)))
    for number, array in enumerate(data.microphones_m):
        plan.plot(*array.T, "s", color="0.45", markersize=3, label="microphones" if number == 0 else None)
    there = truth[~truth.isnan().any(dim=-1)]
    plan.plot(
        *there.T.numpy(), "o", color="tab:green", markersize=13, fillstyle="none", markeredgewidth=2, label="true"
    )
    plan.plot(*found.positions_m.T.numpy(), "x", color="tab:red", markersize=8, markeredgewidth=2, label="predicted")
    if len(there) and len(found.positions_m):
        nearest = torch.cdist(there, found.positions_m).amin(dim=1)
        plan.set_title("nearest: " + ", ".join(f"{distance:.2f} m" for distance in nearest.tolist()), fontsize=8)
    plan.set(xlim=(-0.6, width + 0.6), ylim=(-0.6, depth + 0.6), aspect="equal", xlabel="x, m")
    plan.tick_params(labelsize=7)


def _rectangle(size_m: tuple[float, float]) -> Rectangle:
    return Rectangle((0, 0), *size_m, fill=False, edgecolor="0.6")
