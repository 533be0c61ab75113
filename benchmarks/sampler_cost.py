"""`python -m benchmarks.sampler_cost`: CPU time of a proposal after 100, 1,000 and 10,000 trials, by sampler.

Up to 400 of the trials are running, of which half have a result. The last row is measured with a study of as many ended trials
in a journal; its time includes what a search does besides: reading the trials and recording the new one.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import optuna

from benchmarks.measure import write_results
from search.study.encoding import EPOCH, PointEncoder
from search.study.sampler import suggest_parameters
from search.study.samplers.results import TrialHistory
from search.study.study import Study
from search.study.trials import Epoch, Trial
from spaces import feasibility
from spaces.load import load_space
from spaces.schema import Budget, SamplerName, Space, Stopping, Value

_COUNTS: Final = (100, 1_000, 10_000)
_MOST_RUNNING: Final = 400
_REPETITIONS: Final = 7


def search_space(sampler: SamplerName) -> Space:
    """Return the space `rg_rep`; for CMA-ES its ranges only, and for a grid its choices only."""
    space = load_space(Path("spaces/rg_rep.yaml"), has_gpu=True, profile="full")
    ranges = tuple(d for d in space.search if d.kind != "choice" and not d.when)
    choices = tuple(d for d in space.search if d.kind == "choice")
    search = {"cma": ranges, "grid": choices}.get(sampler, space.search)
    budget, stopping = Budget(trials=20_000, epochs=9), Stopping(first_rung=1, reduction=3)
    return replace(space, search=search, budget=budget, stopping=stopping, sampler=sampler)


def draw_epochs(point: dict[str, Value], generator: random.Random, count: int) -> tuple[Epoch, ...]:
    """Return the epochs of a trial, with an artificial F1."""
    rate = point.get("optimizer.lr", 1e-3)
    quality = math.exp(-((math.log10(float(str(rate))) + 2.5) ** 2))
    return tuple(
        Epoch(epoch, {"f1_mean": quality * epoch / (epoch + 2) + 0.01 * generator.random()}, {"threshold": 0.5}, 60.0)
        for epoch in range(1, count + 1)
    )


def draw_trials(space: Space, count: int) -> list[Trial]:
    """Return trials of random points, most of which were stopped at the first rung."""
    generator = random.Random(0)
    trials = []
    for number in range(count):
        is_running = number >= count - min(_MOST_RUNNING, count // 4)
        length = 0 if is_running and generator.random() < 0.5 else generator.choice([1] * 6 + [3] * 2 + [9])
        point = feasibility.draw_point(space.search, generator)
        epochs = draw_epochs(point, generator, length)
        outcome: Any = "running" if is_running else "stopped"
        trials.append(Trial(number, point, outcome, "", epochs, None, number == 0, {}))
    return trials


def measure_sampler(sampler: SamplerName, count: int) -> dict[str, float]:
    """Return the time of the first proposal of a process, and the median of the next ones, in milliseconds."""
    space = search_space(sampler)
    trials, history = draw_trials(space, count), TrialHistory(space)
    suggest_parameters(space, trials[:50], 50)  # imports
    first = _measure(lambda: suggest_parameters(space, trials, count, history))
    times = [
        _measure(lambda number=count + n: suggest_parameters(space, trials, number, history))  # type: ignore[misc]
        for n in range(_REPETITIONS)
    ]
    return {"first_ms": first, "median_ms": statistics.median(times), "longest_ms": max(times)}


def measure_study(count: int) -> dict[str, float]:
    """Return the median time in which a study gives the next trial, in milliseconds."""
    space = search_space("auto")
    encoder = PointEncoder(space.search)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal", space)
        study._study.add_trials([_to_optuna(trial, encoder) for trial in draw_trials(space, count)])
        for _ in range(min(_MOST_RUNNING, count // 4)):
            study.next_trial()
        times = [_measure(study.next_trial) for _ in range(_REPETITIONS)]
    return {"median_ms": statistics.median(times), "longest_ms": max(times)}


def _to_optuna(trial: Trial, encoder: PointEncoder) -> optuna.trial.FrozenTrial:
    stored = encoder.encode(trial.parameters) or {}
    contents = {
        f"{EPOCH}{epoch.epoch:05d}": {"metrics": dict(epoch.metrics), "setting": dict(epoch.setting), "seconds": 60.0}
        for epoch in trial.epochs
    }
    distributions = {name: encoder.distributions[name] for name in stored}
    state = optuna.trial.TrialState.PRUNED
    return optuna.trial.create_trial(state=state, params=stored, distributions=distributions, user_attrs=contents)


def _measure(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return round(1000 * (time.process_time() - started), 1)


def main() -> None:
    """Run the benchmark, print its result and store it."""
    argparse.ArgumentParser(prog="python -m benchmarks.sampler_cost", description=__doc__).parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: tuple[SamplerName, ...] = ("tpe", "gp", "cma", "qmc", "random", "grid")
    result: dict[str, Any] = {}
    for name in samplers:
        counts = (20, 80) if name == "grid" else _COUNTS
        result[name] = {count: measure_sampler(name, count) for count in counts}
        print(name, result[name], flush=True)
    result["next_trial"] = {count: measure_study(count) for count in _COUNTS}
    print("next_trial", result["next_trial"])
    print(write_results("sampler_cost", result))


if __name__ == "__main__":
    main()
