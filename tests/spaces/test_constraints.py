"""Constraints of a space file: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.errors import InputError
from spaces.constraints import Constraint, read_recorded
from spaces.feasibility import PointChecker
from spaces.load import load_space
from spaces.schema import Space

SIZED = {
    "name": "sized",
    "trainable": "tests.search.toy_trainable:Sized",
    "search": {"x": {"uniform": [0, 1]}, "width": {"int": [1, 20]}},
    "objectives": [{"metric": "score"}],
    "budget": {"trials": 4, "epochs": 3},
}


def load(folder: Path, constraints: object, overrides: tuple[str, ...] = (), **changes: Any) -> Space:
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(SIZED | {"constraints": constraints} | changes))
    return load_space(path, has_gpu=True, overrides=overrides)


def test_bounds_on_metrics_and_measured_quantities_are_read(tmp_path: Path) -> None:
    written = ["parameters <= 2e6", "latency_ms<=10", "precision ≥ .8", "precision <= 0.9"]
    assert load(tmp_path, written).constraints == (
        Constraint("parameters", "<=", 2e6, True),
        Constraint("latency_ms", "<=", 10.0, True),
        Constraint("precision", ">=", 0.8),
        Constraint("precision", "<=", 0.9),
    )


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("parameters <= 2e6", ["constraints", "list", "write  constraints: [parameters <= 2e6]"]),
        ({"parameters": 2e6}, ["constraints: [parameters <= 2000000.0]"]),
        ([{"precision": 0.8}], ["constraints.0", "METRIC <= NUMBER", "precision >= 0.8"]),
        ([5], ["constraints.0", "METRIC <= NUMBER"]),
        (["precision"], ["constraints.0", "METRIC <= NUMBER"]),
        (["precision < 0.8"], ["write  precision <= 0.8", "equal to the bound is allowed"]),
        (["precision > 0.8"], ["write  precision >= 0.8"]),
        (["precision == 0.8"], ["METRIC <= NUMBER"]),
        (["0.8 <= precision"], ["write the metric first:  precision >= 0.8"]),
        (["0.5 <= precision <= 0.8"], ["known metric"]),
        (["precision >= high"], ["finite number"]),
        (["precision >= nan"], ["finite number"]),
        (["precision <= inf"], ["finite number"]),
        (["precision <= 1_0"], ["finite number"]),
        (["precison >= 0.8"], ["known metric", "precision", "score, precision, latency_ms, parameters"]),
        (["parameters <= 0"], ["positive"]),
        (["latency_ms <= -1"], ["positive"]),
        (["precision >= 0.8", "precision >= 0.9"], ["constraints.1", "one lower bound"]),
        (["precision >= 0.8", "precision <= 0.7"], ["constraints.1", "contradict", "precision >= 0.8"]),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_its_remedy(tmp_path: Path, written: object, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, written)
    assert [word for word in words if word not in str(caught.value)] == []


def test_an_override_replaces_the_constraints(tmp_path: Path) -> None:
    replaced = load(tmp_path, ["precision >= 0.8"], ("constraints=[parameters <= 9]",)).constraints
    assert replaced == (Constraint("parameters", "<=", 9.0, True),)
    assert load(tmp_path, ["precision >= 0.8"], ("constraints=[]",)).constraints == ()
    assert load(tmp_path, None).constraints == ()


def test_a_trainable_that_cannot_be_measured_is_told_which_method_it_needs(tmp_path: Path) -> None:
    toy: dict[str, Any] = {"trainable": "tests.search.toy_trainable:Toy", "dataset": {"kind": "matrices"}}
    with pytest.raises(InputError, match="define count_parameters of"):
        load(tmp_path, ["parameters <= 5"], search={"x": {"uniform": [0, 1]}}, **toy)


def test_a_function_without_declared_metrics_may_yield_any(tmp_path: Path) -> None:
    function: dict[str, Any] = {
        "trainable": "tests.search.toy_trainable:repeated",
        "search": {"x": {"uniform": [0, 1]}},
    }
    objectives = [{"metric": "error", "direction": "minimize"}]
    space = load(tmp_path, ["parameters <= 5", "bias <= 1"], objectives=objectives, **function)
    assert [constraint.is_measured for constraint in space.constraints] == [False, False]


def test_a_table_has_no_constraints(tmp_path: Path) -> None:
    rows = {"rows": {"a": {"set": {"x": 0.1}}, "b": {"set": {"x": 0.2}}}}
    path = tmp_path / "space.yaml"
    without = {key: value for key, value in SIZED.items() if key != "search"}
    path.write_text(yaml.safe_dump({**without, **rows, "budget": {"epochs": 3}, "constraints": ["precision >= 0.5"]}))
    with pytest.raises(InputError, match="constraints"):
        load_space(path, has_gpu=True)


def test_constraints_are_no_part_of_the_identity(tmp_path: Path) -> None:
    assert load(tmp_path, ["precision >= 0.8"]).identity() == load(tmp_path, []).identity()
    assert "constraints" not in load(tmp_path, ["precision >= 0.8"]).identity()


def test_a_violation_is_a_share_of_the_bound() -> None:
    assert Constraint("parameters", "<=", 2e6, True).violation({"parameters": 3e6}) == 0.5
    assert Constraint("precision", ">=", 0.8).violation({"precision": 0.6}) == pytest.approx(0.25)
    assert Constraint("bias", "<=", 0.0).violation({"bias": 3.0}) == 3.0
    assert Constraint("bias", "<=", -2.0).violation({"bias": -1.0}) == 0.5
    assert Constraint("precision", ">=", 0.8).violation({"precision": 0.8}) == 0.0
    assert Constraint("precision", ">=", 0.8).violation({"precision": math.nan}) == math.inf
    assert Constraint("precision", ">=", 0.8).violation({}) == math.inf


def test_a_violation_is_described_in_words() -> None:
    size = Constraint("parameters", "<=", 2e6, True)
    assert size.describe_violation({"parameters": 2_000_001}) == "2,000,001 parameters, at most 2,000,000 are allowed"
    precision = Constraint("precision", ">=", 0.8)
    assert precision.describe_violation({"precision": 0.61234}) == "precision 0.6123, at least 0.8 is allowed"
    assert precision.describe_violation({}) == "precision is undefined, at least 0.8 is allowed"


def test_recorded_constraints_are_read_back() -> None:
    constraints = (Constraint("parameters", "<=", 2e6, True), Constraint("precision", ">=", 0.8))
    assert read_recorded([constraint.to_record() for constraint in constraints]) == constraints
    assert read_recorded(None) == ()


def test_a_model_that_is_too_large_is_an_impossible_proposal(tmp_path: Path) -> None:
    space = load(tmp_path, ["parameters <= 5000"])
    reason = "6,000 parameters, at most 5,000 are allowed"
    checker = PointChecker(space, builds_models=True)
    assert checker.explain_impossible({"x": 0.5, "width": 6}) == reason
    assert checker.explain_impossible({"x": 0.5, "width": 5}) is None
    assert PointChecker(space).explain_impossible({"x": 0.5, "width": 6}) is None


def test_a_size_that_is_not_known_in_advance_refuses_no_proposal(tmp_path: Path) -> None:
    space = load(tmp_path, ["parameters <= 5000"], fixed={"states_size": False})
    assert PointChecker(space, builds_models=True).explain_impossible({"x": 0.5, "width": 6}) is None
