"""Checks that the sampler of a space is sound for its dimensions and objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.errors import InputError
from spaces.feasibility import MOST_LISTED, list_points
from spaces.schema import Dimension, SamplerName, Space

DESCRIPTIONS: Final[Mapping[SamplerName, str]] = {
    "auto": "TPE on comparable results",
    "tpe": "TPE on comparable results",
    "gp": "expected improvement of a Gaussian process",
    "cma": "CMA-ES",
    "qmc": "Sobol sequence",
    "random": "random points",
    "grid": "all points, in random order",
}
"""Samplers by name, for the plan."""


def check_sampler(space: Space, path: str) -> None:
    """Check that a sampler can propose points of a space.

    Args:
        space: Space with dimensions and objectives.
        path: Path of the file, for errors.

    Raises:
        InputError: If the sampler is a grid and the space is not small, or CMA-ES and the space has choices, conditions,
            several objectives or one dimension.
    """
    if not space.search or space.table is not None:
        return
    checks = {"grid": _check_grid, "cma": _check_cma}
    if space.sampler in checks:
        checks[space.sampler](space, f"{path}: sampler")


def _check_grid(space: Space, place: str) -> None:
    preferred = [dimension.name for dimension in space.search if dimension.prior is not None]
    if preferred:
        rule = "a grid runs every point, so that priors have no effect on it"
        raise InputError(place, rule, value=f"grid, with a prior of {', '.join(preferred)}",
                         remedy="remove the priors, or write another sampler")  # fmt: skip
    if list_points(space.search) is not None:
        return
    continuous = [dimension for dimension in space.search if dimension.grid_values(MOST_LISTED) is None]
    if continuous:
        dimension = continuous[0]
        remedy = f"write  {dimension.name}: {_as_steps(dimension)},  or  sampler: qmc,  which covers ranges evenly"
        raise InputError(place, f"a grid needs a step or choices in every dimension ({dimension.name} has neither)",
                         value="grid", remedy=remedy)  # fmt: skip
    raise InputError(
        place,
        f"a grid must have at most {MOST_LISTED:,} points",
        value="grid",
        remedy="search fewer values, or write  sampler: qmc,  which covers a large space evenly",
    )


def _as_steps(dimension: Dimension) -> str:
    """Return a range with few values in place of one with all of them."""
    low, high = dimension.low, dimension.high
    if dimension.kind.startswith("log"):
        values = [low * (high / low) ** (share / 3) for share in range(4)]
        written = ", ".join(f"{round(v) if dimension.is_integer else v:.4g}" for v in values)
        return f"{{choice: [{written}]}}"
    return f"{{{dimension.kind}: [{low:g}, {high:g}], step: {(high - low) / 4:g}}}"


def _check_cma(space: Space, place: str) -> None:
    """Check that CMA-ES can adapt its normal distribution: to one objective, over ranges that are always active."""
    choices = [d.name for d in space.search if d.kind == "choice"]
    conditional = [d.name for d in space.search if d.when]
    problems = {
        "one objective": f"{len(space.objectives)} objectives" if len(space.objectives) > 1 else "",
        "ranges only, since choices have no order": ", ".join(choices),
        "dimensions without `when`": ", ".join(conditional),
        "at least two ranges": space.search[0].name if len(space.search) == 1 else "",
    }
    for rule, value in problems.items():
        if value:
            remedy = "write  sampler: tpe  or  sampler: gp,  which take all spaces"
            raise InputError(place, f"cma requires {rule}", value=value, remedy=remedy)
