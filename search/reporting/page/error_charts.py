"""Charts of the errors of a model: map of positions, what makes sources difficult, inference parameters, examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from runtime.html_page import DataTable
from search.execution.error_files import Sweep
from search.reporting.page.chart import COLOURS, DASHES, QUIET, SCALE, Chart, new_figure
from search.reporting.page.content import format_number, format_score
from trainables.error_analysis import SIMULTANEOUS, ErrorAnalysis, Example, PositionAxes

_CELLS: Final = 12
"""Number of cells of a map along its longer side."""
_LEAST: Final = 5
"""Number of sources below which a cell or a bin is left empty."""
_BINS: Final = 8
_SCALES: Final = (1, 2, 5, 10, 20, 50, 100)
"""Factors by which arrows are lengthened."""
_LONG_NAME: Final = 32
"""Length from which only the unit of a factor is at its axis."""
_Z: Final = 1.645
"""Quantile of a two-sided interval of 90 %."""
_MAP_HEIGHT: Final = 460
_SMALL_HEIGHT: Final = 280


def list_maps(analysis: ErrorAnalysis) -> list[Chart]:
    """Return the maps of F1 and of the bias over the positions of sources."""
    return [_chart_f1_map(analysis), _chart_bias_map(analysis)]


def list_factor_charts(analysis: ErrorAnalysis) -> list[Chart]:
    """Return recall, and F1 where it is defined, over everything that may make a source difficult."""
    factors = analysis.sources.factors.items()
    return [_chart_factor(analysis, name, values) for name, values in factors if np.isfinite(values).sum() >= _LEAST]


def list_compared_factors(split: str, analyses: Mapping[str, ErrorAnalysis]) -> list[Chart]:
    """Return recall of several models at the smallest gate, over everything that may make a source difficult.

    Args:
        split: Name of the split, the same data for all models.
        analyses: Errors by the label of the model, with the same axes.
    """
    first = next(iter(analyses.values()))
    names = [n for n, values in first.sources.factors.items() if np.isfinite(values).sum() >= _LEAST]
    return [_compare_factor(split, name, analyses) for name in names]


def _compare_factor(split: str, name: str, analyses: Mapping[str, ErrorAnalysis]) -> Chart:
    figure = new_figure(_title_axis(name), "recall", _SMALL_HEIGHT)
    rows = []
    for number, (label, analysis) in enumerate(analyses.items()):
        bins = [one for one in summarise_factor(analysis, analysis.sources.factors[name], 0) if one[2] >= _LEAST]
        shares = [found / count for _, _, count, found in bins]
        style = {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number % len(DASHES)]}
        middles = [(low + high) / 2 for low, high, _, _ in bins]
        figure.add_scatter(x=middles, y=shares, mode="lines+markers", name=label, line=style)
        rows += [[_format_bin(b[0], b[1]), label, str(b[2]), f"{s:.3f}"] for b, s in zip(bins, shares, strict=True)]
    figure.update_yaxes(range=[0, 1.02])
    axes = next(iter(analyses.values())).axes
    factor = name.partition(",")[0]
    caption = f"Share of the sources that are found within {axes.gates[0]:g} {axes.unit} on {split}, over {factor}."
    return Chart(f"{split}: {factor}", figure, caption, DataTable([name, "model", "sources", "recall"], rows))


def list_sweep_charts(sweeps: Sequence[Sweep], chosen: Mapping[str, float], objective: str) -> list[Chart]:
    """Return the objective over each inference parameter, and precision over recall where the metrics have both.

    Args:
        sweeps: Sweeps on one split.
        chosen: Inference parameters that were chosen on validation.
        objective: Metric of the search.
    """
    charts = []
    for sweep in sweeps:
        if curves := _precision_recall(sweep, chosen):
            charts.append(curves)
    return charts + [_chart_sweep(sweep, chosen, objective) for sweep in sweeps if objective in sweep.metrics]


def chart_scores(analysis: ErrorAnalysis) -> Chart:
    """Return the distribution of the quality of the scenes."""
    scores = analysis.scene_scores[np.isfinite(analysis.scene_scores)]
    counts, edges = np.histogram(scores, bins=20)
    figure = new_figure(analysis.score_name, "scenes", _SMALL_HEIGHT)
    figure.add_bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(),
        y=counts.tolist(),
        width=np.diff(edges).tolist(),
        marker={"color": COLOURS[0]},
    )
    quantiles = {"worst": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "best": 1.0}
    rows = [[name, format_score(float(np.quantile(scores, q)))] for name, q in quantiles.items()] if len(scores) else []
    caption = f"{len(scores)} scenes by {analysis.score_name}; larger is better."
    return Chart("Quality of the scenes", figure, caption, DataTable(["quantile", analysis.score_name], rows))


def chart_example(example: Example, axes: PositionAxes) -> Chart:
    """Return truth and estimates of a scene: a plan without motion, both coordinates over time otherwise."""
    if len(example.time_s) > 1:
        return _chart_trajectories(example, axes)
    figure = _new_plan(axes, 340)
    for name, points, marker in (
        ("true", example.truth[0], {"symbol": "circle-open", "size": 18, "color": COLOURS[2], "line": {"width": 3}}),
        ("estimated", example.estimates[0], {"symbol": "x", "size": 11, "color": COLOURS[4]}),
    ):
        figure.add_scatter(x=points[:, 0].tolist(), y=points[:, 1].tolist(), mode="markers", name=name, marker=marker)
    rows = [
        [name, *(format_score(float(value)) for value in point)]
        for name, points in (("true", example.truth[0]), ("estimated", example.estimates[0]))
        for point in points
    ]
    return Chart(example.title, figure, "Rings: true sources; crosses: estimates.", DataTable(["", *axes.names], rows))


def summarise_factor(
    analysis: ErrorAnalysis, values: NDArray[np.float64], gate: int
) -> list[tuple[float, float, int, int]]:
    """Return the bins of a factor: lowest and highest value, number of sources, and number of those that were found.

    Args:
        analysis: Errors of a split.
        values: Values of the factor, shape (sources,).
        gate: Number of the gate.
    """
    defined = np.isfinite(values)
    found = np.isfinite(analysis.sources.errors[gate])
    bins = []
    for low, high in _bin_edges(values[defined]):
        inside = defined & (values >= low) & (values <= high)
        bins.append((low, high, int(inside.sum()), int((inside & found).sum())))
    return bins


def _bin_edges(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return bins that hold about as many values each; one per value if there are few different ones."""
    different = np.unique(values)
    if len(different) <= _BINS:
        return [(float(value), float(value)) for value in different]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)))
    return [
        (float(low), float(np.nextafter(high, low) if number < len(edges) - 2 else high))
        for number, (low, high) in enumerate(pairwise(edges))
    ]


