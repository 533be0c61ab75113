"""Dimensions and points against a Config of many types: what is refused, completed, and impossible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InputError
from spaces.feasibility import PointChecker, list_points, survey_points
from spaces.load import load_space
from spaces.schema import Dimension, Space, Value
from tests.spaces.test_load import write

MODEL = "tests.spaces.config_model:Model"


def load(folder: Path, search: dict[str, Any], **changes: Any) -> Space:
    """Return a space of the trainable of these tests."""
    values = {"trainable": MODEL, "dataset": {"kind": "matrices"}, "fixed": {}, "objectives": [{"metric": "score"}]}
    return load_space(write(folder, search=search, **values | changes), has_gpu=False)


OBJECT = "tests.spaces.config_model:ObjectModel"
INTEGERS = ["n", "count", "alias", "n_or_none", "n_or_auto", "parsed", "eight", "even"]
CHOICES = {
    "flag": "[false, true]",
    "flag_or_none": "[false, true]",
    "name": "['a', 'b']",
    "power": "[1, 2, 4]",
    "mode": "['fast', 'slow']",
    "size": "[1, 4]",
    "text": "[a, b]",
    "sizes": "[a, b]",
}


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_field_takes_ranges_of_integers_only(name: str, tmp_path: Path) -> None:
    for kind, expected in (("uniform", "{int: [8, 64]}"), ("log_uniform", "{log_int: [8, 64]}")):
        with pytest.raises(InputError, match="ranges of integers only") as caught:
            load(tmp_path, {name: {kind: [8, 64]}})
        assert expected in caught.value.remedy
        assert caught.value.place.endswith(f"space.yaml: search.{name}")
    with pytest.raises(InputError) as caught:
        load(tmp_path, {name: {"uniform": [7.5, 63.5], "step": 8.0}})
    assert "{int: [8, 63], step: 8}" in caught.value.remedy
    assert load(tmp_path, {name: {"int": [8, 64], "step": 8}}).search[0].boundary_values() == (8, 64)


@pytest.mark.parametrize("name", CHOICES)
def test_a_field_without_numbers_takes_no_range(name: str, tmp_path: Path) -> None:
    for kind in ("uniform", "int", "log_uniform", "log_int"):
        with pytest.raises(InputError, match="takes no range") as caught:
            load(tmp_path, {name: {kind: [1, 4]}})
        assert CHOICES[name] in caught.value.remedy


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "int", "log_int"])
@pytest.mark.parametrize("name", ["maybe", "x_or_auto", "flag_or_number", "rounded", "exact", "anything"])
def test_a_field_of_numbers_takes_all_ranges(name: str, kind: str, tmp_path: Path) -> None:
    assert load(tmp_path, {name: {kind: [1, 4]}}).search[0].kind == kind


@pytest.mark.parametrize(
    ("name", "range_", "rule"),
    [
        ("n", {"int": [0, 10]}, "at least 1"),
        ("n", {"log_int": [1, 101]}, "at most 100"),
        ("x", {"uniform": [0, 2]}, "at most 1"),
        ("name", {"choice": ["a", "c"]}, "'a' or 'b'"),
        ("n", {"choice": [1, None]}, "an integer"),
        ("n", {"choice": [1, [2]]}, "an integer"),
        ("sizes", {"choice": [[1, 2], None]}, "a list"),
        ("sizes", {"choice": [[1, "b"]]}, "an integer"),
        ("x", {"choice": [1, 1.0]}, "must differ"),
        ("flag", {"choice": [0, False]}, "must differ"),
        ("sizes", {"choice": [[1], [1.0]]}, "must differ"),
        ("anything", {"choice": [1, 1]}, "must differ"),
        ("anything", {"choice": [{"a": 1}]}, "single value"),
        ("anything", {"uniform": [-1e308, 1e308]}, "finite"),
        ("anything", {"int": [0, 10**400]}, "finite"),
        ("anything", {"choice": [[{"a": 1}]]}, "single value"),
        ("eight", {"choice": [8, 12]}, "a multiple of 8"),
        ("even", {"int": [1, 1]}, "lower bound"),
    ],
)
def test_a_value_that_no_trial_can_have_is_refused(name: str, range_: Any, rule: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, {name: range_})
    assert rule in caught.value.rule
    assert f"search.{name}" in caught.value.place


def test_equal_numbers_of_different_types_are_different_choices_where_the_config_keeps_them(tmp_path: Path) -> None:
    choices: list[Value] = [1, True, 1.0, "1", None, [1], [True]]
    space = load(
        tmp_path, {"anything": {"choice": choices}, "x": {"uniform": [0, 1], "when": {"anything": [True, [1]]}}}
    )
    (dimension, conditional) = space.search
    assert [dimension.find_choice(value) for value in choices] == [*range(7)]
    assert [conditional.is_active({"anything": value}) for value in choices] == [False, True, *[False] * 3, True, False]


@pytest.mark.parametrize(
    ("condition", "active"),
    [(None, [None]), ([64, 64], [[64, 64]]), ([None, [128]], [None, [128]]), ([[128]], [[128]])],
)
def test_a_condition_names_null_and_lists(condition: Any, active: list[Any], tmp_path: Path) -> None:
    search = {
        "net.hidden": {"choice": [None, [64, 64], [128]]},
        "x": {"uniform": [0, 1], "when": {"net.hidden": condition}},
    }
    dimension = load(tmp_path, search).search[1]
    assert [value for value in (None, [64, 64], [128]) if dimension.is_active({"net.hidden": value})] == active


@pytest.mark.parametrize("condition", [[], [32], [[64]], "none"])
def test_a_condition_on_no_choice_is_refused(condition: Any, tmp_path: Path) -> None:
    search = {"net.hidden": {"choice": [None, [64, 64]]}, "x": {"uniform": [0, 1], "when": {"net.hidden": condition}}}
    with pytest.raises(InputError, match=r"choices? of net.hidden"):
        load(tmp_path, search)


def test_values_of_a_step_are_short_decimals_and_belong_to_the_range(tmp_path: Path) -> None:
    (dimension,) = load(tmp_path, {"x": {"uniform": [0, 1], "step": 0.1}}).search
    assert dimension.grid_values(100) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert dimension.normalize(0.1 + 0.2) == 0.3
    assert not dimension.contains_value(0.25)
    assert Dimension("n", "int", 16, 64, step=16).grid_values(4) == [16, 32, 48, 64]
    assert Dimension("n", "int", 16, 64, step=16).grid_values(3) is None


def test_a_step_is_part_of_the_identity_and_its_absence_is_not(tmp_path: Path) -> None:
    plain = load(tmp_path, {"x": {"uniform": [0, 1]}}).identity()["search"]["x"]
    assert plain == ["uniform", 0, 1, [], []]
    assert load(tmp_path, {"x": {"uniform": [0, 1], "step": 0.5}}).identity()["search"]["x"] == [*plain, 0.5]


SEARCH = {"x": {"uniform": [0, 1]}, "n": {"int": [10, 20]}, "mode": {"choice": ["fast", "slow"]}}


def test_a_partial_baseline_is_completed_and_its_identity_is_what_the_file_says(tmp_path: Path) -> None:
    space = load(tmp_path, SEARCH, baseline={"x": 0.25}, start=[{"n": 12}])
    assert space.baseline == {"x": 0.25, "n": 7, "mode": "fast"}
    assert space.start == ({"x": 0.5, "n": 12, "mode": "fast"},)
    assert space.identity()["baseline"] == {"x": 0.25}
    assert space.outside == {"n": 7}
    assert load(tmp_path, SEARCH, baseline="paper").identity()["baseline"] == {"x": 0.5, "n": 7, "mode": "fast"}


def test_defaults_are_those_of_the_config_at_the_given_values(tmp_path: Path) -> None:
    search = {"representation": {"choice": ["tg", "rg"]}, "grid.cells": {"choice": [6, 81]}}
    changes = {"fixed": {}, "start": [{"representation": "tg"}], "baseline": {"representation": "rg"}}
    space = load_space(write(tmp_path, search=search, **changes), has_gpu=False)
    assert space.start[0]["grid.cells"] == 81
    assert space.baseline["grid.cells"] == 6


@pytest.mark.parametrize(
    ("changes", "place", "rule"),
    [
        ({"baseline": {"x": 2}}, "baseline.x", "at most 1"),
        ({"baseline": {"n": 12.5}}, "baseline.n", "without a fraction"),
        ({"baseline": {"mode": "medium"}}, "baseline.mode", "'fast' or 'slow'"),
        ({"start": [{"n": 12}, {"x": None}]}, "start.1.x", "a number"),
        ({"start": [{"n": 7}]}, "start.0.n", "10 to 20"),
        ({"start": [{"mode": "fast", "x": 0.25, "n": 9}]}, "start.0.n", "must be in the search"),
    ],
)
def test_a_point_that_the_config_refuses_is_refused(
    changes: dict[str, Any], place: str, rule: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        load(tmp_path, SEARCH, **changes)
    assert caught.value.place.endswith(f"space.yaml: {place}")


def test_values_of_the_baseline_have_the_types_of_the_config(tmp_path: Path) -> None:
    search = SEARCH | {"exact": {"uniform": [2, 3]}, "sizes": {"choice": [[1], [2]]}, "thing": {"choice": [None]}}
    space = load(tmp_path, search, baseline={"n": "12", "x": 1, "sizes": ["3", "4"]}, trainable=OBJECT)
    assert space.baseline == {"x": 1, "n": 12, "mode": "fast", "exact": 1.0, "sizes": [3, 4]}
    assert space.outside == {"exact": 1.0, "sizes": [3, 4]}


def test_a_baseline_whose_values_do_not_fit_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="width is a multiple of heads"):
        load(tmp_path, {"net.heads": {"choice": [1, 3]}}, baseline={"net.heads": 3})


PAIRS = {"net.width": {"choice": [4, 6, 9]}, "net.heads": {"choice": [1, 2, 3]}}


def test_impossible_points_are_counted_with_their_reason(tmp_path: Path) -> None:
    space = load(tmp_path, PAIRS, budget={"trials": 50, "epochs": 1})
    survey = survey_points(space)
    points = list_points(space.search)
    assert points is not None
    checker = PointChecker(space)
    share = sum(checker.explain_impossible(point) is not None for point in points) / len(points)
    assert share == 2 / 9
    assert survey.impossible == pytest.approx(100 * share, abs=15)
    ((reason, count),) = survey.reasons
    assert reason.startswith("net: width is a multiple of heads, got ")
    assert count == survey.impossible
    assert survey == survey_points(space)
    assert space.distinct_points == 7 + 1  # and the baseline, whose width is not searched


def test_a_validator_that_fails_makes_points_impossible(tmp_path: Path) -> None:
    space = load(tmp_path, {"net.heads": {"int": [0, 1]}, "x": {"uniform": [0, 1]}})
    assert survey_points(space).reasons[0][0].startswith("ZeroDivisionError: ")
    with pytest.raises(InputError, match="ValueError") as caught:
        load(tmp_path, SEARCH, fixed={"net.heads": 0})
    assert caught.value.place == "tests.spaces.config_model.Config"


@pytest.mark.parametrize("search", [{"eight": {"int": [9, 15]}}, {"net.heads": {"choice": [5, 7]}}])
def test_a_space_of_impossible_points_is_refused_with_the_reason(search: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiple of") as caught:
        load(tmp_path, search)
    assert caught.value.place.endswith("space.yaml: search")
    assert "100 of 100" in str(caught.value.value)


@pytest.mark.parametrize("name", ["eight", "even"])
def test_bounds_that_only_some_values_keep_are_accepted(name: str, tmp_path: Path) -> None:
    space = load(tmp_path, {name: {"int": [5, 33]}})
    assert 0 < survey_points(space).impossible <= 95


def test_the_number_of_distinct_points_counts_conditions_and_named_points(tmp_path: Path) -> None:
    search = {
        "mode": {"choice": ["fast", "slow"]},
        "n": {"int": [10, 12], "when": {"mode": "slow"}},
        "x": {"uniform": [0, 1], "step": 0.5, "when": {"n": 11}},
    }
    conditions = {"mode": search["mode"], "n": search["n"]}
    many = {"budget": {"trials": 50, "epochs": 1}}
    assert load(tmp_path, conditions, **many).distinct_points == 4
    assert load(tmp_path, conditions, baseline={"mode": "slow", "n": 50}, **many).distinct_points == 5
    assert load(tmp_path, conditions, budget={"trials": 3, "epochs": 1}).distinct_points is None
    assert load(tmp_path, conditions | {"x": {"uniform": [0, 1]}}, **many).distinct_points is None


REQUIRED = {"x": {"uniform": [0, 1]}, "net.width": {"int": [1, 8]}, "y": {"uniform": [0, 1]}}


def test_fields_without_defaults_are_searched_with_a_baseline_that_gives_them(tmp_path: Path) -> None:
    model = {"trainable": "tests.spaces.config_model:RequiredModel"}
    space = load(tmp_path, REQUIRED, baseline={"x": 0.1, "net.width": 4}, **model)
    assert space.baseline == {"x": 0.1, "net.width": 4, "y": 0.5}
    for baseline in ("paper", {"x": 0.1}):
        with pytest.raises(InputError, match="without a default") as caught:
            load(tmp_path, REQUIRED, baseline=baseline, **model)
        assert caught.value.place.endswith("space.yaml: baseline")


def test_a_search_of_nothing_is_one_point(tmp_path: Path) -> None:
    space = load(tmp_path, {}, fixed={"x": 0.25})
    assert (space.search, dict(space.baseline), space.max_trials, space.distinct_points) == ((), {}, 1, 1)
