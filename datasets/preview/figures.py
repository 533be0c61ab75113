"""Matplotlib figures as inline SVG; axes and labels take the text colour of the page."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from datasets.acoustics.measures import EnergyDecay
from runtime.html_page import COLOURS, Markup

_INK: Final = "#010203"
"""Placeholder that is replaced by CSS `currentColor` in the SVG."""
_DENSITY: Final = LinearSegmentedColormap.from_list("density", [(0.24, 0.52, 0.78, 0.0), (0.24, 0.52, 0.78, 1.0)])
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "preview",
    "text.parse_math": False,  # names of folders may contain dollar signs
    "font.size": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.6,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_WAVEFORM_COLUMNS: Final = 500
"""Maximum number of columns of a plotted waveform, each a line from its minimum to its maximum."""
_SMALL_INCHES: Final = (3.6, 2.5)


@dataclass(frozen=True, eq=False)
class FloorPlan:
    """Floor plan of the area and its rooms.

    Attributes:
        size_m: Size of the area, x by y.
        microphones_m: Microphone positions, shape (arrays, microphones, 2 or more); heights are ignored.
        walls_m: Left, front, width and depth of each reverberant room, in area coordinates.
    """

    size_m: tuple[float, float]
    microphones_m: NDArray[np.float64]
    walls_m: tuple[tuple[float, float, float, float], ...] = ()


def _new_figure(
    size: tuple[float, float] = _SMALL_INCHES,
    heights: Sequence[float] = (1,),
    edges: tuple[float, float, float, float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Create a figure with axes stacked vertically.

    Args:
        size: Width and height, in inches.
        heights: Relative heights of the axes.
        edges: Left, right, bottom and top of the axes, as fractions of the figure. Constrained layout, the default, takes
            as long as drawing; frequently drawn figures therefore set the edges explicitly.
    """
    figure = Figure(figsize=size, layout="constrained" if edges is None else None)
    axes = figure.subplots(len(heights), 1, squeeze=False, sharex=len(heights) > 1, height_ratios=heights)
    if edges is not None:
        left, right, bottom, top = edges
        figure.subplots_adjust(left, bottom, right, top, hspace=0.12)
    return figure, [axis for row in axes for axis in row]


def _to_svg(figure: Figure, alt: str) -> Markup:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Matplotlib only measures the text; the browser has fonts for glyphs that matplotlib lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Ids must be unique within a page that contains several figures.
    prefix = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:10]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'( id="|url\(#|xlink:href="#)', rf"\1{prefix}-", svg)
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = svg.replace(_INK, "currentColor")
    opening = svg[: svg.index(">") + 1]
    box = re.search(r'viewBox="[^"]*"', opening)
    accessible = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(alt)}"><title>{escape(alt)}</title>'
    return Markup(accessible + svg[len(opening) :].strip())


def _draw_room(axis: Axes, plan: FloorPlan) -> None:
    for left, front, width, depth in plan.walls_m:
        axis.add_patch(Rectangle((left, front), width, depth, fill=False, edgecolor=COLOURS[4], linewidth=1.2))
    axis.add_patch(Rectangle((0, 0), *plan.size_m, fill=False, edgecolor=_INK, linewidth=0.6, linestyle="--"))
    for number, array in enumerate(plan.microphones_m, 1):
        axis.plot(*array[:, :2].T, "s", color=COLOURS[1], markersize=3)
        axis.annotate(
            f"array {number}", array[:, :2].mean(axis=0), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    corners = [(0.0, 0.0), plan.size_m, *plan.microphones_m[..., :2].reshape(-1, 2).tolist()]
    corners += [corner for x, y, w, d in plan.walls_m for corner in ((x, y), (x + w, y + d))]
    low, high = np.min(corners, axis=0) - 0.5, np.max(corners, axis=0) + 0.5
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel="x, m", ylabel="y, m")


