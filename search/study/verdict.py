"""Verdict on confirmed configurations: differences with simultaneous confidence intervals, as pure functions.

Each configuration is trained on several seeds and scored on the same scenes. Its value on a test split varies with the seed
(weights, order of samples, simulated training data) and with the sample of scenes. The variance of a difference of two means
has one term for each:

* seeds: the variance between the seeds of one configuration, pooled over configurations of similar value, since two or three
  seeds of one configuration say little about it, and at least that of the two that are compared. Configurations that are far from
  both do not enter: hardly trained ones vary much more. Which ones do depends on means only, of which the variance of normally
  distributed values is independent. It includes that models of one configuration fail in different scenes;
* scenes: the variance of the difference in a paired bootstrap over scenes, in which all models see the same resample (Efron and
  Tibshirani 1993, chapter 8), without the part that the first term includes.

Intervals are those of Student's t with Satterthwaite's degrees of freedom. They are computed with 0.7 of the error rate that they
promise: configurations of which one varies three times as much between seeds as the other need that (`benchmarks.verdicts`). A
trial counts as better only if it is distinguishable from every reference, so that no correction is needed for their number (an
intersection-union test, Berger 1982); Bonferroni's correction for the number of confirmed trials keeps the choice of the best of
several from making chance look like an improvement. Trials among each other, and references among each other, are corrected for
the number of all other configurations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import scipy.stats
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
"""Confidence that no configuration is called better that is not; both bounds of an interval together have one of 0.9."""

_NOMINAL_SHARE: Final = 0.7
"""Share of the promised error rate with which intervals are computed, for configurations whose seeds differ in variance."""

_SIMILAR: Final = 10.0
"""Distance of a configuration whose seeds are pooled from the nearer of two compared ones, in units of their difference."""

_COST_NOISE: Final = 0.1
"""Relative difference of costs that a machine with other work to do may cause."""

Role = Literal["trial", "baseline", "start"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Confirmed configuration.

    Attributes:
        number: Number of its trial in the search.
        role: Whether it was found by the search or is a reference: the baseline or a named starting point.
        values: Objective per seed, with a sign such that larger is better.
        replicates: The values in each resample of the scenes, shape (seeds, resamples); all candidates share the resamples.
            None if the trainable has no results per scene.
        cost: Cost of its training, in seconds.
        is_feasible: Whether its trial satisfies the constraints of the search.
    """

    number: int
    role: Role
    values: tuple[float, ...]
    replicates: NDArray[np.float64] | None
    cost: float
    is_feasible: bool = True

    @property
    def mean(self) -> float:
        """Mean objective over the seeds."""
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Difference:
    """Difference of two candidates, positive if the first one is better.

    Attributes:
        estimate: Difference of the means.
        low: Lower bound of the confidence interval.
        high: Upper bound of the confidence interval.
    """

    estimate: float
    low: float
    high: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Verdict:
    """Result of a confirmation.

    Attributes:
        winner: Number of the chosen configuration: the cheapest of those that are not distinguishable from the best. Of costs
            that differ by less than a tenth, the better mean decides. One that violates constraints wins only if all do. If no
            configuration has a second seed, the one with the best mean: that others are as good is unknown.
        reference: Number of the best of baseline and starting points; None if none was confirmed.
        gain: Difference of the winner and that reference; None without a reference, or if they are the same.
        equals: Numbers of the configurations that are not distinguishable from the best one, which is the first; without
            those that violate constraints, unless all do.
        confidence: Simultaneous confidence of the intervals.
        is_open: Whether no configuration has a second seed, so that the noise is unknown and no interval exists.
    """

    winner: int
    reference: int | None
    gain: Difference | None
    equals: tuple[int, ...]
    confidence: float
    is_open: bool = False


