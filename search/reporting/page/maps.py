"""Maps of the errors of a model: F1 and bias by the position of sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from runtime.html_page import COLOURS, DataTable
from search.reporting.page.chart import QUIET, SCALE, Chart, new_figure
from search.reporting.page.content import format_score
from trainables.error_analysis import ErrorAnalysis, PositionAxes

_CELLS: Final = 12
"""Number of cells of a map along its longer side."""
_MAP_HEIGHT: Final = 460
_SCALES: Final = (1, 2, 5, 10, 20, 50, 100)
"""Factors by which arrows are lengthened."""
_MARGIN: Final = 0.03
"""Margin around a microphone, as a share of the axis."""
LEAST: Final = 5
"""Number of sources below which a cell or a bin is left empty."""


def list_maps(analysis: ErrorAnalysis) -> list[Chart]:
    """Return the maps of F1 and of the bias over the positions of sources."""
    return [_chart_f1_map(analysis), _chart_bias_map(analysis)]


def new_plan(axes: PositionAxes, height: int = _MAP_HEIGHT) -> go.Figure:
    """Return a figure of the area with the microphones."""
    figure = new_figure(*axes.names, height=height)
    figure.update_xaxes(range=_widen(axes, 0))
    figure.update_yaxes(range=_widen(axes, 1))
    if not axes.is_circular:
        figure.update_yaxes(scaleanchor="x", scaleratio=1, constrain="domain")
        figure.update_xaxes(constrain="domain")
    if len(axes.landmarks):
        figure.add_scatter(
            x=axes.landmarks[:, 0].tolist(),
            y=axes.landmarks[:, 1].tolist(),
            mode="markers",
            name="microphones",
            marker={"symbol": "square", "size": 8, "color": QUIET},
        )
    return figure


def _widen(axes: PositionAxes, axis: int) -> list[float]:
    """Return the limits of an axis, wide enough for the whole symbol of a microphone at the border."""
    low, high = axes.limits[axis]
    places = axes.landmarks[:, axis].tolist()
    if not places:
        return [low, high]
    margin = _MARGIN * (high - low)
    return [min(low, min(places) - margin), max(high, max(places) + margin)]


def _cell_edges(axes: PositionAxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (left, right), (low, high) = axes.limits
    size = max(right - left, high - low) / _CELLS
    return (
        np.linspace(left, right, max(1, round((right - left) / size)) + 1),
        np.linspace(low, high, max(1, round((high - low) / size)) + 1),
    )


def _count_cells(axes: PositionAxes, positions: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the number of chosen positions per cell, shape (rows, columns)."""
    across, up = _cell_edges(axes)
    counts: NDArray[np.float64] = np.histogram2d(positions[chosen, 1], positions[chosen, 0], bins=(up, across))[0]
    return counts


def _centres(edges: NDArray[np.float64]) -> list[float]:
    middle: list[float] = ((edges[:-1] + edges[1:]) / 2).tolist()
    return middle