def _new_plan(axes: PositionAxes, height: int = _MAP_HEIGHT) -> go.Figure:
    """Return a figure of the area with the microphones."""
    figure = new_figure(*axes.names, height=height)
    figure.update_xaxes(range=list(axes.limits[0]))
    figure.update_yaxes(range=list(axes.limits[1]))
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
    f1 = np.where(true >= _LEAST, 2 * found / np.maximum(total, 1), np.nan)
    across, up = _cell_edges(axes)
    figure = _new_plan(axes)
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
        for r, c in sorted(np.argwhere(true >= _LEAST).tolist(), key=lambda cell: f1[cell[0], cell[1]])[:10]
    ]
    caption = (
        f"F1 at {axes.gates[gate]:g} {axes.unit} by position: sources count where they are, false estimates where they were "
        f"estimated. Cells with fewer than {_LEAST} sources are empty; squares are microphones."
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
    figure = _new_plan(axes)
    centres = _centres(across), _centres(up)
    rows = []
    arrows = []
    for r, c in np.argwhere(counts >= _LEAST).tolist():
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


def _chart_factor(analysis: ErrorAnalysis, name: str, values: NDArray[np.float64]) -> Chart:
    axes = analysis.axes
    figure = new_figure(_title_axis(name), "share", _SMALL_HEIGHT)
    rows: list[list[str]] = []
    for gate, limit in enumerate(axes.gates):
        bins = [one for one in summarise_factor(analysis, values, gate) if one[2] >= _LEAST]
        shares = [found / count for _, _, count, found in bins]
        lows, highs = zip(*(_wilson(found, count) for _, _, count, found in bins), strict=True) if bins else ((), ())
        figure.add_scatter(
            x=[(low + high) / 2 for low, high, _, _ in bins],
            y=shares,
            name=f"recall at {limit:g} {axes.unit}",
            mode="lines+markers",
            line={"color": COLOURS[gate % len(COLOURS)], "dash": DASHES[gate % len(DASHES)]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - share for high, share in zip(highs, shares, strict=True)],
                "arrayminus": [share - low for low, share in zip(lows, shares, strict=True)],
            },
        )
        rows += [
            [
                _format_bin(low, high),
                f"{limit:g} {axes.unit}",
                str(count),
                f"{found / count:.3f}",
                _format_f1(analysis, name, (low, high), gate),
            ]
            for low, high, count, found in bins
        ]
    figure.update_yaxes(range=[0, 1.02])
    caption = f"Share of the sources that are found, over {name.partition(',')[0]}; lines: intervals of 90 %."
    return Chart(
        name[:1].upper() + name[1:], figure, caption, DataTable([name, "within", "sources", "recall", "F1"], rows)
    )


