"""The page about a search holds what it is given, in one file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from search.reporting.page.content import PageContent, format_score
from search.reporting.page.document import (
    make_page,
    tabulate_configurations,
    tabulate_scores,
    tabulate_splits,
    tabulate_trials,
)
from search.reporting.page.markdown import make_markdown
from search.reporting.page.robustness import list_condition_maps
from tests.datasets.paged import Page
from tests.search.reporting.page.contents import make_content, make_errors, make_robustness, make_trial

VERDICT: dict[str, Any] = {
    "objective": "f1",
    "text": ["Trial 5 is better than baseline."],
    "configurations": [
        {"trial": n, "splits": {"S0": {"mean": m, "values": [m - 0.01, m + 0.01], "difference": d}}}
        for n, m, d in ((5, 0.9, {"estimate": 0.4, "low": 0.3, "high": None}), (0, 0.5, None))
    ],
}
DATASET: dict[str, Any] = {
    "kind": "room",
    "size_m": [6.0, 6.0],
    "train": {"samples": 1000, "sources": [1, 2], "snr_db": None},
    "tests": {"S0": {"samples": 50, "sources": [3, 3], "acoustics": {"rooms": 5}}},
}
RESULT: dict[str, Any] = {
    "winner": 5,
    "conclusion": ["Trial 5 is better than baseline, with a confidence of 95%."],
    "verdict": VERDICT,
    "edges": [{"text": "lr 0.01 is at the upper end"}],
    "provenance": {"git.commit": "abc<1>", "seed": "0"},
    "trials": [{"number": 5, "config": {"lr": 0.003, "network.width": 32}}],
    "spent": {"gpu_seconds": 7200.0, "money": None},
}


def finished() -> PageContent:
    content = make_content(24, result=RESULT, errors=make_errors(), commands=["python -m search.show a    # <winner>"])
    return replace(content, dataset=DATASET, robustness=make_robustness())


def charts_of(written: str) -> list[dict[str, Any]]:
    encoded = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', written, re.S)
    return [json.loads(figure) for figure in encoded]


def visible_text(written: str) -> str:
    """Return the text of a page without scripts and styles."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", written, flags=re.S)
    return " ".join(" ".join(Page(body).words).split())


def test_the_page_begins_with_the_answer_and_loads_nothing_from_elsewhere() -> None:
    written = make_page(finished())
    text = visible_text(written)
    assert RESULT["conclusion"][0] in text
    assert text.index(RESULT["conclusion"][0]) < text.index("Winner against baseline and starts")
    page = Page(re.sub(r"<script>.*?</script>", "", written, flags=re.S))
    linked = [v for _, attributes in page.tags for n, v in attributes.items() if n in ("src", "href", "data", "srcset")]
    assert linked
    assert all(link is not None and link.startswith(("#", "data:")) for link in linked)


def test_every_chart_has_an_id_of_its_own_a_description_and_figures_that_parse() -> None:
    written = make_page(finished())
    page = Page(re.sub(r"<script>.*?</script>", "", written, flags=re.S))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    charts = [attributes for _, attributes in page.tags if attributes.get("class") == "chart"]
    figures = charts_of(written)
    assert len(charts) == len(figures) >= 20
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in charts)
    assert all(figure["data"] for figure in figures)
    assert {"parcoords", "heatmap", "bar", "scatter"} <= {
        trace["type"] for figure in figures for trace in figure["data"]
    }


def test_names_and_values_are_escaped() -> None:
    content = replace(finished(), name='<script>alert("1")</script>')
    page = Page(make_page(content))
    assert not page.open
    text = visible_text(make_page(content))
    assert '<script>alert("1")</script>' in text
    assert "<huber> & co" in text
    assert "abc<1>" in text


def test_no_value_can_end_the_script_of_a_chart() -> None:
    trial = replace(make_trial(3, [0.5] * 9), parameters={"lr": 0.001, "loss": "</script><b>"})
    content = make_content()
    written = make_page(replace(content, trials=[*content.trials, trial]))
    assert "</script><b>" not in written
    assert charts_of(written)


def test_dimensions_are_ordered_by_importance_and_absent_values_have_a_place_of_their_own() -> None:
    figures = charts_of(make_page(finished()))
    parallel = next(trace for figure in figures for trace in figure["data"] if trace["type"] == "parcoords")
    assert [axis["label"] for axis in parallel["dimensions"]] == ["lr", "delta", "loss", "f1"]
    delta = parallel["dimensions"][1]
    assert delta["ticktext"][0] == "not used"
    assert min(delta["values"]) == delta["tickvals"][0] < 0


def test_the_tables_have_the_winner_first_and_then_the_references() -> None:
    content = finished()
    assert tabulate_scores(content).header == ["split", "metric", "trial 5 (winner)", "baseline", "start 0"]
    rows = {row[0]: row[1:] for row in tabulate_configurations(content).rows}
    assert list(rows) == ["lr", "delta", "loss", "threshold (inference)"]
    assert rows["threshold (inference)"] == ["0.4", "0.4", "0.4"]
    trials = tabulate_trials(content)
    values = [float(row[1]) for row in trials.rows]
    assert values == sorted(values, reverse=True)
    assert len(values) == 24


