"""Robustness map of a localizer as tables and heat maps: a page of its own, and a section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from datasets.acoustics.conditions import AcousticCondition
from runtime.html_page import (
    DataTable,
    Markup,
    PageExtras,
    Section,
    join_markup,
    make_data_table,
    make_document,
    make_paragraph,
)
from search.reporting.page.chart import (
    SCALE,
    THEME_BUTTON,
    Chart,
    arrange_charts,
    new_figure,
    page_scripts,
    page_style,
    render_charts,
)
from search.reporting.page.content import format_score

_MEAN: Final = "f1_mean"
_MAP_HEIGHT: Final = 260

Rows = Sequence[Mapping[str, Any]]
"""Scores as `search.robustness.evaluation.to_plain` returns them."""


def make_robustness_page(model: str, rows: Rows) -> str:
    """Return the map of a model as a complete HTML document without external resources."""
    maps = arrange_charts(render_charts(list_condition_maps(rows), "map"))
    body = join_markup([*map(make_paragraph, summarise_conditions(rows)), maps])
    sections = [
        Section("maps", f"F1 at {_list_resolutions(rows)[0]} m", body),
        Section("table", "All conditions", make_data_table(tabulate_conditions(rows), "sortable")),
    ]
    extras = PageExtras(style=page_style(), top=THEME_BUTTON, scripts=page_scripts())
    lead = f"Robustness map of {model}: new music in simulated rooms of the model's geometry."
    return make_document("Robustness", lead, (), Markup(""), sections, extras)


def _list_resolutions(rows: Rows) -> list[str]:
    """Return the resolutions of the metrics, in metres and as they are written in names of metrics, the coarsest first."""
    written = {name[3:-1] for row in rows for name in row["metrics"] if name.startswith("f1_") and name != _MEAN}
    return sorted(written, key=float, reverse=True)


def tabulate_conditions(rows: Rows) -> DataTable:
    """Return one row per condition, number of sources and method, with F1 at all resolutions and the coarsest RMSE."""
    resolutions = _list_resolutions(rows)
    metrics = [*(f"f1_{written}m" for written in resolutions), *(f"rmse_{written}m" for written in resolutions[:1])]
    body = [
        [
            AcousticCondition(row["rt60_s"], row["snr_db"], row["gain_db"]).describe(),
            str(row["sources"]),
            row["method"],
            *(format_score(row["metrics"].get(name)) for name in metrics),
        ]
        for row in rows
    ]
    return DataTable(["condition", "sources", "method", *metrics], body)


def summarise_conditions(rows: Rows, metric: str = _MEAN) -> list[str]:
    """Return the mean and the worst condition of each method in sentences."""
    sentences = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        values = [row["metrics"].get(metric, 0.0) for row in own]
        worst = own[values.index(min(values))]
        place = AcousticCondition(worst["rt60_s"], worst["snr_db"], worst["gain_db"]).describe()
        sentences.append(
            f"{method}: {metric} {sum(values) / len(values):.3f} in the mean of {len(own)} combinations, "
            f"{min(values):.3f} in the worst one ({place}, {_count(worst['sources'])})."
        )
    return sentences


def list_condition_maps(rows: Rows) -> list[Chart]:
    """Return a heat map of F1 at the coarsest resolution for each number of sources, deviation of gains and method."""
    groups: dict[tuple[int, float, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["sources"], row["gain_db"], row["method"]), []).append(row)
    metric = f"f1_{_list_resolutions(rows)[0]}m"
    return [_draw_map(own, metric, key) for key, own in groups.items()]


def _draw_map(rows: Sequence[Mapping[str, Any]], metric: str, key: tuple[int, float, str]) -> Chart:
    sources, gain_db, method = key
    times = sorted({row["rt60_s"] for row in rows})
    levels = sorted({row["snr_db"] for row in rows}, key=lambda level: float("inf") if level is None else level)
    by_place = {(row["rt60_s"], row["snr_db"]): row["metrics"].get(metric) for row in rows}
    z = [[by_place.get((time, level)) for time in times] for level in levels]
    figure = new_figure("RT60, s", "SNR, dB", _MAP_HEIGHT)
    figure.add_heatmap(
        x=[f"{time:g}" for time in times],
        y=["none" if level is None else f"{level:g}" for level in levels],
        z=z,
        text=[["" if value is None else f"{value:.2f}" for value in line] for line in z],
        texttemplate="%{text}",
        colorscale=SCALE,
        zmin=0,
        zmax=1,
        colorbar={"thickness": 12},
        hovertemplate="RT60 %{x} s, SNR %{y} dB: %{z:.3f}<extra></extra>",
    )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    gains = f", gains ± {gain_db:g} dB" if gain_db else ""
    title = f"{method}, {_count(sources)}{gains}"
    return Chart(title, figure, f"{metric} of {title} over reverberation (0: free field) and sensor noise.")


def _count(sources: int) -> str:
    return "1 source" if sources == 1 else f"{sources} sources"
