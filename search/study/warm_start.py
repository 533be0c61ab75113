"""Earlier searches of a warm start as plain values, as the identity file and the result have them; pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spaces.schema import EarlierSearch, Space, Value

WARM_START: Final = "warm_start"
"""Key of the identity file and of the result with the earlier searches, and the trials that became starting points."""
WARM: Final = "warm"
"""Role of these trials, with a number."""


def to_plain(search: EarlierSearch) -> dict[str, Any]:
    """Return an earlier search as plain values."""
    plain = dataclasses.asdict(search)
    return plain | {"numbers": list(search.numbers), "replaced": [list(names) for names in search.replaced]}


def from_plain(plain: Mapping[str, Any]) -> EarlierSearch:
    """Return an earlier search from plain values."""
    lists = {key: tuple(plain[key]) for key in ("numbers", "points")}
    return EarlierSearch(**{**plain, **lists, "replaced": tuple(map(tuple, plain["replaced"]))})


def list_warm_points(space: Space) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Yield the role and the values of the starting points from earlier searches."""
    points = [point for search in space.warm_start for point in search.points]
    for number, point in enumerate(points):
        yield f"{WARM} {number}", point


def describe_earlier(search: EarlierSearch) -> str:
    """Return an earlier search with the numbers of its trials that became starting points."""
    numbers = " and ".join(map(str, search.numbers))
    return (
        f"{search.search}: {'trial' if len(search.numbers) == 1 else 'trials'} {numbers}, the best of {search.trials}"
    )


def describe_origin(space: Space) -> str:
    """Return the earlier searches of a space; empty without any."""
    return "; ".join(map(describe_earlier, space.warm_start))
