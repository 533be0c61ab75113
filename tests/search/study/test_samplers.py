"""Samplers by name: sound for conditions, choices, steps and integers; each learns from results, or covers the space."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from search.study.sampler import ExhaustedError, suggest_parameters
from search.study.samplers.positions import to_point, to_position, to_value
from search.study.samplers.results import Result, TrialHistory, select_results
from search.study.trials import Trial
from spaces import feasibility
from spaces.schema import Budget, Dimension, Space, Stopping, Value
from tests.search.support import epoch, space

RATE = Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-1)
LEAK = Dimension("network.leak", "uniform", 0.0, 0.5)
BATCH = Dimension("optimizer.batch_size", "int", 16, 128, step=16)
WIDTH = Dimension("network.width", "log_int", 4, 512)
MERGE = Dimension("network.merge", "choice", choices=("concat", "sum"))
LOSS = Dimension("loss.regression", "choice", choices=("mse", "smooth_l1"))
DELTA = Dimension("loss.huber_delta", "uniform", 0.05, 0.5, when=(("loss.regression", ("smooth_l1",)),))
MIXED = (LOSS, DELTA, RATE, BATCH, WIDTH, MERGE)


def searching(*dimensions: Dimension, **changes: Any) -> Space:
    """Return a space with these dimensions, in which every trial runs one epoch."""
    changed = {"search": dimensions, "baseline": {}, "start": (), "stopping": Stopping(rule="none")} | changes
    return space(budget=Budget(trials=100, epochs=1), **changed)


def distance(point: dict[str, Value]) -> float:
    """Return the distance of a point from a learning rate of 3e-3 and a leak of 0.1, in the lengths of the ranges."""
    rate, leak = float(str(point["optimizer.lr"])), float(str(point.get("network.leak", 0.1)))
    return math.hypot(math.log10(rate / 3e-3) / 3, (leak - 0.1) / 0.5)


def trial(number: int, point: dict[str, Value], *values: float) -> Trial:
    metrics = dict(zip(("f1_0.3m", "loss"), values, strict=False))
    epochs = (epoch(1, **{"f1": metrics.pop("f1_0.3m"), **metrics}),) if values else ()
    return Trial(number, point, "finished" if values else "running", "", epochs, None, number == 0, {})


def run_search(searched: Space, count: int) -> list[Trial]:
    """Return the trials of a search whose score is higher the nearer a point is to the best one."""
    trials: list[Trial] = []
    history = TrialHistory(searched)
    for number in range(count):
        point = suggest_parameters(searched, trials, number, history)
        trials.append(trial(number, point, -distance(point)))
    return trials


@pytest.mark.parametrize("sampler", ["auto", "tpe", "gp", "qmc", "random"])
def test_points_of_every_sampler_are_in_the_space_and_none_is_repeated(sampler: Any) -> None:
    searched = searching(*MIXED, sampler=sampler)
    trials = run_search(searched, 16)
    for one in trials:
        assert {d.name for d in MIXED if d.is_active(one.parameters)} == set(one.parameters)
        assert all(d.contains_value(one.parameters[d.name]) for d in MIXED if d.name in one.parameters)
    assert len({feasibility.point_key(MIXED, one.parameters) for one in trials}) == 16
    assert {"mse", "smooth_l1"} == {one.parameters["loss.regression"] for one in trials}
    assert [one.parameters for one in run_search(searched, 14)] == [one.parameters for one in trials[:14]]


def test_auto_is_tpe() -> None:
    assert run_search(searching(RATE, LEAK, sampler="auto"), 20) == run_search(searching(RATE, LEAK, sampler="tpe"), 20)


@pytest.mark.parametrize(("sampler", "count"), [("tpe", 60), ("cma", 60), ("gp", 16)])
def test_a_model_comes_nearer_to_the_best_point_than_chance(sampler: Any, count: int) -> None:
    def last(name: Any) -> float:
        return float(
            np.median(
                [distance(dict(t.parameters)) for t in run_search(searching(RATE, LEAK, sampler=name), count)[-6:]]
            )
        )

    assert last(sampler) < 0.5 * last("random")


def test_a_gaussian_process_learns_in_spaces_with_conditions() -> None:
    searched = searching(LOSS, DELTA, RATE, LEAK, sampler="gp")
    generator = random.Random(0)
    points = [feasibility.draw_point(searched.search, generator) for _ in range(40)]
    trials = [
        trial(n, point, -distance(point) - 0.5 * (point["loss.regression"] == "mse")) for n, point in enumerate(points)
    ]
    suggested = [suggest_parameters(searched, trials, number) for number in range(100, 106)]
    assert sum(point["loss.regression"] == "smooth_l1" for point in suggested) >= 5
    assert np.median([distance(point) for point in suggested]) < 0.5 * np.median([distance(point) for point in points])


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_model_takes_several_objectives(sampler: Any) -> None:
    objectives = (("f1_0.3m", "maximize"), ("loss", "minimize"))
    searched = searching(RATE, LEAK, sampler=sampler, objectives=objectives)
    generator = random.Random(0)
    points = [feasibility.draw_point(searched.search, generator) for _ in range(40)]
    trials = [
        trial(n, p, -distance(p), distance(p) + 0.1 * float(str(p["network.leak"]))) for n, p in enumerate(points)
    ]
    suggested = [suggest_parameters(searched, trials, number) for number in range(100, 106)]
    assert np.median([distance(p) for p in suggested]) < 0.6 * np.median([distance(p) for p in points])


def test_a_sobol_sequence_covers_every_dimension_evenly() -> None:
    searched = searching(RATE, LEAK, MERGE, DELTA, LOSS, sampler="qmc")
    points = [suggest_parameters(searched, [], number) for number in range(16)]
    for dimension in (RATE, LEAK):
        shares = [int(16 * to_position(dimension, point[dimension.name])) for point in points]
        assert sorted(shares) == list(range(16))
    assert sum(point["network.merge"] == "sum" for point in points) == 8
    assert points != [suggest_parameters(searching(*searched.search, sampler="qmc", seed=1), [], n) for n in range(16)]


def test_an_impossible_point_of_a_sequence_is_followed_by_one_of_no_other_trial() -> None:
    width = Dimension("network.decoder_width", "int", 16, 64)  # a multiple of 8
    trials = run_search(searching(width, RATE, sampler="qmc"), 24)
    assert len({one.parameters["optimizer.lr"] for one in trials}) == 24
    assert {int(str(one.parameters["network.decoder_width"])) % 8 for one in trials} == {0}


def test_a_grid_runs_all_points_once_whatever_their_results_are() -> None:
    searched = searching(LOSS, BATCH, MERGE, sampler="grid")
    trials: list[Trial] = []
    for number in range(32):
        trials.append(trial(number, suggest_parameters(searched, trials, number), 0.5))
    assert len({feasibility.point_key(searched.search, one.parameters) for one in trials}) == 32
    assert trials[0].parameters != feasibility.list_points(searched.search)[0]  # type: ignore[index]
    with pytest.raises(ExhaustedError, match="all possible points"):
        suggest_parameters(searched, trials, 32)


def test_cma_es_keeps_steps_and_integers() -> None:
    dimensions = (BATCH, WIDTH, RATE)
    trials = run_search(searching(*dimensions, sampler="cma"), 40)
    assert all(d.contains_value(one.parameters[d.name]) for one in trials for d in dimensions)


def test_cma_es_does_not_follow_a_point_that_another_distribution_gave() -> None:
    """A good starting point in a corner must not make the distribution as wide as the space."""
    searched = searching(RATE, LEAK, sampler="cma")
    trials = run_search(searched, 60)
    corner = trial(60, {"optimizer.lr": 1e-4, "network.leak": 0.5}, 0.0)
    more = [*trials, corner, *(trial(n, dict(trials[-1].parameters), -0.5) for n in range(61, 66))]
    spread = [distance(suggest_parameters(searched, more, number)) for number in range(100, 120)]
    assert np.median(spread) < 0.2


@pytest.mark.parametrize("dimension", MIXED, ids=lambda d: d.name)
def test_equal_lengths_of_a_dimension_have_equal_probabilities(dimension: Dimension) -> None:
    values = dimension.grid_values(200)
    drawn = [to_value(dimension, (n + 0.5) / 1000) for n in range(1000)]
    assert all(
        dimension.contains_value(value) for value in [*drawn, to_value(dimension, 0.0), to_value(dimension, 1.0)]
    )
    assert [to_value(dimension, to_position(dimension, value)) for value in drawn] == pytest.approx(drawn)
    if values is not None and dimension.kind != "log_int":
        assert {drawn.count(value) for value in values} <= {1000 // len(values), -(-1000 // len(values))}


def test_inactive_dimensions_have_no_value() -> None:
    assert to_point((LOSS, DELTA), {"loss.regression": 0.1, "loss.huber_delta": 0.5}) == {"loss.regression": "mse"}


def test_a_history_changes_no_suggestion() -> None:
    searched = searching(*MIXED)
    trials = run_search(searched, 20)
    history = TrialHistory(searched)
    history.update([trial(0, {"optimizer.lr": 0.1}, 0.9), *trials[2:]])  # a trial was taken up by another one
    assert suggest_parameters(searched, trials, 20, history) == suggest_parameters(searched, trials, 20)
    running = [*trials[:-1], trial(19, dict(trials[-1].parameters))]
    assert suggest_parameters(searched, running, 20, history) == suggest_parameters(searched, running, 20)


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_best_results_are_among_those_that_a_model_is_fitted_to(objectives: int) -> None:
    from search.study import pareto

    generator = np.random.default_rng(0)
    values = [tuple(map(float, row)) for row in generator.integers(0, 300, size=(500, objectives))]
    results = [Result(n, {}, {}, None if n % 10 == 0 else value) for n, value in enumerate(values)]
    selected = select_results(results, 160, random.Random(0))
    numbers = [result.number for result in selected]
    assert numbers == sorted(numbers)
    assert set(range(0, 500, 10)) <= set(numbers)
    assert len(numbers) == 160 + 50
    finished = [result for result in results if result.values is not None]
    best = pareto.rank_order([result.values or () for result in finished])[:20]
    chosen = {result.values for result in selected}
    assert {finished[index].values for index in best} <= chosen


def test_a_resumed_search_may_have_another_sampler() -> None:
    assert searching(RATE, sampler="gp").identity() == searching(RATE).identity()
    assert "sampler" not in searching(RATE).identity()
