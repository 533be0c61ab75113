"""Methods: their rules on values given by hand, and that a trial's own parameters replace a proposal."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.efficiency.methods import environments
from benchmarks.efficiency.methods.base import Method, Resume, Start
from benchmarks.efficiency.methods.environments import UnavailableError
from benchmarks.efficiency.methods.optuna_hyperband import OptunaHyperband
from benchmarks.efficiency.methods.ours import Ours, OursComparable, OursRanked, OursStopping
from benchmarks.efficiency.methods.random_search import OneEpochThenBest, RandomAsha, RandomSearch
from benchmarks.efficiency.methods.registry import METHODS
from benchmarks.efficiency.methods.remote import Environment, MethodProcess, RemoteMethod
from benchmarks.efficiency.problem import Problem, Variable
from benchmarks.efficiency.simulator import Simulation
from benchmarks.efficiency.tasks.hartmann import HartmannTask

PROBLEM = Problem(
    (
        Variable("kind", "choice", choices=("a", "b")),
        Variable("x", "uniform", 0.0, 1.0),
        Variable("n", "log_int", 1, 100),
        Variable("y", "uniform", 0.0, 1.0, when=(("kind", ("b",)),)),
    ),
    epochs=9,
    baseline={"kind": "a", "x": 0.5, "n": 10},
)


def start(method: Method, trial: int, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    work = method.ask(may_start=True)
    assert isinstance(work, Start)
    method.begin(trial, parameters or dict(work.point))
    return dict(work.point)


def is_inside(point: dict[str, Any]) -> bool:
    names = {"kind", "x", "n"} | ({"y"} if point["kind"] == "b" else set())
    return point.keys() == names and 0 <= point["x"] <= 1 and 1 <= point["n"] <= 100


@pytest.mark.parametrize("kind", [RandomSearch, RandomAsha, OneEpochThenBest, OptunaHyperband, Ours])
def test_proposals_are_inside_the_space_and_depend_on_the_seed_only(kind: type[Method]) -> None:
    def propose(seed: int) -> list[dict[str, Any]]:
        method = kind(PROBLEM, seed)
        return [start(method, trial) for trial in range(12)]

    first = propose(1)
    assert all(map(is_inside, first))
    assert propose(1) == first
    assert propose(2)[1:] != first[1:]


def test_random_asha_continues_the_best_third_of_those_at_a_rung() -> None:
    method = RandomAsha(PROBLEM, 0)
    assert method.tell(0, 1, 5.0, 1.0) == "continue"  # alone
    assert method.tell(1, 1, 4.0, 1.0) == "stop"
    assert method.tell(2, 1, 4.5, 1.0) == "stop"
    assert method.tell(3, 1, 4.8, 1.0) == "continue"  # second of four
    assert method.tell(0, 2, 0.0, 1.0) == "continue"  # no rung
    assert method.tell(0, 3, 0.0, 1.0) == "continue"
    assert method.tell(3, 3, 4.9, 1.0) == "stop"  # the best value so far of trial 0 is 5


def test_half_of_the_epochs_go_to_the_best_after_one_epoch() -> None:
    method = OneEpochThenBest(PROBLEM, 0)
    for trial in range(8):
        start(method, trial)
        assert method.tell(trial, 1, float(trial % 5), 1.0) == "pause"
    assert method.ask(may_start=True) == Resume(4)
    assert method.tell(4, 2, 0.0, 1.0) == "continue"
    assert isinstance(method.ask(may_start=True), Start)
    assert method.ask(may_start=False) == Resume(3)  # no configuration is left to start


def test_a_trial_of_optuna_has_the_parameters_that_it_was_assigned() -> None:
    method = OptunaHyperband(PROBLEM, 0)
    assigned = {"kind": "b", "x": 0.125, "n": 7, "y": 0.25}
    start(method, 0, assigned)
    for epoch in range(1, 10):
        method.tell(0, epoch, 1.0, 1.0)
    [trial] = method._study.get_trials()
    assert trial.params == assigned
    assert trial.value == 1.0
    assert all(is_inside(start(method, number)) for number in range(1, 15))


def test_optuna_gets_failures_and_pruned_trials_as_such() -> None:
    method = OptunaHyperband(PROBLEM, 0)
    for trial in range(30):
        start(method, trial)
        for epoch in range(1, 10):
            if method.tell(trial, epoch, None if trial == 3 else -float(trial), 1.0) == "stop":
                break
    states = [trial.state.name for trial in method._study.get_trials()]
    assert states[3] == "FAIL"
    assert {"COMPLETE", "PRUNED"} <= set(states)


@pytest.mark.parametrize("kind", [Ours, OursStopping])
def test_our_baseline_comes_first_and_never_waits(kind: type[Ours]) -> None:
    method = kind(PROBLEM, 0)
    assert start(method, 0) == PROBLEM.baseline
    start(method, 1)
    assert method.tell(0, 1, 1.0, 1.0) == "continue"
    waits = "pause" if kind.pauses else "stop"
    assert method.tell(1, 1, 5.0, 1.0) == waits  # the first of two, of which none may continue yet
    start(method, 2)
    assert method.tell(2, 1, 2.0, 1.0) == waits
    if kind.pauses:
        assert method.ask(may_start=True) == Resume(1)
        assert method.tell(1, 2, 5.0, 1.0) == "continue"
    else:
        start(method, 3)


@pytest.mark.parametrize("kind", [Ours, OursComparable, OursRanked])
def test_our_sampler_learns_from_the_assigned_parameters(kind: type[Ours]) -> None:
    method = kind(PROBLEM, 0)
    generator = random.Random(0)

    def propose() -> Start:
        while isinstance(work := method.ask(may_start=True), Resume):
            assert method.tell(work.trial, 2, method._trials[work.trial].epochs[0].metrics["value"], 1.0) == "continue"
        assert work is not None
        return work

    for trial in range(60):
        propose()
        method.begin(trial, {"kind": "a", "x": (x := generator.random()), "n": 10})
        if method.tell(trial, 1, -abs(x - 0.2), 1.0) == "continue":
            method.tell(trial, 2, -abs(x - 0.2), 1.0)
    proposed = []
    for trial in range(60, 75):
        proposed.append(propose().point["x"])
        method.begin(trial, dict(PROBLEM.baseline or {}))
    assert sum(abs(x - 0.2) < 0.15 for x in proposed) >= 10


def test_ray_is_told_results_in_the_order_of_its_controller() -> None:
    from benchmarks.efficiency.methods.ray_pair import RayPair

    method = RayPair(PROBLEM, 0)
    assigned = {"kind": "b", "x": 0.125, "n": 7, "y": 0.25}
    for trial in range(3):
        start(method, trial, assigned if trial == 0 else None)
    assert method.tell(0, 1, 5.0, 1.0) == "continue"
    assert method.tell(1, 1, 1.0, 1.0) == "stop"
    for epoch in range(2, 9):
        assert method.tell(0, epoch, 5.0, 1.0) == "continue"
    assert method.tell(0, 9, 6.0, 1.0) == "stop"
    method.tell(2, 1, None, 1.0)
    first, second, third = method._searcher._ot_study.get_trials()
    assert (first.params, first.value, set(first.intermediate_values)) == (assigned, 6.0, set(range(1, 9)))
    assert (second.value, second.intermediate_values) == (1.0, {})
    assert third.state.name == "FAIL"


def test_a_method_in_another_process_does_the_same() -> None:
    process = MethodProcess(Environment(Path(sys.executable), (environments.ROOT,)))
    task = HartmannTask("h", 3, 2.5, 2.0)

    def simulate(method: Method) -> dict[str, Any]:
        trace = vars(Simulation(task.open_session(0), method, 4, 60).run())
        return {key: value for key, value in trace.items() if key not in ("ask_seconds", "tell_seconds")}

    for kind in ("OneEpochThenBest", "RandomAsha"):
        path = f"benchmarks.efficiency.methods.random_search:{kind}"
        local = {"OneEpochThenBest": OneEpochThenBest, "RandomAsha": RandomAsha}[kind](task.problem, 5)
        assert simulate(RemoteMethod(task.problem, 5, process, path)) == simulate(local)
    process.close()


def test_a_process_that_ends_is_reported_with_its_messages() -> None:
    process = MethodProcess(Environment(Path(sys.executable), (environments.ROOT,)))
    with pytest.raises(RuntimeError, match="no_such_module"):
        RemoteMethod(PROBLEM, 0, process, "no_such_module:Method")
    process.close()


def test_the_commit_of_yesterday_is_searched_with_its_own_packages(tmp_path: Path) -> None:
    repository = subprocess.run(["git", "rev-parse"], cwd=environments.ROOT, capture_output=True, check=False)
    if repository.returncode:
        pytest.skip("no git repository")
    try:
        environment = environments.open_commit("b016912", tmp_path)
    except UnavailableError:
        pytest.skip("a shallow clone")
    assert (environment.folders[0] / "search/study/sampler.py").is_file()
    assert not (environment.folders[0] / "benchmarks").exists()
    assert environments.open_commit("b016912", tmp_path) == environment


def test_syne_tune_pauses_and_resumes_trials_with_assigned_parameters() -> None:
    if not (environments.SYNE_TUNE / "requirements.sha256").is_file():
        pytest.skip("the benchmark has not installed Syne Tune")
    process = MethodProcess(environments.open_syne_tune())
    try:
        method = RemoteMethod(PROBLEM, 0, process, "benchmarks.efficiency.methods.syne_tune_methods:SyneTuneAsha")
        for trial in range(3):
            start(method, trial, {"kind": "b", "x": trial / 10, "n": 7, "y": 0.25})
        assert [method.tell(trial, 1, float(trial), 1.0) for trial in range(3)] == ["pause"] * 3
        assert method.ask(may_start=True) == Resume(2)
        assert method.tell(2, 2, 5.0, 1.0) == "continue"
        assert method.tell(2, 3, 5.0, 1.0) == "pause"
        assert is_inside(start(method, 3))
    finally:
        process.close()


def test_an_environment_that_cannot_be_made_gives_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        environments.open_commit("0000000", tmp_path)
    assert not (tmp_path / "commits" / "0000000").exists()


def test_digests_change_with_the_sources_of_our_engine_only() -> None:
    assert METHODS["ray"].digest == "1"
    assert METHODS["ours"].digest.startswith("1-")
