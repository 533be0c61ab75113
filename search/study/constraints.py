"""Constraints in the comparison of results (Deb 2000): what satisfies them precedes what does not; pure functions.

Of two results that violate constraints, the one with the smaller total violation precedes. Total violation is the sum over the
constraints of the excess as a share of the bound, so that bounds of different units count alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from search.study import pareto
from spaces.constraints import Constraint, Constraints

_BELOW_ALL: Final = -1e300
"""Objective value below those of all results that satisfy the constraints."""


def total_violation(metrics: Mapping[str, float], constraints: Constraints) -> float:
    """Return the sum of the violations of all constraints; 0 if all are satisfied, infinity if a metric is undefined."""
    return sum((constraint.violation(metrics) for constraint in constraints), 0.0)


def list_violated(metrics: Mapping[str, float], constraints: Constraints) -> list[Constraint]:
    """Return the constraints that are violated."""
    return [constraint for constraint in constraints if constraint.violation(metrics) > 0]


def comparable_values(
    metrics: Mapping[str, float], objectives: pareto.Objectives, constraints: Constraints = ()
) -> tuple[float, ...]:
    """Return objective values of which larger is better, for comparisons only.

    Where constraints are violated, each one is a value below all others, in the order of the violation. Every comparison of
    these values, non-domination included, thus prefers what satisfies the constraints.
    """
    violation = total_violation(metrics, constraints)
    if not violation:
        return pareto.objective_values(metrics, objectives)
    return below_all(violation, len(objectives))


def below_all(violation: float, objectives: int) -> tuple[float, ...]:
    """Return objective values below all others, in the order of the violation."""
    return (_BELOW_ALL * (2 - 1 / (1 + violation)),) * objectives


def best_index(
    candidates: Sequence[Mapping[str, float]], objectives: pareto.Objectives, constraints: Constraints = ()
) -> int:
    """Return the index of the best candidate: as `pareto.best_index`, among those that satisfy the constraints if any does.

    Otherwise it is the one with the smallest violation; of those with the same violation, the best by the objectives.
    """
    if not constraints:
        return pareto.best_index(candidates, objectives)
    violations = [total_violation(metrics, constraints) for metrics in candidates]
    least = [index for index, violation in enumerate(violations) if violation == min(violations)]
    return least[pareto.best_index([candidates[index] for index in least], objectives)]


def explain_hopeless(metrics: Mapping[str, float], constraints: Constraints) -> str | None:
    """Return why no epoch of a trial can satisfy the constraints; None if one may.

    Args:
        metrics: Metrics of an epoch, or what was measured before the first one.
        constraints: Constraints of the space. Those on measured quantities, which do not change, decide.
    """
    measured = [c for c in constraints if c.is_measured and not math.isnan(metrics.get(c.metric, math.nan))]
    violated = list_violated(metrics, measured)
    return "; ".join(constraint.describe_violation(metrics) for constraint in violated) or None