@mpl.rc_context(_STYLE)
def plot_density(plan: FloorPlan, positions_m: NDArray[np.float64], unit: str, alt: str) -> Markup:
    """Plot the density of positions on the floor plan.

    Args:
        plan: Floor plan.
        positions_m: Positions, shape (positions, 2).
        unit: Plural noun of the counted items.
        alt: Alternative text of the figure.
    """
    figure, (axis,) = _new_figure((3.9, 3.5))
    cells = [max(4, min(60, round(side / 0.25))) for side in plan.size_m]
    cell = [100 * side / number for side, number in zip(plan.size_m, cells, strict=True)]
    counts, across, along = np.histogram2d(
        positions_m[:, 0], positions_m[:, 1], bins=cells, range=[(0, side) for side in plan.size_m]
    )
    image = axis.imshow(
        counts.T,
        cmap=_DENSITY,
        vmin=0,
        extent=(across[0], across[-1], along[0], along[-1]),
        origin="lower",
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=axis, shrink=0.75, label=f"{unit} in {cell[0]:.0f} × {cell[1]:.0f} cm")
    bar.outline.set_linewidth(0)
    _draw_room(axis, plan)
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_sources(plan: FloorPlan, positions_m: NDArray[np.float64], alt: str) -> Markup:
    """Plot the source positions of one sample, shape (sources, 2), on the floor plan."""
    figure, (axis,) = _new_figure((3.2, 2.7), edges=(0.14, 0.98, 0.17, 0.97))
    _draw_room(axis, plan)
    axis.plot(*positions_m.T, "o", color=COLOURS[2], markersize=9, markeredgewidth=2, fillstyle="none")
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_waveforms(waves: Mapping[str, NDArray[np.float32]], rate_hz: int, alt: str) -> Markup:
    """Plot waveforms, each of shape (samples,), below each other on a common scale."""
    figure, axes = _new_figure((3.6, 2.7), (1,) * len(waves), (0.21, 0.97, 0.17, 0.97))
    peak = max(float(np.abs(wave).max()) for wave in waves.values()) or 1.0
    for number, (axis, (name, wave)) in enumerate(zip(axes, waves.items(), strict=True)):
        _plot_envelope(axis, wave, rate_hz, COLOURS[number % len(COLOURS)])
        axis.set(ylabel=name, ylim=(-1.05 * peak, 1.05 * peak), xlim=(0, 1000 * len(wave) / rate_hz))
    axes[-1].set_xlabel("time, ms")
    return _to_svg(figure, alt)