def test_the_splits_and_the_references_are_explained() -> None:
    content = finished()
    assert tabulate_splits(content).rows == [["train", "samples 1000, sources 1 – 2"], ["S0", "samples 50, sources 3"]]
    text = visible_text(make_page(content))
    assert "start N is point N of its `start`" in text
    assert "size_m: [6.0, 6.0]" in text
    assert not tabulate_splits(replace(content, dataset={"kind": "tau2020", "tests": ["fold1"]})).rows
    mixed = {
        "kind": "mixed",
        "train": [DATASET],
        "validate": {"kind": "measured", "validate": {"samples": 5}},
        "tests": [DATASET],
    }
    assert tabulate_splits(replace(content, dataset=mixed)).rows == [
        ["train", "room: samples 1000, sources 1 – 2"],
        ["validate", "measured: samples 5"],
        ["S0", "room: samples 50, sources 3"],
    ]


def test_the_robustness_map_has_its_mean_its_worst_condition_and_a_map_of_each_method() -> None:
    written = make_page(finished())
    text = visible_text(written)
    assert (
        "model: f1_mean 0.625 in the mean of 4 combinations, 0.300 in the worst one (RT60 0.4 s, SNR 10 dB, 1 source)."
        in text
    )
    maps = {chart.title: chart.figure.data[0] for chart in list_condition_maps(make_robustness())}
    assert list(maps) == ["model, 1 source", "SRP-PHAT, 1 source"]
    first = maps["model, 1 source"]
    assert (first.x, first.y) == (("0", "0.4"), ("10", "none"))
    assert [list(row) for row in first.z] == [[0.8, 0.3], [0.9, 0.5]]
    assert "## Robustness" in make_markdown(finished())
    assert "How it holds elsewhere" not in make_page(replace(finished(), robustness=()))


def test_methods_without_training_have_a_column_of_their_own() -> None:
    errors = replace(make_errors(), yardsticks={"SRP-PHAT": {"S0": {"f1": 0.4567}}})
    content = replace(finished(), errors=errors)
    table = tabulate_scores(content)
    assert table.header[-1] == "SRP-PHAT"
    rows = {(row[0], row[1]): row for row in table.rows}
    assert rows["S0", "f1"][-1] == "0.457"
    assert rows["validation", "f1"][-1] == "–"
    assert "methods without training" in visible_text(make_page(content))
    assert "methods without training" not in visible_text(make_page(finished()))


def test_small_metrics_keep_their_digits() -> None:
    assert [format_score(value) for value in (0.0003, 0.0, 0.5, -0.004, 12.3456)] == [
        "0.0003",
        "0.000",
        "0.500",
        "-0.004",
        "12.35",
    ]


def test_a_running_search_is_renewed_and_a_finished_one_is_not() -> None:
    assert 'http-equiv="refresh"' in make_page(make_content(is_live=True))
    assert 'http-equiv="refresh"' not in make_page(finished())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_search_that_has_just_begun_has_a_page(count: int) -> None:
    written = make_page(make_content(count, importances={}, is_live=True))
    assert not Page(written).open
    assert ("No trial has a result yet" in visible_text(written)) == (count == 0)


def test_several_objectives_have_a_front_of_trials_that_no_other_one_beats_in_both() -> None:
    content = make_content(24, objectives=(("f1", "maximize"), ("cost", "maximize")))
    figures = charts_of(make_page(content))
    names = [trace.get("name") for figure in figures for trace in figure["data"]]
    assert "Pareto front" in names
    assert content.front
    for member in content.front:
        for other in content.ranked:
            better = [content.objective(other, n) > content.objective(member, n) for n in (0, 1)]
            assert not all(better)


def test_failed_trials_are_listed() -> None:
    failed = make_trial(99, [], "failed")
    content = make_content()
    text = visible_text(make_page(replace(content, trials=[*content.trials, failed])))
    assert "trial 99" in text
    assert "1 failed" in text


def test_the_page_in_markdown_has_the_answer_and_all_tables() -> None:
    written = make_markdown(finished())
    assert RESULT["conclusion"][0] in written
    titles = re.findall(r"^## (.*)$", written, re.M)
    assert titles[:2] == ["Scores", "Configurations"]
    assert {"Importance", "Best trials", "Costs", "Commands", "Provenance"} <= set(titles)
    tables = [line for line in written.splitlines() if line.startswith("| ")]
    assert all(line.count("|") >= 3 for line in tables)


def test_a_page_of_five_hundred_trials_is_below_fifteen_megabytes() -> None:
    content = replace(make_content(500), result=RESULT, errors=make_errors())
    assert len(make_page(content).encode()) < 15e6