def _chart_f1_map(analysis: ErrorAnalysis) -> Chart:
    axes, gate = analysis.axes, 0
    everywhere = np.ones(len(analysis.sources.positions), bool)
    true = _count_cells(axes, analysis.sources.positions, everywhere)
    found = _count_cells(axes, analysis.sources.positions, np.isfinite(analysis.sources.errors[gate]))
    false = _count_cells(axes, analysis.estimates.positions, analysis.estimates.is_false[gate])
    total = true + found + false
    f1 = np.where(true >= LEAST, 2 * found / np.maximum(total, 1), np.nan)
    across, up = _cell_edges(axes)
    figure = new_plan(axes)
    figure.add_heatmap(
        x=_centres(across),
        y=_centres(up),
        z=[[None if math.isnan(value) else value for value in row] for row in f1.tolist()],
        customdata=np.stack([true, found, false], axis=-1).tolist(),
        colorscale=SCALE,
        zmin=0,
        zmax=1,
        colorbar={"title": {"text": "F1"}, "thickness": 12},
        hovertemplate="F1 %{z:.2f}<br>%{customdata[0]} sources, %{customdata[1]} found, "
        "%{customdata[2]} false estimates<extra></extra>",
    )
    figure.data = figure.data[::-1]  # microphones above the map
    figure.update_layout(showlegend=False)
    rows = [
        [
            f"{_centres(across)[c]:.3g}, {_centres(up)[r]:.3g}",
            format_score(float(f1[r, c])),
            *(f"{counts[r, c]:.0f}" for counts in (true, found, false)),
        ]
        for r, c in sorted(np.argwhere(true >= LEAST).tolist(), key=lambda cell: f1[cell[0], cell[1]])[:10]
    ]
    caption = (
        f"F1 at {axes.gates[gate]:g} {axes.unit} by position: sources count where they are, false estimates where they were "
        f"estimated. Cells with fewer than {LEAST} sources are empty; squares are microphones."
    )
    table = DataTable(
        [f"centre of the worst cells ({axes.names[0]}; {axes.names[1]})", "F1", "sources", "found", "false"], rows
    )
    return Chart(f"F1 at {axes.gates[gate]:g} {axes.unit} by position", figure, caption, table)


def _chart_bias_map(analysis: ErrorAnalysis) -> Chart:
    axes, sources = analysis.axes, analysis.sources
    across, up = _cell_edges(axes)
    matched = np.isfinite(sources.biases[:, 0])
    counts = _count_cells(axes, sources.positions, matched)
    column = np.clip(np.digitize(sources.positions[:, 0], across) - 1, 0, len(across) - 2)
    row = np.clip(np.digitize(sources.positions[:, 1], up) - 1, 0, len(up) - 2)
    figure = new_plan(axes)
    centres = _centres(across), _centres(up)
    rows = []
    arrows = []
    for r, c in np.argwhere(counts >= LEAST).tolist():
        inside = matched & (row == r) & (column == c)
        bias = np.median(sources.biases[inside], axis=0)
        error = float(np.median(sources.errors[-1][inside]))
        begin = centres[0][c], centres[1][r]
        arrows.append((begin, bias))
        rows.append((error, [f"{begin[0]:.3g}, {begin[1]:.3g}", *(f"{value:+.3g}" for value in bias), f"{error:.3g}"]))
    scale = _choose_scale([float(np.hypot(*bias)) for _, bias in arrows], float(across[1] - across[0]))
    ends = [[v for begin, bias in arrows for v in (begin[a], begin[a] + scale * float(bias[a]), None)] for a in (0, 1)]
    figure.add_scatter(
        x=ends[0],
        y=ends[1],
        mode="lines+markers",
        marker={"symbol": "arrow", "angleref": "previous", "size": 9, "color": COLOURS[1]},
        line={"color": COLOURS[1], "width": 2},
        name="median bias",
        hoverinfo="skip",
    )
    listed = [cells for _, cells in sorted(rows, key=lambda item: -item[0])[:10]]
    caption = (
        f"From the centre of each cell to where its sources are estimated in the median, of sources found within "
        f"{axes.gates[-1]:g} {axes.unit}; {'to scale' if scale == 1 else f'arrows are {scale} times as long'}."
    )
    header = [
        "cells with the largest errors",
        f"bias {axes.names[0]}",
        f"bias {axes.names[1]}",
        f"median error, {axes.unit}",
    ]
    return Chart("Bias by position", figure, caption, DataTable(header, listed))


def _choose_scale(lengths: Sequence[float], cell: float) -> int:
    """Return the factor by which most arrows become about as long as a cell."""
    typical = float(np.quantile(lengths, 0.9)) if lengths else 0.0
    return max([scale for scale in _SCALES if scale * typical <= cell], default=1) if typical > 0 else 1