def _plot_envelope(axis: Axes, wave: NDArray[np.float32], rate_hz: int, colour: str) -> None:
    step = max(1, -(-len(wave) // _WAVEFORM_COLUMNS))
    cut = np.pad(wave, (0, -len(wave) % step), mode="edge").reshape(-1, step)
    ends = np.stack([cut.min(axis=1), cut.max(axis=1)], axis=1).ravel() if step > 1 else wave
    times = np.linspace(0, 1000 * len(wave) / rate_hz, len(ends))
    axis.plot(times, ends, color=colour, linewidth=0.7)


@mpl.rc_context(_STYLE)
def plot_spectrogram(
    decibels: NDArray[np.float64], seconds: float, top_hz: float, alt: str, *, wide: bool = False
) -> Markup:
    """Plot a spectrogram.

    Args:
        decibels: Levels, shape (frequencies, frames).
        seconds: Duration of all frames.
        top_hz: Highest frequency.
        alt: Alternative text of the figure.
        wide: Use the full width of the page, with a time axis in seconds instead of milliseconds.
    """
    right = 0.91 if wide else 0.76
    figure, (axis,) = _new_figure(
        (11, 2.4) if wide else (3.8, 2.7), edges=(0.05 if wide else 0.13, right, 0.19 if wide else 0.17, 0.97)
    )
    image = axis.imshow(
        decibels,
        cmap="magma",
        extent=(0, seconds if wide else 1000 * seconds, 0, top_hz / 1000),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    bar = figure.colorbar(
        image, figure.add_axes((right + 0.02, 0.19, 0.012 if wide else 0.035, 0.78)), label="dB re maximum"
    )
    bar.outline.set_linewidth(0)
    axis.set(xlabel="time, s" if wide else "time, ms", ylabel="frequency, kHz")
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_histogram(values: NDArray[np.float64], label: str, unit_of_count: str, alt: str) -> Markup:
    """Plot the histogram of values, shape (values,)."""
    figure, (axis,) = _new_figure()
    axis.hist(values, bins=min(40, max(8, len(values) // 8)), color=COLOURS[0], rwidth=0.92)
    axis.set(xlabel=label, ylabel=unit_of_count)
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_bars(values: Mapping[str, float], label: str, unit: str, alt: str) -> Markup:
    """Plot one horizontal bar per name."""
    figure, (axis,) = _new_figure()
    axis.barh(list(values), list(values.values()), color=COLOURS[0])
    axis.invert_yaxis()
    axis.set(xlabel=unit, ylabel=label)
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_impulse_response(response: NDArray[np.float32], decay: EnergyDecay, rate_hz: int, alt: str) -> Markup:
    """Plot an impulse response, shape (taps,), above its energy decay curve."""
    figure, (above, below) = _new_figure((4.4, 3.4), (1, 1))
    _plot_envelope(above, response, rate_hz, COLOURS[0])
    above.set_ylabel("response")
    step = max(1, len(decay.curve_db) // _WAVEFORM_COLUMNS)
    times = 1000 * np.arange(len(decay.curve_db)) / rate_hz
    below.plot(times[::step], decay.curve_db[::step], color=COLOURS[1], label="remaining energy")
    if decay.rt60_s is not None:
        first = int(np.flatnonzero(decay.curve_db <= -5)[0])
        ends = times[first] + np.array([0, 1000 * decay.rt60_s * 55 / 60])
        below.plot(ends, [-5, -60], "--", color=COLOURS[2], linewidth=1, label=f"−60 dB in {decay.rt60_s:.2f} s")
    below.set(xlabel="time, ms", ylabel="dB", ylim=(-65, 3), xlim=(0, times[-1]))
    below.legend(loc="upper right")
    return _to_svg(figure, alt)


@mpl.rc_context(_STYLE)
def plot_timeline(
    rows: NDArray[np.int64], runs: Sequence[NDArray[np.int64]], classes: Sequence[str], frames: int, alt: str
) -> Markup:
    """Plot the directions of sound events over time.

    Args:
        rows: Labels of the recording, shape (rows, 5).
        runs: Rows of each event.
        classes: Names of the event classes.
        frames: Number of 100 ms frames in the recording.
        alt: Alternative text of the figure.
    """
    figure, (azimuth, elevation, overlap) = _new_figure((11, 4.2), (2.4, 2, 1))
    for run in runs:
        kind = int(run[0, 1])
        named = classes[kind] if kind < len(classes) else f"class {kind}"
        times = (run[:, 0] + 0.5) / 10
        for axis, column in ((azimuth, 3), (elevation, 4)):
            style = {"color": COLOURS[kind % len(COLOURS)], "linewidth": 3.5, "solid_capstyle": "round", "alpha": 0.85}
            for part in split_at_jumps(run[:, column]):
                axis.plot(times[part], run[part, column], **style, label=named)  # type: ignore[arg-type]
    active = np.bincount(rows[:, 0], minlength=frames)[:frames]
    overlap.fill_between(np.arange(frames + 1) / 10, np.append(active, 0), step="post", color=COLOURS[0], alpha=0.6)
    azimuth.set(ylabel="azimuth, °", ylim=(-185, 185), yticks=(-180, -90, 0, 90, 180))
    elevation.set(ylabel="elevation, °", ylim=(-95, 95), yticks=(-90, 0, 90))
    overlap.set(ylabel="events", xlabel="time, s", xlim=(0, frames / 10), ylim=(0, None))
    overlap.set_yticks(range(int(active.max(initial=1)) + 1))
    names = dict(zip(*reversed(azimuth.get_legend_handles_labels()), strict=True))
    if names:
        figure.legend(names.values(), names.keys(), loc="outside upper center", ncols=8)
    return _to_svg(figure, alt)


def split_at_jumps(angles: NDArray[np.int64]) -> list[slice]:
    """Split angles, shape (frames,), where they wrap around from one end of the scale to the other."""
    breaks = [0, *(np.flatnonzero(np.abs(np.diff(angles)) > 180) + 1).tolist(), len(angles)]
    return [slice(first, last) for first, last in pairwise(breaks)]
