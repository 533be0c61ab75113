"""`python -m benchmarks.priors`: what right and wrong priors gain and cost, on functions of six parameters.

A right prior is off by a tenth of each range in the mean, a wrong one by half a range in every dimension, and a half right one is
wrong in three of them. The result is the distance of the best value so far from the optimum.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna

from benchmarks.measure import write_results
from search.study.samplers.model import ModelCandidates
from search.study.samplers.priors import PriorCandidates
from search.study.samplers.results import Result, TrialHistory
from spaces.load import load_space
from spaces.schema import Budget, Dimension, Prior, PriorWidth, Space

_PARAMETERS: Final = 6
_TRIALS: Final = 100
_REPORTED: Final = (10, 20, 40, 70, 100)
"""Numbers of trials after which the distance is reported."""
_WIDTHS: Final[tuple[PriorWidth, ...]] = ("narrow", "medium", "wide")

_HARTMANN_A: Final = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN_P: Final = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_HARTMANN_WEIGHTS: Final = np.array([1, 1.2, 3, 3.2])
_HARTMANN_BEST: Final = np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573])
_BOWL_BEST: Final = np.array([0.2, 0.7, 0.35, 0.6, 0.8, 0.45])
_BOWL_SCALES: Final = np.array([3, 1, 1, 1, 0.3, 0.1])


def hartmann(position: np.ndarray) -> float:
    """Return the value of the six-dimensional Hartmann function; its maximum is 3.32237."""
    exponents = (_HARTMANN_A * (position - _HARTMANN_P) ** 2).sum(axis=1)
    return float(_HARTMANN_WEIGHTS @ np.exp(-exponents))


def bowl(position: np.ndarray) -> float:
    """Return a negative quadratic function with curvatures from 0.1 to 3; its maximum is 0."""
    return -float((_BOWL_SCALES * (position - _BOWL_BEST) ** 2).sum())


_FUNCTIONS: Final[Mapping[str, tuple[Callable[[np.ndarray], float], np.ndarray]]] = {
    "hartmann": (hartmann, _HARTMANN_BEST),
    "bowl": (bowl, _BOWL_BEST),
}


def place_prior(best: np.ndarray, kind: str, seed: int) -> np.ndarray | None:
    """Return the values that a prior prefers; None for no prior."""
    generator = np.random.default_rng(seed)
    if kind == "none":
        return None
    right = np.clip(best + 0.1 * generator.standard_normal(_PARAMETERS), 0, 1)
    wrong = np.where(best < 0.5, best + 0.5, best - 0.5)
    is_right = generator.permutation(_PARAMETERS) < {"right": _PARAMETERS, "half": _PARAMETERS // 2, "wrong": 0}[kind]
    chosen: np.ndarray = np.where(is_right, right, wrong)
    return chosen


def search_space(prior: np.ndarray | None, width: PriorWidth, seed: int) -> Space:
    """Return a space of six ranges from 0 to 1."""
    dimensions = tuple(
        Dimension(f"x{n}", "uniform", 0, 1, prior=None if prior is None else Prior(float(prior[n]), width))
        for n in range(_PARAMETERS)
    )
    space = load_space(Path("spaces/rg_rep.yaml"), has_gpu=True, profile="full")
    return dataclasses.replace(space, search=dimensions, budget=Budget(trials=_TRIALS, epochs=1), seed=seed)


def run_search(name: str, prior: np.ndarray | None, width: PriorWidth, seed: int) -> list[float]:
    """Return the distance of the best value from the optimum after each number of trials in `_REPORTED`."""
    function, best = _FUNCTIONS[name]
    space = search_space(prior, width, seed)
    encoder = TrialHistory(space).encoder
    results: list[Result] = []
    values: list[float] = []
    for number in range(1, _TRIALS + 1):
        candidates: Any = ModelCandidates(space, results, number, encoder)
        if prior is not None:
            candidates = PriorCandidates(space, results, number, candidates)
        point = candidates.draw()
        values.append(function(np.array([point[dimension.name] for dimension in space.search])))
        results.append(Result(number, point, dict(point), (values[-1],)))
    return [function(best) - max(values[:count]) for count in _REPORTED]


def measure_priors(seeds: int) -> dict[str, Any]:
    """Return the mean and the median distance, with the standard error of the mean, per function, prior and width."""
    rows: dict[str, Any] = {}
    cases = [("none", "medium"), *((kind, width) for width in _WIDTHS for kind in ("right", "half", "wrong"))]
    for name in _FUNCTIONS:
        for kind, width in cases:
            best = _FUNCTIONS[name][1]
            runs = [run_search(name, place_prior(best, kind, seed), width, seed) for seed in range(seeds)]
            columns = list(zip(*runs, strict=True))
            key = f"{name} {kind}" + ("" if kind == "none" else f" {width}")
            rows[key] = {
                "mean": [round(statistics.fmean(column), 4) for column in columns],
                "standard_error": [round(statistics.stdev(column) / seeds**0.5, 4) for column in columns],
                "median": [round(statistics.median(column), 4) for column in columns],
            }
            print(key, rows[key]["mean"], flush=True)
    return {"trials": _REPORTED, "seeds": seeds, "distances": rows}


def main() -> None:
    """Run the benchmark, print its result and store it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priors", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(write_results("priors", measure_priors(parser.parse_args().seeds)))


if __name__ == "__main__":
    main()
