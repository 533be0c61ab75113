"""`python -m benchmarks.verdicts`: false and missed improvements of `search.study.verdict` on planted truth.

Configurations are simulated whose true values are known: a search of 12 trials picks the best by a noisy validation score, and
its top is confirmed together with a baseline and a starting point, as a search does. The noise between seeds and the number
of scenes are those of the laptop profile of `rg_rep`, roughly: F1 with a standard deviation of 0.01 between seeds. In further
cases one configuration varies three or five times as much between seeds as the others, or the baseline is far below them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import write_results
from search.study.verdict import Candidate, judge_candidates, resample_scenes

_SCENES: Final = 1000
_RESAMPLES: Final = 500
_SEED_NOISE: Final = 0.01
_SOURCES: Final = 1.5
"""Mean number of sources per scene."""
_SIZES: Final = ((2, 1), (3, 1), (3, 2), (5, 3))
"""Seeds per configuration, and confirmed trials."""
_DIFFERENCES: Final = (0, 1, 2, 3, 4, 6)


@dataclass(frozen=True)
class Case:
    """Planted truth of simulated confirmations.

    Attributes:
        name: Name in the table.
        noise: Standard deviation between seeds of the baseline, the starting point and the trials, relative to the usual one.
        gap: Distance of the baseline below the starting point.
    """

    name: str
    noise: tuple[float, float, float] = (1, 1, 1)
    gap: float = 0.0


EQUAL: Final = Case("equal noise, equal references")
CASES: Final = (
    EQUAL,
    Case("baseline far below", gap=0.5),
    Case("baseline far below with 5 times the noise", (5, 1, 1), 0.5),
    Case("trials with 3 times the noise", (1, 1, 3)),
    Case("trials with 3 times the noise, baseline far below", (1, 1, 3), 0.5),
    Case("references with 3 times the noise", (3, 3, 1)),
    Case("start with 3 times the noise, baseline far below", (1, 3, 1), 0.5),
)


def simulate_runs(
    recall: float,
    noise: float,
    seeds: int,
    scenes: tuple[NDArray[np.float64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the hits per seed and scene, shape (seeds, scenes).

    Args:
        recall: True recall of the configuration.
        noise: Standard deviation of the recall between seeds.
        seeds: Number of seeds.
        scenes: Deviation of the recall, and number of sources, of each scene.
        rng: Random generator.
    """
    difficulty, sources = scenes
    level = recall + rng.normal(0, noise, (seeds, 1)) + difficulty
    return rng.binomial(sources, np.clip(level, 0, 1)).astype(np.float64)


def simulate_confirmation(
    gain: float, seeds: int, top: int, weights: NDArray[np.float64], rng: np.random.Generator, case: Case = EQUAL
) -> str:
    """Return the verdict of one simulated confirmation: `better`, `equal` or `worse` than the best reference.

    Args:
        gain: True difference between each of the trials and the best reference.
        seeds: Seeds per configuration.
        top: Number of confirmed trials.
        weights: Resamples of the scenes.
        rng: Random generator.
        case: Noise between seeds, and distance of the baseline.
    """
    scenes = rng.normal(0, 0.15, _SCENES), rng.poisson(_SOURCES, _SCENES)
    sources = scenes[1].sum()
    recalls = [0.75 - case.gap, 0.75] + [0.75 + gain] * top
    candidates = []
    for number, recall in enumerate(recalls):
        hits = simulate_runs(recall, case.noise[min(number, 2)] * _SEED_NOISE, seeds, scenes, rng)
        replicates = hits @ weights.T / (weights @ scenes[1])
        values = tuple(float(value) for value in hits.sum(1) / sources)
        role: Any = "trial" if number > 1 else ("baseline", "start")[number]
        candidates.append(Candidate(number, role, values, replicates, cost=1 / (1 + number)))
    verdict = judge_candidates(candidates)
    if verdict.gain is None or not verdict.gain.is_distinguishable:
        return "equal"
    return "better" if verdict.gain.low > 0 else "worse"


def measure_rates(
    simulations: int, seeds: int, top: int, case: Case, differences: Sequence[float]
) -> list[dict[str, float]]:
    """Return the relative frequency of verdicts for several true differences, in units of the usual noise between seeds."""
    rng, weights = np.random.default_rng([seeds, top]), resample_scenes(_SCENES, _RESAMPLES, 0)
    rows = []
    for units in differences:
        verdicts = [
            simulate_confirmation(units * _SEED_NOISE, seeds, top, weights, rng, case) for _ in range(simulations)
        ]
        better, worse = verdicts.count("better") / simulations, verdicts.count("worse") / simulations
        error = math.sqrt(max(better * (1 - better), 1 / simulations) / simulations)
        rows.append({"difference": units, "better": better, "worse": worse, "standard_error": error})
        print(
            f"{case.name}: seeds {seeds}, top {top}, difference {units} σ: "
            f"better {better:.3f} ± {error:.3f}, worse {worse:.3f}",
            flush=True,
        )
    return rows


def measure_all(simulations: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Return the rates by case and size: all differences with equal noise, and none of them in the other cases."""
    rates: dict[str, dict[str, list[dict[str, float]]]] = {}
    for case in CASES:
        differences = _DIFFERENCES if case is EQUAL else (0,)
        rates[case.name] = {
            f"seeds {seeds}, top {top}": measure_rates(simulations, seeds, top, case, differences)
            for seeds, top in _SIZES
        }
    return rates


def main() -> None:
    """Measure, print and store the rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000, help="number of simulated confirmations per row")
    simulations = parser.parse_args().simulations
    rates = measure_all(simulations)
    print(write_results("verdicts", {"simulations": simulations, "seed_noise": _SEED_NOISE, "rates": rates}))


if __name__ == "__main__":
    main()