def _title_axis(name: str) -> str:
    return name.rpartition(", ")[2] if len(name) > _LONG_NAME else name


def _format_bin(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} – {high:.3g}"


def _format_f1(analysis: ErrorAnalysis, name: str, limits: tuple[float, float], gate: int) -> str:
    """Return F1 of a bin of a factor that estimates have too; a dash for all others."""
    if name not in analysis.estimates.factors:
        return "–"
    low, high = limits
    values, other = analysis.sources.factors[name], analysis.estimates.factors[name]
    inside, estimated = (values >= low) & (values <= high), (other >= low) & (other <= high)
    found = int((inside & np.isfinite(analysis.sources.errors[gate])).sum())
    return f"{2 * found / max(1, int(inside.sum()) + int(estimated.sum())):.3f}"


def _wilson(found: int, count: int) -> tuple[float, float]:
    """Return the interval of Wilson (1927) of a share, with a confidence of 90 %."""
    share, z2 = found / count, _Z * _Z / count
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / count + z2 / (4 * count))
    return middle - half, middle + half


def _precision_recall(sweep: Sweep, chosen: Mapping[str, float]) -> Chart | None:
    """Return precision over recall at every resolution; None if the metrics have neither, or they hardly vary."""
    suffixes = [name.removeprefix("precision") for name in sweep.metrics if name.startswith("precision")]
    pairs = {
        s.strip("_"): (sweep.metrics[f"recall{s}"], sweep.metrics[f"precision{s}"])
        for s in suffixes
        if f"recall{s}" in sweep.metrics
    }
    if not pairs or sweep.parameter != "threshold":
        return None
    figure = new_figure("recall", "precision")
    rows = []
    for number, (name, (recall, precision)) in enumerate(pairs.items()):
        colour = COLOURS[number % len(COLOURS)]
        figure.add_scatter(
            x=list(recall),
            y=list(precision),
            mode="lines+markers",
            name=name,
            text=[f"{sweep.parameter} {value:.3g}" for value in sweep.values],
            hovertemplate="%{text}<br>recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
            line={"color": colour, "dash": DASHES[number % len(DASHES)]},
            marker={"size": 5},
        )
        at = sweep.values.index(chosen[sweep.parameter]) if chosen.get(sweep.parameter) in sweep.values else None
        if at is not None:
            star = {"symbol": "star", "size": 14, "color": colour}
            figure.add_scatter(x=[recall[at]], y=[precision[at]], mode="markers", name=f"{name}, chosen", marker=star)
        rows += [
            [name, format_number(float(value)), format_score(r), format_score(p)]
            for value, r, p in zip(sweep.values, recall, precision, strict=True)
        ]
    figure.update_xaxes(range=[0, 1.02])
    figure.update_yaxes(range=[0, 1.02])
    caption = (
        f"Precision over recall as the {sweep.parameter} varies; the star is the value that was chosen on validation."
    )
    return Chart(
        "Precision and recall", figure, caption, DataTable(["resolution", sweep.parameter, "recall", "precision"], rows)
    )


