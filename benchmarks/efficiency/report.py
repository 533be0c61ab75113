"""Figure and Markdown tables of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.efficiency.methods.registry import METHODS
from benchmarks.efficiency.statistics import SHARES
from runtime.files import atomic_write

Results = Mapping[str, Any]
"""Results by task: `scale`, `unit` and `workers`, which has the statistics by number of workers and method."""

_LINES: Final = ("-", "--", "-.", ":")


def draw_figure(path: Path, results: Results) -> None:
    """Draw the best-so-far values against the epochs, one row per task and one column per number of workers."""
    from matplotlib.figure import Figure

    counts = sorted({int(count) for task in results.values() for count in task["workers"]})
    figure = Figure(figsize=(5 * len(counts), 3.4 * len(results) + 0.8), layout="constrained")
    axes = figure.subplots(len(results), len(counts), squeeze=False, sharey="row")
    for row, (name, task) in zip(axes, results.items(), strict=True):
        for axis, count in zip(row, counts, strict=True):
            _draw_task(axis, task["workers"].get(str(count), {}), task["scale"])
            axis.set_title(f"{name}, {count} workers")
        row[0].set_ylabel(f"{task['unit']} (median, 95 %)")
    for axis in axes[-1]:
        axis.set_xlabel("epochs of all workers")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=110)


def _draw_task(axis: Any, methods: Mapping[str, Any], scale: Mapping[str, float]) -> None:
    for name, method in methods.items():
        number = list(METHODS).index(name)
        curve = method["epochs"]
        style = {"color": f"C{number % 10}", "linestyle": _LINES[(number // 3) % len(_LINES)]}
        width = 2.2 if name == "ours" else 1.2
        axis.plot(curve["positions"], curve["median"], label=METHODS[name].label, linewidth=width, **style)
        axis.fill_between(
            curve["positions"], curve["low"], curve["high"], color=style["color"], alpha=0.12, linewidth=0
        )
    axis.axhline(scale["best"], color="0.6", linewidth=0.8)
    axis.set_xscale("log")
    lowest = min((m["epochs"]["median"][len(m["epochs"]["median"]) // 2] for m in methods.values()), default=0.0)
    bottom = max(scale["typical"], lowest - 0.3 * (scale["best"] - lowest))
    axis.set_ylim(bottom, scale["best"] + 0.03 * (scale["best"] - bottom))


def format_tables(results: Results, reference: str) -> str:
    """Return Markdown tables: targets, values and costs by method, and the differences of one method from all others.

    Args:
        results: Results by task.
        reference: Name of the method whose differences are shown.
    """
    lines: list[str] = []
    for name, task in results.items():
        scale = task["scale"]
        lines += [f"## {name}", "", f"Typical {scale['typical']:.4g}, best {scale['best']:.4g} ({task['unit']}).", ""]
        for count, methods in task["workers"].items():
            lines += [f"### {name}, {count} workers", "", *_method_rows(methods), ""]
            if reference in methods and len(methods) > 1:
                lines += [*_difference_rows(methods, task["differences"][count], reference), ""]
    return "\n".join(lines)


def _method_rows(methods: Mapping[str, Any]) -> list[str]:
    budgets = list(next(iter(methods.values()))["values"])
    head = ["method", "seeds", *(f"epochs to {share:.0%}" for share in SHARES), *(f"value at {b}" for b in budgets)]
    rows = [_row([*head, "trials", "ms per proposal", "ms per epoch"]), _row(["---"] * (len(head) + 3))]
    for name, method in methods.items():
        targets = [_format_target(method["epochs_to"][str(share)]) for share in SHARES]
        values = [f"{method['values'][b]['median']:.4g}" for b in budgets]
        cost = [
            f"{method['proposal_ms']['median']:.1f} ({method['proposal_ms']['p90']:.1f})",
            f"{method['epoch_ms']:.2f}",
        ]
        label, seeds = METHODS[name].label, str(method["seeds"])
        rows.append(_row([label, seeds, *targets, *values, f"{method['trials']:.0f}", *cost]))
    return rows


def _format_target(target: Mapping[str, float | None]) -> str:
    reached = target["reached"] or 0.0
    if target["median"] is None:
        return f"– ({reached:.0%} reach it)"
    high = "–" if target["high"] is None else f"{target['high']:.0f}"
    return f"{target['median']:.0f} ({target['low']:.0f} … {high})"


def _difference_rows(methods: Mapping[str, Any], differences: Mapping[str, Any], reference: str) -> list[str]:
    peers = [name for name in methods if name != reference]
    budgets = list(differences[peers[0]])
    head = [f"{METHODS[reference].label} minus", *(f"at {budget}" for budget in budgets)]
    rows = [_row(head), _row(["---"] * len(head))]
    for peer in peers:
        cells = [_format_difference(differences[peer][budget]) for budget in budgets]
        rows.append(_row([METHODS[peer].label, *cells]))
    return rows


def _format_difference(difference: Mapping[str, float]) -> str:
    """Return a difference with its standard error, in bold if it exceeds twice the error."""
    text = f"{round(difference['difference'], 12):+.3g} ± {difference['error']:.2g}"
    return f"**{text}**" if abs(difference["difference"]) > 2 * difference["error"] else text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
