"""Interactive charts of a page: Plotly figures that take the colours of the page, with the same values as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any, Final

import plotly
import plotly.graph_objects as go

from runtime.html_page import DataTable, Markup, make_data_table, make_grid

HEIGHT: Final = 380
"""Height of a chart, in pixels."""
SCALE: Final = "Cividis"
"""Colour scale whose lightness increases throughout, so that it can be read in grey."""
QUIET: Final = "#8c939c"
"""Colour of what is not highlighted."""
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")
"""Dashes of lines that also differ in colour."""
THEME_BUTTON: Final = Markup('<button type="button" id="theme" aria-pressed="false">Dark or light</button>\n')
INK: Final = "#010203"
"""Placeholder of the text colour, which `charts.js` replaces."""
SYMBOLS: Final = {
    "finished": "circle",
    "paused": "circle-open",
    "stopped": "line-ew-open",
    "failed": "x",
    "running": "triangle-right-open",
}
"""Symbols of the outcomes of trials."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Figure with its description.

    Attributes:
        title: Title.
        figure: Plotly figure.
        caption: What it shows, and how to read it.
        table: The same values as a table; None where another table of the page has them.
        is_wide: Whether it scrolls in a narrow window instead of shrinking.
    """

    title: str
    figure: go.Figure
    caption: str
    table: DataTable | None = None
    is_wide: bool = False


def new_figure(x: str = "", y: str = "", height: int = HEIGHT) -> go.Figure:
    """Return an empty figure with titles of the axes; colours and fonts are set by the page."""
    figure = go.Figure()
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(title_text=x, automargin=True, zeroline=False)
    figure.update_yaxes(title_text=y, automargin=True, zeroline=False)
    return figure


def render_chart(chart: Chart, name: str) -> Markup:
    """Return a chart with its caption and table.

    Args:
        chart: The chart.
        name: HTML id, unique within the page.
    """
    wide = " wide" if chart.is_wide else ""
    height = chart.figure.layout.height or HEIGHT
    table = ""
    if chart.table is not None and chart.table.rows:
        table = f"<details><summary>Values</summary>{make_data_table(chart.table)}</details>"
    return Markup(
        f'<figure class="chart-card{wide}"><h4>{escape(chart.title)}</h4>'
        f'<div class="chart" id="{escape(name)}" role="img" aria-label="{escape(chart.title)}: {escape(chart.caption)}" '
        f'style="height:{height}px"></div>'
        f'<script type="application/json" id="{escape(name)}-data">{_encode_figure(chart.figure)}</script>'
        f"<figcaption>{escape(chart.caption)}</figcaption>{table}</figure>"
    )


def render_charts(charts: Iterable[Chart], name: str) -> list[Markup]:
    """Return charts with ids that begin with a name."""
    return [render_chart(chart, f"{name}-{number}") for number, chart in enumerate(charts)]


def arrange_charts(parts: Sequence[Markup]) -> Markup:
    """Return charts side by side where the window is wide enough; nothing without any."""
    return make_grid(parts, "charts") if parts else Markup("")


def page_scripts() -> Markup:
    """Return Plotly and the script that draws the charts once they come into view."""
    own = resources.files(__package__).joinpath("charts.js").read_text(encoding="utf-8")
    return Markup(f"<script>{plotly.offline.get_plotlyjs()}</script>\n<script>{own}</script>")


def page_style() -> str:
    """Return the style of charts and of what surrounds them."""
    return resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def _encode_figure(figure: go.Figure) -> str:
    """Return a figure as JSON that cannot end its script element; without the template, which the page sets."""
    content: Any = json.loads(figure.to_json())
    content.get("layout", {}).pop("template", None)
    return json.dumps(_round(content), separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _round(value: Any) -> Any:
    """Return plain values with six significant digits, which a chart cannot show more of."""
    if isinstance(value, dict):
        return {key: _round(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_round(inside) for inside in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
