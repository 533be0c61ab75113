"""Tasks: optima of the functions, lookups in tables, and the training on digits."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.efficiency.curves import Curve, CurveEpoch, write_curves
from benchmarks.efficiency.problem import Problem, Variable, from_identity, from_json, to_json
from benchmarks.efficiency.tasks import digits
from benchmarks.efficiency.tasks.hartmann import EPOCHS, MAXIMA, HartmannTask, hartmann
from benchmarks.efficiency.tasks.registry import list_tasks, load_task
from benchmarks.efficiency.tasks.tables import TableTask
from spaces.schema import Dimension
from tests.search.support import space

OPTIMA = {
    3: [0.114614, 0.555649, 0.852547],
    6: [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573],
}


@pytest.mark.parametrize("dimensions", [3, 6])
def test_hartmann_has_its_published_maximum(dimensions: int) -> None:
    optimum = np.array(OPTIMA[dimensions])
    assert hartmann(optimum) == pytest.approx(MAXIMA[dimensions], abs=1e-5)
    around = np.clip(optimum + np.random.default_rng(0).normal(0, 0.05, (500, dimensions)), 0, 1)
    assert max(hartmann(x) for x in around) <= MAXIMA[dimensions] + 1e-5


def test_hartmann_is_biased_and_noisy_until_its_last_epoch() -> None:
    task = HartmannTask("h", 6, bias=2.5, noise=2.0)
    point = {f"x{index}": value for index, value in enumerate(OPTIMA[6])}
    _, iterator = task.open_session(1).start(point, 0)
    steps = list(iterator)
    assert len(steps) == EPOCHS
    assert steps[-1].value == steps[-1].true == pytest.approx(MAXIMA[6], abs=1e-5)
    assert steps[0].true == pytest.approx(hartmann(np.array(OPTIMA[6]), bias=2.5))
    assert all(a.true < b.true for a, b in itertools.pairwise(steps))
    assert all(step.value is not None and step.value <= step.true for step in steps)


def test_noise_depends_on_seed_and_trial_only() -> None:
    task = HartmannTask("h", 3, bias=2.5, noise=2.0)
    point = {"x0": 0.5, "x1": 0.5, "x2": 0.5}

    def first(seed: int, trial: int) -> float | None:
        return next(task.open_session(seed).start(point, trial)[1]).value

    assert first(1, 2) == first(1, 2)
    assert len({first(1, 2), first(1, 3), first(2, 2)}) == 3


def curve(number: int, x: float, values: list[float | None], seed: int = 0, role: str = "random") -> Curve:
    epochs = tuple(CurveEpoch(e, {} if v is None else {"loss": v}, {}, 9.0, e * 1.0) for e, v in enumerate(values, 1))
    outcome: Any = "failed" if None in values else "finished"
    return Curve(number, role, seed, {"x": x, "kind": "a"}, outcome, "", epochs)


@pytest.fixture
def table(tmp_path: Path) -> TableTask:
    searched = space(
        search=(Dimension("kind", "choice", choices=("a", "b")), Dimension("x", "uniform", 0.0, 10.0)),
        objectives=(("loss", "minimize"),),
    )
    curves = [
        curve(0, 42.0, [9, 9], role="baseline"),
        curve(1, 1.0, [5, 4], role="start 0"),
        curve(2, 1.0, [5, 4]),
        curve(2, 1.0, [7, 2], seed=1),
        curve(3, 4.0, [3, 1]),
        curve(4, 9.0, [3, None]),
    ]
    description = {"space": {**searched.identity(), "epochs": 2}}
    write_curves(tmp_path / "toy.parquet", curves, description)
    return TableTask(tmp_path / "toy.parquet")


def test_a_proposal_gets_the_nearest_row_that_is_left(table: TableTask) -> None:
    session = table.open_session(0)
    found = []
    for trial in range(3):
        assert session.has_points()
        parameters, _ = session.start({"kind": "a", "x": 3.5}, trial)
        found.append(parameters["x"])
    assert found == [4.0, 1.0, 9.0]
    assert not session.has_points()


def test_the_baseline_of_a_table_is_a_row_of_its_own(table: TableTask) -> None:
    session = table.open_session(0)
    assert table.problem.baseline == {"x": 42.0, "kind": "a"}
    parameters, steps = session.start(table.problem.baseline, 0)
    assert parameters["x"] == 42.0
    assert [step.value for step in steps] == [-9, -9]
    assert [session.start({"kind": "a", "x": 9.5}, 1)[0]["x"] for _ in range(3)] == [9.0, 4.0, 1.0]


def test_values_are_those_of_a_seed_and_true_values_the_means(table: TableTask) -> None:
    observed = set()
    for seed in range(20):
        _, iterator = table.open_session(seed).start({"kind": "a", "x": 1.0}, 0)
        steps = list(iterator)
        assert [step.true for step in steps] == [-6, -3]
        assert [step.seconds for step in steps] == [1, 2]
        observed.add(tuple(step.value for step in steps))
    assert observed == {(-5, -4), (-7, -2)}


def test_a_failed_training_of_a_table_fails_in_its_last_epoch(table: TableTask) -> None:
    _, iterator = table.open_session(0).start({"kind": "a", "x": 9.0}, 0)
    steps = list(iterator)
    assert [step.value for step in steps] == [-3, None]
    assert steps[-1].true == -math.inf


def test_the_scale_of_a_table_is_that_of_its_random_configurations(table: TableTask) -> None:
    scale = table.scale()
    assert (scale.typical, scale.best) == (-2.0, -1.0)
    assert scale.threshold(0.1) == pytest.approx(-1.1)


def test_a_problem_survives_its_text_and_has_the_dimensions_of_its_space() -> None:
    searched = space()
    problem = Problem(from_identity(searched.identity()["search"]), epochs=9, baseline={"optimizer.lr": 1e-4})
    assert from_json(to_json(problem)) == problem
    for variable, dimension in zip(problem.variables, searched.search, strict=True):
        fields = ("name", "kind", "low", "high", "choices", "when", "step")
        assert [getattr(variable, f) for f in fields] == [getattr(dimension, f) for f in fields]
    assert problem.rungs() == (1, 3)
    assert "loss.huber_delta" not in problem.complete(
        {"optimizer.lr": 1.0, "optimizer.batch_size": 1, "loss.regression": "mse", "loss.huber_delta": 0.1}
    )


def test_distances_count_choices_and_positions_in_ranges() -> None:
    problem = Problem((Variable("lr", "log_uniform", 1e-4, 1.0), Variable("k", "choice", choices=("a", "b"))), epochs=9)
    assert problem.distance({"lr": 1e-4, "k": "a"}, {"lr": 1e-2, "k": "b"}) == pytest.approx(0.25 + 1)
    assert problem.distance({"lr": 1e-3, "k": "a"}, {"lr": 1e-3}) == 0


def test_a_network_learns_digits_and_repeats_itself() -> None:
    baseline = digits.PROBLEM.baseline
    assert baseline is not None
    first, second = (list(digits.train(baseline, np.random.default_rng(3))) for _ in range(2))
    assert first == second
    assert len(first) == digits.EPOCHS
    assert first[-1].true > 0.9 > first[0].true


def test_a_network_that_diverges_fails() -> None:
    assert digits.PROBLEM.baseline is not None
    parameters = {**digits.PROBLEM.baseline, "lr": 1e6}
    steps = list(digits.train(parameters, np.random.default_rng(3)))
    assert steps[-1].value is None


def test_every_task_can_be_loaded() -> None:
    assert {"hartmann3", "hartmann6", "digits"} <= set(list_tasks())
    for name in list_tasks():
        task = load_task(name)
        assert task.name == name
        assert task.scale().best > task.scale().typical
