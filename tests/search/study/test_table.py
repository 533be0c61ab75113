"""Tables of results: values per seed, spread, and paired differences against SciPy."""

from __future__ import annotations

import math

import pytest
import scipy.stats

from search.reporting.table import format_csv, format_difference, format_html, format_markdown, format_terminal
from search.study.table import Cell, ResultTable, RowDifference, compare_rows

HM = Cell({0: 0.95, 1: 0.93, 2: 0.97}, 0.96)
TG = Cell({2: 0.90, 1: 0.90, 0: 0.89}, 0.94)
CELLS = {"TG <b>": {"S0.f1_1m": TG}, "HM": {"S0.f1_1m": HM}}


def make_table() -> ResultTable:
    difference = compare_rows(CELLS, ("HM", "TG <b>"), "S0.f1_1m")
    assert difference is not None
    seeds = {"TG <b>": (2, 1, 0), "HM": (0, 1, 2)}
    return ResultTable("t", "Table III", ("The data differs.",), ("S0.f1_1m",), CELLS, seeds, 3, (difference,))


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    difference = compare_rows(CELLS, ("HM", "TG <b>"), "S0.f1_1m")
    expected = scipy.stats.ttest_rel([0.95, 0.93, 0.97], [0.89, 0.90, 0.90]).confidence_interval(0.95)
    assert difference is not None
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert difference.estimate == pytest.approx(0.16 / 3)
    assert difference.paper == pytest.approx(0.02)


def test_only_seeds_that_both_rows_have_are_paired() -> None:
    cells = {"a": {"c": Cell({0: 1.0, 1: 5.0})}, "b": {"c": Cell({1: 2.0, 2: 9.0})}, "none": {"c": Cell({})}}
    difference = compare_rows(cells, ("a", "b"), "c")
    assert difference is not None
    assert (difference.seeds, difference.estimate, difference.low) == (1, 3.0, -math.inf)
    assert compare_rows(cells, ("a", "none"), "c") is None


def test_mean_and_deviation_are_over_seeds() -> None:
    assert HM.mean == pytest.approx(0.95)
    assert HM.deviation == pytest.approx(0.02)
    assert math.isnan(Cell({0: 1.0}).deviation)


def test_a_difference_is_one_line() -> None:
    difference = RowDifference("HM", "TG", "S0.f1_1m", 3, 0.05, 0.02, 0.08, None)
    assert format_difference(difference) == "HM − TG: +0.050 (+0.020 … +0.080)"


def test_the_table_has_mean_deviation_and_published_value_in_all_forms() -> None:
    table = make_table()
    row = next(line for line in format_terminal(table) if line.startswith("HM"))
    assert row.split() == ["HM", "3", "0.950", "±", "0.020", "0.96"]
    assert "| HM | 3 | 0.950 ± 0.020 | 0.96 |" in format_markdown(table)
    assert "* The data differs." in format_markdown(table)
    assert "TG &lt;b&gt;" in format_html(table)
    assert "TG <b>" not in format_html(table)
    assert format_csv(table).splitlines()[4] == "HM,S0,f1_1m,0,0.95,0.96"


def test_a_table_of_one_row_has_a_line_per_split() -> None:
    cells = {"HM": {"S0.f1_1m": HM, "S1.f1_1m": Cell({0: 0.5}), "S1.rmse_1m": Cell({0: 0.2}, 0.3)}}
    table = ResultTable("t", "", (), ("S0.f1_1m", "S1.f1_1m", "S1.rmse_1m"), cells, {"HM": (0, 1, 2)}, 3, ())
    lines = [line.split() for line in format_terminal(table) if line]
    assert lines[0] == ["HM", "n", "f1_1m", "paper", "rmse_1m", "paper"]
    assert lines[2] == ["S0", "3", "0.950", "±", "0.020", "0.96", "–", "–"]
    assert lines[3] == ["S1", "3", "0.500", "–", "0.200", "0.3"]


def test_only_the_first_dot_of_a_column_separates_split_and_metric() -> None:
    cells = {"a": {"S0.f1_0.3m": HM}, "b": {"S0.f1_0.3m": TG}}
    table = ResultTable("t", "", (), ("S0.f1_0.3m",), cells, {"a": (0, 1, 2), "b": (0, 1, 2)}, 3, ())
    assert "S0 f1_0.3m" in format_markdown(table)
    assert format_csv(table).splitlines()[1].startswith("a,S0,f1_0.3m,0,")
