"""Charts of errors show what the errors are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from search.reporting.page import error_charts, examples, maps
from tests.search.reporting.page.contents import make_analysis, make_errors, make_trajectories
from trainables.error_analysis import SIMULTANEOUS


def test_the_map_of_f1_is_high_where_sources_are_found() -> None:
    chart = maps.list_maps(make_analysis(sources=4000))[0]
    heat = next(trace for trace in chart.figure.data if trace.type == "heatmap")
    f1 = np.array(heat.z, float)
    left, right = f1[:, :6], f1[:, 6:]
    assert np.nanmin(left) > 0.8
    assert np.nanmax(right) == 0
    assert chart.table is not None
    assert float(chart.table.rows[0][1]) == 0


def test_cells_with_few_sources_are_empty() -> None:
    chart = maps.list_maps(make_analysis(sources=30))[0]
    heat = next(trace for trace in chart.figure.data if trace.type == "heatmap")
    assert all(value is None for row in heat.z for value in row)


def test_the_map_of_the_bias_points_where_estimates_are() -> None:
    chart = maps.list_maps(make_analysis(sources=4000))[1]
    assert chart.table is not None
    assert {tuple(row[1:3]) for row in chart.table.rows} == {("+0.1", "+0")}


def test_recall_over_a_factor_counts_every_source_once() -> None:
    analysis = make_analysis()
    bins = error_charts.summarise_factor(analysis, analysis.sources.factors["distance, m"], 0)
    assert sum(count for _, _, count, _ in bins) == len(analysis.sources.positions)
    assert [found == count for low, high, count, found in bins if high < 3] == [True] * sum(b[1] < 3 for b in bins)
    assert all(found == 0 for low, _, _, found in bins if low > 3)


def test_few_different_values_have_a_bin_each() -> None:
    analysis = make_analysis()
    values = np.tile([1.0, 2.0, np.nan, 5.0], 100)
    bins = error_charts.summarise_factor(analysis, values, 0)
    assert [(low, high, count) for low, high, count, _ in bins] == [(1, 1, 100), (2, 2, 100), (5, 5, 100)]


def test_whole_numbers_have_no_ticks_between_them() -> None:
    analysis = make_errors().analyses["S0"]
    charts = {chart.title: chart for chart in error_charts.list_factor_charts(analysis)}
    name = SIMULTANEOUS[:1].upper() + SIMULTANEOUS[1:]
    expected = np.unique(analysis.sources.factors[SIMULTANEOUS]).tolist()
    assert list(charts[name].figure.layout.xaxis.tickvals) == expected


def test_a_microphone_at_the_border_is_within_the_map() -> None:
    analysis = make_errors().analyses["S0"]
    axes = replace(analysis.axes, landmarks=np.array([[analysis.axes.limits[0][0], analysis.axes.limits[1][1]]]))
    figure = maps.new_plan(axes)
    assert figure.layout.xaxis.range[0] < axes.limits[0][0]
    assert figure.layout.yaxis.range[1] > axes.limits[1][1]


def test_f1_by_the_number_of_sources_agrees_with_its_definition() -> None:
    analysis = make_analysis()
    rows = {row[0]: row[1:] for row in error_charts.count_simultaneous(analysis)}
    number = analysis.sources.factors["sources at the same time"]
    found = np.isfinite(analysis.sources.errors[0]) & (number == 1)
    estimated = analysis.estimates.factors["sources at the same time"] == 1
    expected = 2 * found.sum() / ((number == 1).sum() + estimated.sum())
    assert float(rows["1"][0]) == pytest.approx(expected, abs=6e-4)
    assert set(rows) == {"1", "2"}


def test_precision_and_recall_have_the_chosen_value_marked() -> None:
    charts = error_charts.list_sweep_charts(make_errors().sweeps["S0"], {"threshold": 0.4}, "f1")
    assert [chart.title for chart in charts] == ["Precision and recall", "f1 over threshold"]
    star = next(trace for trace in charts[0].figure.data if trace.name == "1m, chosen")
    assert star.x[0] == pytest.approx(0.6)
    assert star.y[0] == pytest.approx(0.4)


def test_a_line_does_not_cross_the_whole_plot_where_an_angle_passes_180_degrees() -> None:
    analysis = make_trajectories()
    chart = examples.chart_example(analysis.examples[0], analysis.axes)
    azimuth = list(chart.figure.data[0].y)
    pairs = [(a, b) for a, b in pairwise(azimuth) if a is not None and b is not None]
    assert max(abs(a - b) for a, b in pairs) < 10
    assert None in azimuth


def test_a_split_without_any_source_or_estimate_has_charts() -> None:
    analysis = make_analysis()
    nothing = np.zeros((0, 2))
    empty = replace(
        analysis,
        sources=replace(
            analysis.sources,
            positions=nothing,
            errors=np.zeros((2, 0)),
            biases=nothing,
            factors={name: np.zeros(0) for name in analysis.sources.factors},
        ),
        estimates=replace(
            analysis.estimates,
            positions=nothing,
            is_false=np.zeros((2, 0), bool),
            factors={name: np.zeros(0) for name in analysis.estimates.factors},
        ),
        scene_scores=np.zeros(0),
    )
    assert len(maps.list_maps(empty)) == 2
    assert error_charts.list_factor_charts(empty) == []
    assert error_charts.chart_scores(empty).table is not None
