"""Charts of single scenes: a plan of one without motion, coordinates over time of one with motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from runtime.html_page import COLOURS, DataTable
from search.reporting.page.chart import QUIET, Chart, new_figure
from search.reporting.page.content import format_score
from search.reporting.page.maps import new_plan
from trainables.error_analysis import Example, PositionAxes


def chart_example(example: Example, axes: PositionAxes) -> Chart:
    """Return truth and estimates of a scene: a plan without motion, both coordinates over time otherwise."""
    if len(example.time_s) > 1:
        return _chart_trajectories(example, axes)
    figure = new_plan(axes, 340)
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
