"""`python -m benchmarks.warm_start`: what earlier searches are worth to a new one, in simulated searches with a known optimum.

A search of 60 trials of an earlier task is followed by one of a new task, whose optimum is close to that of the earlier task
(related), at the same place except for the most important dimension (half misleading), or at the opposite corner
(misleading). Results of the earlier task have another scale. The new search proposes with `sampler: auto` and stops by
ASHA, one trial at a time, and starts

* without the earlier search (`cold`),
* with its best k trials as starting points (`best k`), or with the best that are apart from each other (`apart k`),
* with up to k of its best, each after the one before is among the better half of all trials at the first rung (`gradual k`),
* with a number of its trials as results in the sampler: their ranks become quantiles of the new results, and each new result
  takes the place of one of them (`prior n`), or with both (`best 2, prior 16`).

The table has the mean distance of the best result from the optimum after a number of epochs, with its paired difference
from `cold`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from benchmarks.measure import write_results
from datasets.none import NoneSpec
from search.study.sampler import suggest_parameters
from search.study.samplers.results import Result, TrialHistory
from search.study.stopping.rule import rung_epochs
from search.study.trials import Epoch, Trial
from spaces.points import complete_point
from spaces.schema import Budget, Dimension, Resources, Space, Stopping, Value

_NAMES: Final = ("a", "b", "c", "d")
_EPOCHS: Final = 27
_TRIALS: Final = 60
_AT: Final = (54, 108, 216)
"""Epochs at which the best result is noted; the baseline alone takes 27."""
_NOISE: Final = 0.01
_APART: Final = 0.2
"""Distance in at least one dimension of trials that are apart, as a share of its range."""
KINDS: Final = ("related", "half misleading", "misleading")
METHODS: Final = (
    *("cold", "best 1", "best 2", "best 3", "best 5", "apart 5", "gradual 3"),
    *("prior 16", "best 2, prior 16"),
)


class Config(BaseModel):
    """Config with four parameters."""

    a: float = Field(0.5, ge=0, le=1, description="parameter")
    b: float = Field(0.5, ge=0, le=1, description="parameter")
    c: float = Field(0.5, ge=0, le=1, description="parameter")
    d: float = Field(0.5, ge=0, le=1, description="parameter")


def train(config: Config, epochs: int) -> list[dict[str, float]]:
    """Stand for the trainable of the space; the simulation computes the results itself."""
    raise NotImplementedError(f"{config} is not trained for {epochs} epochs")


@dataclass(frozen=True)
class Task:
    """Function to maximise, with learning curves.

    Attributes:
        optimum: Point with the value 1.
        weights: Importance of each dimension.
        scale: Factor and offset of the results, which another data set has.
    """

    optimum: NDArray[np.float64]
    weights: NDArray[np.float64]
    scale: tuple[float, float] = (1.0, 0.0)

    def curve(self, point: Sequence[float], generator: np.random.Generator) -> list[float]:
        """Return the result of each epoch of a training."""
        offset = np.asarray(point) - self.optimum
        ripple = 0.02 * float(np.sum(1 - np.cos(9 * np.pi * offset)))
        best = 1 - math.sqrt(float(self.weights @ offset**2)) - ripple
        rate = 0.15 + 0.35 * point[0]
        noise = generator.normal(0, _NOISE, _EPOCHS)
        factor, shift = self.scale
        curve = best - 0.5 * np.exp(-rate * np.arange(_EPOCHS)) + noise
        return [float(value) for value in factor * curve + shift]


def draw_tasks(seed: int, kind: str) -> tuple[Task, Task]:
    """Return the task of an earlier search and that of the new one."""
    generator = np.random.default_rng(seed)
    optimum = generator.uniform(0.1, 0.9, len(_NAMES))
    weights = generator.permutation([1.5, 0.7, 0.2, 0.02])
    earlier = np.clip(optimum + generator.normal(0, 0.05, len(_NAMES)), 0, 1)
    if kind == "misleading":
        earlier = np.where(optimum < 0.5, 0.95, 0.05)
    elif kind == "half misleading":
        first = int(np.argmax(weights))
        earlier[first] = 0.95 if optimum[first] < 0.5 else 0.05
    varied = weights * np.exp(generator.normal(0, 0.3, len(_NAMES)))
    return Task(earlier, varied, (0.3, 0.2)), Task(optimum, weights)


def make_space(seed: int) -> Space:
    """Return the space of both searches."""
    return Space(
        name="warm_start",
        trainable="benchmarks.warm_start:train",
        dataset=NoneSpec(),
        fixed={},
        search=tuple(Dimension(name, "uniform", 0.0, 1.0) for name in _NAMES),
        inner={},
        objectives=(("score", "maximize"),),
        baseline={},
        start=(),
        stopping=Stopping(),
        budget=Budget(trials=_TRIALS, epochs=_EPOCHS),
        resources=Resources(),
        seed=seed,
        profile=None,
    )


class PriorHistory(TrialHistory):
    """History with earlier results, of which each own one replaces one.

    Args:
        space: Space of the search.
        earlier: Points of an earlier search, best first.
        count: Number of earlier results before there are own ones.
    """

    def __init__(self, space: Space, earlier: Sequence[dict[str, Value]], count: int) -> None:
        super().__init__(space)
        self._earlier = earlier
        self._count = count

    def list_comparable(self) -> list[Result]:
        """Return the own results, and earlier ones at their quantiles among them."""
        own = super().list_comparable()
        known = sorted(result.values[0] for result in own if result.values is not None) or [0.0, 1.0]
        left = max(0, self._count - len(own))
        results = []
        for rank in np.linspace(0, len(self._earlier) - 1, left).astype(int):
            point = self._earlier[rank]
            stored = self.encoder.encode(point)
            assert stored is not None
            quantile = float(np.quantile(known, 1 - rank / max(1, len(self._earlier) - 1)))
            results.append(Result(-1 - int(rank), point, stored, (quantile,)))
        return [*results, *own]


def run_search(
    task: Task,
    space: Space,
    starts: Sequence[dict[str, Value]],
    history: TrialHistory,
    epochs: int,
    *,
    gradual: bool = False,
) -> list[Trial]:
    """Return the trials of a search, one after the other, until a number of epochs or of trials."""
    generator = np.random.default_rng([space.seed, 1])
    queue = [complete_point(space, {}), *starts]
    trials: list[Trial] = []
    while len(trials) < space.budget.trials and sum(len(trial.epochs) for trial in trials) < epochs:
        number = len(trials)
        if gradual and number > 1 and not _is_better_half(trials[-1], trials, space):
            queue = []
        point = queue[number] if number < len(queue) else suggest_parameters(space, trials, number, history)
        curve = task.curve([float(str(point[name])) for name in _NAMES], generator)
        kept = _stop(curve, trials, space, is_baseline=number == 0)
        results = tuple(Epoch(n, {"score": value}, {}, 1.0) for n, value in enumerate(curve[:kept], start=1))
        outcome: Any = "finished" if kept == _EPOCHS else "stopped"
        trials.append(Trial(number, point, outcome, "", results, None, number == 0, {}))
    return trials


def _is_better_half(trial: Trial, trials: Sequence[Trial], space: Space) -> bool:
    values = [t.best_objectives_until(space.stopping.first_rung, space.objectives) for t in trials]
    own = trial.best_objectives_until(space.stopping.first_rung, space.objectives)
    assert own is not None
    return sum(value is not None and value > own for value in values) < len(values) / 2 - 0.5


def _stop(curve: Sequence[float], trials: Sequence[Trial], space: Space, *, is_baseline: bool) -> int:
    """Return the number of epochs after which ASHA stops a training."""
    if is_baseline:
        return _EPOCHS
    for rung in rung_epochs(space.stopping, _EPOCHS):
        others = [b for trial in trials if (b := trial.best_objectives_until(rung, space.objectives)) is not None]
        better = sum(other[0] > max(curve[:rung]) for other in others)
        if better >= math.ceil((len(others) + 1) / space.stopping.reduction):
            return rung
    return _EPOCHS


def rank_points(trials: Sequence[Trial], space: Space) -> list[dict[str, Value]]:
    """Return the points of an earlier search, best first."""
    from search.study.trials import rank_trials

    return [dict(trial.parameters) for trial in rank_trials(trials, space.objectives)]


def choose_apart(points: Sequence[dict[str, Value]], count: int) -> list[dict[str, Value]]:
    """Return the best points that are apart from each other."""
    chosen: list[dict[str, Value]] = []
    for point in points:
        own = np.array([float(str(point[name])) for name in _NAMES])
        others = [np.array([float(str(other[name])) for name in _NAMES]) for other in chosen]
        if len(chosen) < count and all(np.max(np.abs(own - other)) >= _APART for other in others):
            chosen.append(point)
    return chosen


def run_method(method: str, task: Task, space: Space, earlier: Sequence[dict[str, Value]]) -> list[float]:
    """Return the distance of the best result from the optimum after each of `_AT` epochs."""
    starts: list[dict[str, Value]] = []
    history, gradual = TrialHistory(space), False
    for part in method.split(", "):
        name, _, number = part.partition(" ")
        if name == "best":
            starts = list(earlier[: int(number)])
        elif name == "gradual":
            starts, gradual = list(earlier[: int(number)]), True
        elif name == "apart":
            starts = choose_apart(earlier, int(number))
        elif name == "prior":
            history = PriorHistory(space, earlier, int(number))
    trials = run_search(task, space, starts, history, max(_AT), gradual=gradual)
    values = [epoch.metrics["score"] for trial in trials for epoch in trial.epochs]
    return [1 - max(values[:at]) for at in _AT]


def simulate(kind: str, seed: int) -> dict[str, list[float]]:
    """Return the distances of all methods for one pair of tasks."""
    earlier_task, task = draw_tasks(seed, kind)
    earlier_space, space = make_space(10_000 + seed), make_space(seed)
    earlier = run_search(earlier_task, earlier_space, [], TrialHistory(earlier_space), 10**6)
    points = rank_points(earlier, earlier_space)
    return {method: run_method(method, task, space, points) for method in METHODS}


def summarise(runs: Sequence[dict[str, list[float]]]) -> dict[str, list[dict[str, float]]]:
    """Return mean, paired difference from `cold` and its standard error, per method and number of epochs."""
    cold = np.array([run["cold"] for run in runs])
    table = {}
    for method in METHODS:
        values = np.array([run[method] for run in runs])
        gap = values - cold
        error = gap.std(axis=0, ddof=1) / math.sqrt(len(runs))
        table[method] = [
            {"mean": float(m), "difference": float(d), "error": float(e)}
            for m, d, e in zip(values.mean(axis=0), gap.mean(axis=0), error, strict=True)
        ]
    return table


def main() -> None:
    """Simulate, print the tables, and write them to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm_start", description="Worth of earlier searches.")
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    results = {}
    for kind in KINDS:
        results[kind] = summarise([simulate(kind, seed) for seed in range(options.seeds)])
        print(f"\n{kind}: distance from the optimum after {', '.join(map(str, _AT))} epochs")
        for method, cells in results[kind].items():
            texts = [f"{cell['mean']:.3f} ({cell['difference']:+.3f} ± {cell['error']:.3f})" for cell in cells]
            print(f"  {method:<18}{'  '.join(texts)}", flush=True)
    write_results("warm_start", {"seeds": options.seeds, "epochs": list(_AT), "tables": results})


if __name__ == "__main__":
    main()