def judge_candidates(candidates: Sequence[Candidate], confidence: float = CONFIDENCE) -> Verdict:
    """Return the verdict on confirmed configurations.

    Args:
        candidates: At least one configuration.
        confidence: Simultaneous confidence of all intervals.
    """
    ranked = sorted(candidates, key=lambda candidate: (candidate.is_feasible, candidate.mean), reverse=True)
    best = ranked[0]
    rivals = [candidate for candidate in ranked[1:] if candidate.is_feasible == best.is_feasible]
    equals = [best] + [c for c in rivals if not compare_candidates(best, c, candidates, confidence).is_distinguishable]
    is_open = all(len(candidate.values) == 1 for candidate in candidates)
    most = (1 + _COST_NOISE) * min(candidate.cost for candidate in equals)
    winner = (
        best if is_open else next(candidate for candidate in equals if candidate.cost <= most)
    )  # the best one first
    references = [candidate for candidate in ranked if candidate.role != "trial"]
    reference = references[0] if references else None
    gain = None
    if reference is not None and reference is not winner:
        gain = compare_candidates(winner, reference, candidates, confidence)
    return Verdict(
        winner.number,
        None if reference is None else reference.number,
        gain,
        tuple(candidate.number for candidate in equals),
        confidence,
        is_open,
    )


def compare_candidates(
    one: Candidate, other: Candidate, candidates: Sequence[Candidate], confidence: float = CONFIDENCE
) -> Difference:
    """Return the difference of two candidates with its interval; infinite bounds if one seed leaves its size open.

    Args:
        one: Candidate that is expected to be better.
        other: Candidate that it is compared with.
        candidates: All candidates, whose seeds determine the variance, and whose number the correction.
        confidence: Simultaneous confidence of the comparisons of one candidate with all others.
    """
    estimate = one.mean - other.mean
    variance, freedom = _seed_variance(one, other, candidates)
    if not freedom:
        return Difference(estimate, -math.inf, math.inf)
    seeds = variance * (1 / len(one.values) + 1 / len(other.values))
    total = seeds + _scene_variance(one, other)
    effective = freedom * (total / seeds) ** 2 if seeds > 0 else math.inf
    level = 1 - _NOMINAL_SHARE * (1 - confidence) / _count_comparisons(one, other, candidates)
    half = float(scipy.stats.t.ppf(level, min(effective, 1e6))) * math.sqrt(total)
    return Difference(estimate, estimate - half, estimate + half)


def _count_comparisons(one: Candidate, other: Candidate, candidates: Sequence[Candidate]) -> int:
    """Return the number of comparisons that share the risk of an error: of trials with a reference, or of one with all others."""
    if (one.role == "trial") != (other.role == "trial"):
        return sum(candidate.role == "trial" for candidate in candidates)
    return max(1, len(candidates) - 1)


def _seed_variance(one: Candidate, other: Candidate, candidates: Sequence[Candidate]) -> tuple[float, int]:
    """Return the variance between seeds for the comparison of two candidates, and its degrees of freedom."""
    pair = [one, other]
    reach = _SIMILAR * abs(one.mean - other.mean)
    similar = [c for c in candidates if c not in pair and min(abs(c.mean - p.mean) for p in pair) <= reach]
    variance, freedom = _pool_variances([*pair, *similar])
    return max(variance, _pool_variances(pair)[0]), freedom


def _pool_variances(candidates: Sequence[Candidate]) -> tuple[float, int]:
    """Return the pooled variance between seeds of one configuration, and its degrees of freedom."""
    squares = sum(float(np.sum((np.array(c.values) - c.mean) ** 2)) for c in candidates)
    freedom = sum(len(c.values) - 1 for c in candidates)
    return (squares / freedom if freedom else 0.0), freedom


def _scene_variance(one: Candidate, other: Candidate) -> float:
    """Return the variance of the difference due to the sample of scenes, without that of single models."""
    if one.replicates is None or other.replicates is None:
        return 0.0
    total = float(np.var(one.replicates.mean(0) - other.replicates.mean(0), ddof=1))
    return max(0.0, total - _model_variance(one.replicates) - _model_variance(other.replicates))


def _model_variance(replicates: NDArray[np.float64]) -> float:
    """Return the part of a mean's scene variance that differs between seeds: each model fails in other scenes."""
    seeds = len(replicates)
    if seeds < 2:
        return 0.0
    deviations = replicates - replicates.mean(0)
    return float(np.var(deviations, axis=1, ddof=1).sum()) / (seeds - 1) / seeds


def resample_scenes(scenes: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each scene occurs in each bootstrap resample, shape (resamples, scenes)."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(scenes, np.full(scenes, 1 / scenes), size=resamples)
    return counts.astype(np.float64)