def _chart_sweep(sweep: Sweep, chosen: Mapping[str, float], objective: str) -> Chart:
    values = sweep.metrics[objective]
    figure = new_figure(sweep.parameter, objective, _SMALL_HEIGHT)
    figure.add_scatter(
        x=list(sweep.values),
        y=list(values),
        mode="lines+markers",
        name=objective,
        line={"color": COLOURS[0]},
        marker={"size": 5},
    )
    if sweep.parameter in chosen:
        figure.add_vline(chosen[sweep.parameter], line={"color": COLOURS[1], "dash": "dash"}, annotation_text="chosen")
    figure.update_layout(showlegend=False)
    rows = [[format_number(float(x)), format_score(y)] for x, y in zip(sweep.values, values, strict=True)]
    caption = f"{objective} over {sweep.parameter}, the other inference parameters as chosen on validation."
    return Chart(f"{objective} over {sweep.parameter}", figure, caption, DataTable([sweep.parameter, objective], rows))


def _chart_trajectories(example: Example, axes: PositionAxes) -> Chart:
    figure = new_figure(height=480)
    time = example.time_s.tolist()
    for axis, yaxis in ((0, "y"), (1, "y2")):
        common = {"x": time, "yaxis": yaxis, "hoverinfo": "y"}
        for number in range(example.truth.shape[1]):
            figure.add_scatter(
                y=_gaps(example.truth[:, number, axis], is_circular=axes.is_circular and axis == 0),
                mode="lines",
                name="true",
                legendgroup="true",
                showlegend=axis == 0 and number == 0,
                line={"color": QUIET, "width": 7},
                **common,
            )
        for number in range(example.estimates.shape[1]):
            symbol = ("circle", "x", "diamond")[number % 3]
            figure.add_scatter(
                y=_gaps(example.estimates[:, number, axis]),
                mode="markers",
                name=f"output {number}",
                legendgroup=f"output {number}",
                showlegend=axis == 0,
                marker={"color": COLOURS[number % len(COLOURS)], "size": 4, "symbol": symbol},
                **common,
            )
    figure.update_layout(
        xaxis={"title": {"text": "time, s"}, "anchor": "y2"},
        yaxis={"domain": [0.55, 1], "range": list(axes.limits[0]), "title": {"text": axes.names[0]}},
        yaxis2={
            "zeroline": False,
            "domain": [0, 0.45],
            "range": list(axes.limits[1]),
            "title": {"text": axes.names[1]},
        },
    )
    caption = "Wide lines: true sources; points: outputs. A source whose points change their colour was switched."
    return Chart(example.title, figure, caption)


def _gaps(values: NDArray[np.float64], *, is_circular: bool = False) -> list[float | None]:
    """Return values with None where they are undefined, and where an angle passes from one end of its range to the other."""
    listed = [None if math.isnan(value) else value for value in values.tolist()]
    if is_circular:
        for number in np.flatnonzero(np.abs(np.diff(values)) > 180).tolist():
            listed[number] = None
    return listed


def count_simultaneous(analysis: ErrorAnalysis) -> list[list[str]]:
    """Return the number of sources at the same time, and F1 at the smallest and the largest gate, per number."""
    numbers = np.unique(analysis.sources.factors[SIMULTANEOUS]).tolist()
    gates = (0, len(analysis.axes.gates) - 1)
    return [[f"{n:g}", *(_format_f1(analysis, SIMULTANEOUS, (n, n), gate) for gate in gates)] for n in numbers]
