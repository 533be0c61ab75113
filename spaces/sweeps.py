"""Numbers of combinations: of inference parameters, which every validation evaluates, and of training sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from runtime.errors import InputError
from spaces.schema import DATASET, Dimension

MAX_COMBINATIONS: Final = 10_000
"""Number of combinations up to which a sweep is accepted; each validation evaluates all of them."""
MAX_DATASETS: Final = 1_000
"""Number of combinations of boundary values of the training data up to which they are checked, one dataset each."""


def expand_sweep(values: Mapping[str, list[float]], place: str) -> tuple[float, ...]:
    """Return the values of one inference parameter.

    Args:
        values: `{choice: […]}` or `{range: [start, stop, step]}`.
        place: File and key, for errors.

    Raises:
        InputError: If the mapping has another form, or the range has too many values.
    """
    if set(values) == {"choice"} and values["choice"]:
        return tuple(values["choice"])
    if set(values) == {"range"} and len(values["range"]) == 3:
        start, stop, step = values["range"]
        if step > 0 and start <= stop:
            _require_few(
                (stop - start) / step + 1, place, f"{{range: [{start:g}, {stop:g}, {_coarser(stop - start):g}]}}"
            )
            return tuple(float(v) for v in np.round(np.arange(start, stop + step / 2, step), 10))
    raise InputError(
        place,
        "a sweep must be a choice of values or a range of start, stop and step",
        value=dict(values),
        remedy="write  {range: [0.05, 0.95, 0.05]}  or  {choice: [0.5, 1.0]}",
    )


def require_few_combinations(inner: Mapping[str, tuple[float, ...]], place: str) -> None:
    """Require that a sweep has at most `MAX_COMBINATIONS` combinations.

    Raises:
        InputError: If it has more; the error gives their number.
    """
    sizes = " × ".join(f"{len(values)} ({name})" for name, values in inner.items())
    longest = max(inner, key=lambda name: len(inner[name]), default="")
    _require_few(math.prod(len(values) for values in inner.values()), place, f"fewer values of {longest}: {sizes}")


def _require_few(count: float, place: str, remedy: str) -> None:
    if not count <= MAX_COMBINATIONS:
        raise InputError(
            place,
            f"each validation evaluates all combinations of a sweep, at most {MAX_COMBINATIONS:,}",
            value=f"{count:,.0f} combinations" if math.isfinite(count) else "too many combinations to count",
            remedy=f"write {remedy}",
        )


def _coarser(extent: float) -> float:
    """Return a step that divides a range in about 20 parts."""
    return float(f"{extent / 20:.1g}")


def require_few_datasets(search: Sequence[Dimension], place: str) -> None:
    """Require that the fields of the training data that a space searches give at most `MAX_DATASETS` datasets to check.

    Raises:
        InputError: If there are more; the error gives their number.
    """
    sizes = {d.name: len(d.boundary_values()) for d in search if d.name.startswith(DATASET)}
    if math.prod(sizes.values()) > MAX_DATASETS:
        raise InputError(
            place,
            f"the searched fields of the training data must give at most {MAX_DATASETS:,} combinations",
            value=f"{math.prod(sizes.values()):,}: " + " × ".join(f"{size} ({name})" for name, size in sizes.items()),
            remedy=f"search fewer values of {max(sizes, key=lambda name: sizes[name])}",
        )
