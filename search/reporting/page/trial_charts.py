"""Charts of the trials of a search: progress, epochs, learning curves, importances, dimensions and Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from runtime.html_page import COLOURS, DataTable
from search.reporting.page.chart import DASHES, INK, QUIET, SCALE, SYMBOLS, Chart, new_figure
from search.reporting.page.content import PageContent, format_number, format_score
from search.study.trials import Trial
from spaces.schema import Dimension, Value

_SLICES: Final = 9
"""Number of dimensions, the most important ones, that have a chart of their own."""
_SMALL_HEIGHT: Final = 260
_ABSENT: Final = "not used"


def list_progress_charts(content: PageContent) -> list[Chart]:
    """Return the progress of the search, the epochs of its trials and their learning curves."""
    return [_chart_history(content), _chart_epochs(content), _chart_curves(content)]


def list_dimension_charts(content: PageContent) -> list[Chart]:
    """Return importances and parallel coordinates."""
    charts = [] if not content.importances else [_chart_importances(content)]
    return [*charts, _chart_parallel(content)] if len(content.ranked) > 1 and content.search else charts


def list_slices(content: PageContent) -> list[Chart]:
    """Return the first objective over each dimension, the most important ones first."""
    return [_chart_slice(content, dimension) for dimension in content.ordered_dimensions[:_SLICES]]


def chart_front(content: PageContent) -> Chart:
    """Return the first two objectives of all trials with the Pareto front."""
    (first, _), (second, _) = content.objectives[:2]
    figure = new_figure(first, second)
    front = sorted(content.front, key=content.objective)
    others = [trial for trial in content.ranked if trial not in front]
    for name, trials, mode, colour in (
        ("dominated", others, "markers", QUIET),
        ("Pareto front", front, "lines+markers", COLOURS[0]),
    ):
        figure.add_scatter(
            x=[content.objective(trial) for trial in trials],
            y=[content.objective(trial, 1) for trial in trials],
            mode=mode,
            name=name,
            text=[_describe(content, trial) for trial in trials],
            hoverinfo="text",
            marker={"color": colour, "size": 9, "symbol": "circle" if trials is front else "circle-open"},
            line={"color": colour, "shape": "hv"},
        )
    rows = [
        [content.label(t), *(format_score(content.objective(t, n)) for n in range(len(content.objectives)))]
        for t in front
    ]
    names = [name for name, _ in content.objectives]
    caption = "Trials on the front are better than every other one in at least one objective."
    return Chart("Objectives against each other", figure, caption, DataTable(["trial", *names], rows))


def chart_confirmed(content: PageContent) -> Chart | None:
    """Return the objective of the confirmed configurations on fresh seeds; None without confirmations."""
    verdict = None if content.result is None else content.result.get("verdict")
    if not verdict:
        return None
    figure = new_figure(verdict["objective"], "")
    names = {trial.number: content.label(trial) for trial in content.trials}
    splits = list(dict.fromkeys(split for one in verdict["configurations"] for split in one["splits"]))
    rows = []
    for number, split in enumerate(splits):
        means, seeds = ([], []), ([], [])  # type: tuple[list[Any], list[Any]], tuple[list[Any], list[Any]]
        for one in reversed(verdict["configurations"]):
            value, name = one["splits"][split], names.get(one["trial"], f"trial {one['trial']}")
            means[0].append(value["mean"])
            means[1].append(name)
            seeds[0].extend(value["values"])
            seeds[1].extend([name] * len(value["values"]))
            rows.append(
                [split, name, format_score(value["mean"]), " ".join(map(format_score, value["values"])),
                 _format_difference(value["difference"])]
            )  # fmt: skip
        colour = COLOURS[number % len(COLOURS)]
        common = {"legendgroup": split, "mode": "markers"}
        figure.add_scatter(
            x=means[0], y=means[1], name=split, marker={"color": colour, "size": 14, "symbol": "line-ns-open"}, **common
        )
        figure.add_scatter(
            x=seeds[0],
            y=seeds[1],
            name=f"{split}, one seed",
            showlegend=False,
            marker={"color": colour, "size": 8},
            **common,
        )
    figure.update_layout(height=max(220, 130 + 45 * len(verdict["configurations"])))
    header = ["split", "configuration", f"mean {verdict['objective']}", "per seed", "difference from the reference"]
    caption = "Points are single trainings on fresh seeds, bars their means. All were scored on the same scenes."
    return Chart("Confirmed on fresh seeds", figure, caption, DataTable(header, rows))


def _format_difference(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return "reference"
    if difference["low"] is None or difference["high"] is None:
        return f"{difference['estimate']:+.3f} (interval unknown)"
    return f"{difference['estimate']:+.3f} ({difference['low']:+.3f} … {difference['high']:+.3f})"


def _describe(content: PageContent, trial: Trial) -> str:
    """Return a trial in words, for a tooltip."""
    parts = [content.label(trial), *(f"{name} {format_number(value)}" for name, value in trial.parameters.items())]
    values = [f"{name} {format_score(content.objective(trial, n))}" for n, (name, _) in enumerate(content.objectives)]
    plural = "s" * (len(trial.epochs) != 1)
    return "<br>".join([*parts, *values, f"{len(trial.epochs)} epoch{plural}, {trial.outcome}"])


def _chart_history(content: PageContent) -> Chart:
    metric = content.objectives[0][0]
    figure = new_figure("trial", metric)
    usable = [trial for trial in content.trials if math.isfinite(content.objective(trial))]
    for outcome, symbol in SYMBOLS.items():
        chosen = [trial for trial in usable if trial.outcome == outcome]
        if chosen:
            figure.add_scatter(
                x=[trial.number for trial in chosen],
                y=[content.objective(trial) for trial in chosen],
                mode="markers",
                name=outcome,
                text=[_describe(content, trial) for trial in chosen],
                hoverinfo="text",
                marker={"symbol": symbol, "size": 8, "color": COLOURS[0]},
            )
    better = max if content.objectives[0][1] == "maximize" else min
    best = list(accumulate((content.objective(trial) for trial in usable), better))
    numbers = [trial.number for trial in usable]
    figure.add_scatter(
        x=numbers, y=best, mode="lines", name="best so far", line={"shape": "hv", "color": COLOURS[1], "width": 2}
    )
    _mark_references(figure, content)
    rows = [
        [content.label(trial), format_score(content.objective(trial)), format_score(top), trial.outcome]
        for trial, top in zip(usable, best, strict=True)
    ]
    caption = f"{metric} on validation at the best epoch of each trial. Dashed lines: baseline and starting points."
    return Chart(
        "Progress of the search", figure, caption, DataTable(["trial", metric, "best so far", "outcome"], rows)
    )


def _mark_references(figure: go.Figure, content: PageContent) -> None:
    for number, trial in enumerate(content.references):
        figure.add_hline(
            content.objective(trial),
            line={"color": QUIET, "dash": DASHES[1 + number % 4], "width": 1},
            annotation={"text": trial.role, "font": {"size": 11}},
            annotation_position="bottom right",
        )


def _chart_epochs(content: PageContent) -> Chart:
    figure = new_figure("trial", "epochs")
    patterns = {"finished": "", "paused": "/", "stopped": "\\", "failed": "x", "running": "."}
    for number, (outcome, pattern) in enumerate(patterns.items()):
        chosen = [trial for trial in content.trials if trial.outcome == outcome]
        if chosen:
            figure.add_bar(
                x=[trial.number for trial in chosen],
                y=[len(trial.epochs) for trial in chosen],
                name=outcome,
                text=[trial.reason for trial in chosen],
                hovertemplate="trial %{x}: %{y} epochs<br>%{text}<extra></extra>",
                textposition="none",
                marker={"color": COLOURS[number], "pattern": {"shape": pattern}},
            )
    for rung in content.rungs:
        if len(content.rungs) < content.epochs - content.stopping.first_rung:  # not the median rule
            figure.add_hline(rung, line={"color": INK, "dash": "dot", "width": 1})
    figure.update_layout(bargap=0.15, height=300)
    rungs = ", ".join(map(str, content.rungs))
    compared = f" Dotted lines: the epochs at which trials are compared ({rungs})." if rungs else ""
    caption = f"Epochs of each trial, of {content.epochs}.{compared} Paused trials keep their checkpoint."
    rows = [[content.label(t), str(len(t.epochs)), t.outcome, t.reason] for t in content.trials]
    return Chart("Epochs of the trials", figure, caption, DataTable(["trial", "epochs", "outcome", "reason"], rows))


def _chart_curves(content: PageContent) -> Chart:
    metric = content.objectives[0][0]
    figure = new_figure("epoch", metric)
    finalists = content.finalists
    quiet = [trial for trial in content.trials if trial not in finalists and trial.epochs]
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial in quiet:
        x += [*(epoch.epoch for epoch in trial.epochs), None]
        y += [*(epoch.metrics.get(metric) for epoch in trial.epochs), None]
        text += [f"trial {trial.number}"] * (len(trial.epochs) + 1)
    figure.add_scatter(
        x=x, y=y, mode="lines", name="other trials", text=text, hovertemplate="%{text}, epoch %{x}: %{y}<extra></extra>",
        line={"color": QUIET, "width": 1}, opacity=0.5,
    )  # fmt: skip
    for number, trial in enumerate(finalists):
        figure.add_scatter(
            x=[epoch.epoch for epoch in trial.epochs],
            y=[epoch.metrics.get(metric) for epoch in trial.epochs],
            mode="lines+markers",
            name=content.label(trial),
            line={"color": COLOURS[number % len(COLOURS)], "width": 2.5, "dash": DASHES[number % len(DASHES)]},
            marker={"size": 5},
        )
    rows = [[content.label(t), str(e.epoch), format_score(e.metrics.get(metric))] for t in finalists for e in t.epochs]
    caption = f"{metric} on validation after each epoch, with the inference parameters that are best at that epoch."
    return Chart("Learning curves", figure, caption, DataTable(["trial", "epoch", metric], rows))


def _chart_importances(content: PageContent) -> Chart:
    figure = new_figure("share of the importance, %", "")
    items = list(content.importances.items())[::-1]
    share = [100 * one.share for _, one in items]
    figure.add_bar(
        x=share,
        y=[name for name, _ in items],
        orientation="h",
        marker={"color": COLOURS[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [100 * one.high - value for (_, one), value in zip(items, share, strict=True)],
            "arrayminus": [value - 100 * one.low for (_, one), value in zip(items, share, strict=True)],
            "color": QUIET,
        },
        hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
    )
    figure.update_layout(height=max(180, 90 + 30 * len(items)))
    rows = [[name, f"{one.share:.0%}", f"{one.low:.0%} – {one.high:.0%}"] for name, one in content.importances.items()]
    caption = (
        "PED-ANOVA: how much each dimension decides whether a trial is among the better quarter. "
        "Lines: 90 % of bootstrap resamples. Trials that were stopped early count with the best value that they had."
    )
    return Chart(
        "Importance of the dimensions", figure, caption, DataTable(["dimension", "share", "90 % interval"], rows)
    )


def _chart_parallel(content: PageContent) -> Chart:
    metric, direction = content.objectives[0]
    trials = sorted(content.ranked, key=content.objective, reverse=direction == "minimize")  # the best ones on top
    values = [content.objective(trial) for trial in trials]
    axes = [_parallel_axis(d, [trial.parameters.get(d.name) for trial in trials]) for d in content.ordered_dimensions]
    ranked = np.argsort(np.argsort(values)) / max(1, len(values) - 1)
    colours = ranked if direction == "maximize" else 1 - ranked
    figure = new_figure()
    figure.add_parcoords(
        dimensions=[*axes, {"label": metric, "values": values}],
        line={"color": colours.tolist(), "colorscale": SCALE, "showscale": False},
        labelangle=-20,
    )
    figure.update_layout(height=460, margin={"l": 80, "r": 60, "t": 120, "b": 30})
    ordered = "the most important on the left" if content.importances else "in the order of the space"
    caption = (
        f"One line per trial; the better, the lighter. Dimensions: {ordered}. Drag along an axis to select trials; "
        "the table of all trials has the same values."
    )
    return Chart("All dimensions", figure, caption, is_wide=True)


def _parallel_axis(dimension: Dimension, values: Sequence[Value | None]) -> dict[str, Any]:
    """Return an axis of parallel coordinates; trials without the dimension are at a place of their own below."""
    if dimension.kind == "choice":
        named = [None if value is None else format_number(value) for value in values]
        names = list(
            dict.fromkeys([*map(format_number, dimension.choices), *(name for name in named if name is not None)])
        )
        numbers = [None if name is None else float(names.index(name)) for name in named]
        ticks = {float(n): name for n, name in enumerate(names)}
    else:
        is_log = dimension.kind.startswith("log")
        plain = [float(value) if isinstance(value, int | float) else None for value in values]
        numbers = [math.log10(value) if is_log and value is not None else value for value in plain]
        low, high = (math.log10(end) if is_log else float(end) for end in (dimension.low, dimension.high))
        ticks = {place: format_number(10**place if is_log else place) for place in np.linspace(low, high, 5).tolist()}
    ends = [number for number in [*numbers, *ticks] if number is not None]
    low, high = min(ends), max(ends)
    if None in numbers:
        below = low - 0.15 * (high - low or 1)
        ticks = {below: _ABSENT, **ticks}
        numbers = [below if number is None else number for number in numbers]
        low = below
    return {
        "label": dimension.name,
        "values": numbers,
        "range": [low, high if high > low else low + 1],
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
    }


def _chart_slice(content: PageContent, dimension: Dimension) -> Chart:
    metric = content.objectives[0][0]
    figure = new_figure(dimension.name, metric, _SMALL_HEIGHT)
    used = [trial for trial in content.ranked if dimension.name in trial.parameters]
    is_choice = dimension.kind == "choice"
    winner = content.winner
    for name, trials, marker in (
        ("trials", [t for t in used if t is not winner], {"color": COLOURS[0], "size": 7, "opacity": 0.7}),
        ("winner", [t for t in used if t is winner], {"color": COLOURS[1], "size": 13, "symbol": "star"}),
    ):
        figure.add_scatter(
            x=[
                format_number(t.parameters[dimension.name]) if is_choice else t.parameters[dimension.name]
                for t in trials
            ],
            y=[content.objective(trial) for trial in trials],
            mode="markers",
            name=name,
            text=[_describe(content, trial) for trial in trials],
            hoverinfo="text",
            marker=marker,
        )
    if is_choice:
        order = [format_number(choice) for choice in dimension.choices]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    else:
        _set_range(figure, dimension)
    figure.update_layout(showlegend=False, margin={"l": 50, "r": 15, "t": 10, "b": 45})
    unused = len(content.ranked) - len(used)
    rest = f" {unused} trials do not use it." if unused else ""
    return Chart(dimension.name, figure, f"{metric} on validation over {dimension.name}; the star is the winner.{rest}")


def _set_range(figure: go.Figure, dimension: Dimension) -> None:
    """Set the first axis to the range of a dimension, with a margin; values outside of an edited space are beyond it."""
    is_log = dimension.kind.startswith("log")
    low, high = (math.log10(end) if is_log else float(end) for end in (dimension.low, dimension.high))
    margin = 0.04 * (high - low)
    axis_type = "log" if is_log else "linear"
    figure.update_xaxes(
        type=axis_type, range=[low - margin, high + margin], exponentformat="none", dtick=1 if is_log else None
    )
