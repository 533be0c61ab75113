"""Charts of the errors of a model: what makes sources difficult, and inference parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from runtime.html_page import COLOURS, DataTable
from search.execution.error_files import Sweep
from search.reporting.page.chart import DASHES, Chart, new_figure
from search.reporting.page.content import format_number, format_score
from search.reporting.page.maps import LEAST
from trainables.error_analysis import SIMULTANEOUS, ErrorAnalysis

_BINS: Final = 8
_LONG_NAME: Final = 32
"""Length from which only the unit of a factor is at its axis."""
_Z: Final = 1.645
"""Quantile of a two-sided interval of 90 %."""
_SMALL_HEIGHT: Final = 280


def list_factor_charts(analysis: ErrorAnalysis) -> list[Chart]:
    """Return recall, and F1 where it is defined, over everything that may make a source difficult."""
    factors = analysis.sources.factors.items()
    return [_chart_factor(analysis, name, values) for name, values in factors if np.isfinite(values).sum() >= LEAST]


def list_compared_factors(split: str, analyses: Mapping[str, ErrorAnalysis]) -> list[Chart]:
    """Return recall of several models at the smallest gate, over everything that may make a source difficult.

    Args:
        split: Name of the split, the same data for all models.
        analyses: Errors by the label of the model, with the same axes.
    """
    first = next(iter(analyses.values()))
    names = [n for n, values in first.sources.factors.items() if np.isfinite(values).sum() >= LEAST]
    return [_compare_factor(split, name, analyses) for name in names]


def _compare_factor(split: str, name: str, analyses: Mapping[str, ErrorAnalysis]) -> Chart:
    first = next(iter(analyses.values()))
    figure = new_figure(_title_axis(name), "recall", _SMALL_HEIGHT)
    rows = []
    for number, (label, analysis) in enumerate(analyses.items()):
        bins = [one for one in summarise_factor(analysis, analysis.sources.factors[name], 0) if one[2] >= LEAST]
        shares = [found / count for _, _, count, found in bins]
        style = {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number % len(DASHES)]}
        middles = [(low + high) / 2 for low, high, _, _ in bins]
        figure.add_scatter(x=middles, y=shares, mode="lines+markers", name=label, line=style)
        rows += [[_format_bin(b[0], b[1]), label, str(b[2]), f"{s:.3f}"] for b, s in zip(bins, shares, strict=True)]
    figure.update_yaxes(range=[0, 1.02])
    _set_ticks(figure, first.sources.factors[name])
    axes = first.axes
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


def _chart_factor(analysis: ErrorAnalysis, name: str, values: NDArray[np.float64]) -> Chart:
    axes = analysis.axes
    figure = new_figure(_title_axis(name), "share", _SMALL_HEIGHT)
    rows: list[list[str]] = []
    for gate, limit in enumerate(axes.gates):
        bins = [one for one in summarise_factor(analysis, values, gate) if one[2] >= LEAST]
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
    _set_ticks(figure, values)
    caption = f"Share of the sources that are found, over {name.partition(',')[0]}; lines: intervals of 90 %."
    return Chart(
        name[:1].upper() + name[1:], figure, caption, DataTable([name, "within", "sources", "recall", "F1"], rows)
    )


def _set_ticks(figure: go.Figure, values: NDArray[np.float64]) -> None:
    """Label an axis of few different integers, such as numbers of sources, at these only."""
    different = np.unique(values[np.isfinite(values)])
    if 0 < len(different) <= _BINS and np.all(different == np.round(different)):
        figure.update_xaxes(tickvals=different.tolist())


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


def count_simultaneous(analysis: ErrorAnalysis) -> list[list[str]]:
    """Return the number of sources at the same time, and F1 at the smallest and the largest gate, per number."""
    numbers = np.unique(analysis.sources.factors[SIMULTANEOUS]).tolist()
    gates = (0, len(analysis.axes.gates) - 1)
    return [[f"{n:g}", *(_format_f1(analysis, SIMULTANEOUS, (n, n), gate) for gate in gates)] for n in numbers]
