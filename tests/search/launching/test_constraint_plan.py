"""Constraints in the plan: which points are drawn again, and whether the baseline can win."""

from __future__ import annotations

from typing import Any

import pytest

from datasets.none import NoneSpec
from runtime.errors import InputError
from search.launching.constraint_plan import check_sizes, constraint_lines, survey_sizes
from spaces.constraints import Constraint
from spaces.schema import Dimension, Space
from tests.search.support import space
from tests.search.toy_trainable import Sized


def sized(bound: float, **fixed: Any) -> Space:
    return space(
        trainable="tests.search.toy_trainable:Sized",
        dataset=NoneSpec(),
        fixed=fixed,
        search=(Dimension("width", "int", 1, 20),),
        baseline={"width": 9},
        start=(),
        constraints=(Constraint("parameters", "<=", bound, True),),
    )


def test_the_plan_states_the_share_of_too_large_models_and_that_the_baseline_is_one() -> None:
    lines = constraint_lines(sized(5000))
    assert lines[0] == "bounds   parameters <= 5,000"
    share = survey_sizes(sized(5000)).violating
    assert 60 <= share <= 90
    assert f"the models of {share} of 100 random points violate them" in lines[1]
    assert lines[2].endswith("the baseline is trained, but cannot win: 9,000 parameters, at most 5,000 are allowed")


def test_a_bound_that_all_models_satisfy_adds_no_line() -> None:
    assert constraint_lines(sized(20_000)) == ["bounds   parameters <= 20,000"]
    assert constraint_lines(space()) == []


def test_a_bound_that_no_model_satisfies_is_refused() -> None:
    with pytest.raises(InputError, match="100 random points have 1,000 to 20,000 parameters"):
        check_sizes(sized(10), "space.yaml: constraints")
    check_sizes(sized(1000), "space.yaml: constraints")


def test_sizes_that_are_unknown_in_advance_are_not_judged() -> None:
    check_sizes(sized(10, states_size=False), "space.yaml: constraints")
    assert constraint_lines(sized(10, states_size=False)) == ["bounds   parameters <= 10"]


def test_a_method_that_raises_an_error_is_named_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any, config: Any, dataset: Any) -> int:
        raise ZeroDivisionError(f"no size of {config.width} for {dataset.kind}")

    monkeypatch.setattr(Sized, "expected_parameters", classmethod(fail))
    with pytest.raises(InputError, match="expected_parameters of Sized must return the number of parameters"):
        check_sizes(sized(10), "space.yaml: constraints")
