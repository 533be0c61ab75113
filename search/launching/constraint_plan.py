"""Constraints in the plan of a search: the size of the baseline, and the share of points whose models are too large."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from runtime.errors import InputError
from spaces.configs import build_config
from spaces.constraints import format_quantity
from spaces.feasibility import SURVEYED, draw_point, find_config
from spaces.schema import Space, Value
from spaces.sizes import SizeChecker
from trainables.measurement import PARAMETERS

_LABEL: Final = "bounds"


@dataclass(frozen=True)
class SizeSurvey:
    """Sizes of the models at random points of a space.

    Attributes:
        counts: Numbers of parameters, of the points that are possible and whose number is known in advance.
        violating: Number of them that violate constraints.
    """

    counts: tuple[int, ...]
    violating: int


def survey_sizes(space: Space) -> SizeSurvey:
    """Return the sizes at random points, drawn with the seed of the space; empty without a constraint on parameters.

    Raises:
        InputError: If the method of the trainable that states the size raises an exception.
    """
    if not any(c.is_measured and c.metric == PARAMETERS for c in space.constraints):
        return SizeSurvey((), 0)
    generator, checker = random.Random(space.seed), SizeChecker(space)  # not for cryptography
    counts, violating = [], 0
    for _ in range(SURVEYED):
        point = draw_point(space.search, generator)
        count = _count_parameters(space, checker, point)
        if count is not None:
            counts.append(count)
            violating += any(c.metric == PARAMETERS and c.violation({PARAMETERS: count}) > 0 for c in space.constraints)
    return SizeSurvey(tuple(counts), violating)


def _count_parameters(space: Space, checker: SizeChecker, point: dict[str, Value]) -> int | None:
    try:
        return checker.count(build_config(find_config(space), space.config_values(point)), point)
    except ValidationError:  # an impossible point
        return None


def check_sizes(space: Space, place: str) -> None:
    """Check that not all random points have models that violate constraints.

    Args:
        space: Space of the search.
        place: Location of the constraints, for errors.

    Raises:
        InputError: If all do.
    """
    survey = survey_sizes(space)
    if survey.counts and survey.violating == len(survey.counts) and space.search:
        sizes = (
            f"{format_quantity(PARAMETERS, min(survey.counts))} to {format_quantity(PARAMETERS, max(survey.counts))}"
        )
        raise InputError(
            place,
            "models of the search must be able to satisfy the constraints on parameters",
            value=f"{len(survey.counts)} random points have {sizes} parameters",
            remedy="correct the bound, or search smaller or larger models",
        )


def constraint_lines(space: Space) -> list[str]:
    """Return the lines of the plan about constraints; empty without any."""
    if not space.constraints:
        return []
    lines = [f"{_LABEL:<9}{', '.join(map(str, space.constraints))}"]
    try:
        survey = survey_sizes(space)
        reason = _explain_baseline(space)
    except InputError:  # reported by `check_sizes`
        return lines
    if survey.violating:
        lines.append(
            f"         the models of {survey.violating} of {len(survey.counts)} random points violate them, "
            "and are drawn again"
        )
    if reason is not None:
        lines.append(f"         the baseline is trained, but cannot win: {reason}")
    return lines


def _explain_baseline(space: Space) -> str | None:
    values = build_config(find_config(space), space.config_values(space.baseline))
    return SizeChecker(space).explain_violation(values, space.baseline)
