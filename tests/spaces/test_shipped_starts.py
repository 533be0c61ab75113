"""Starting points of the shipped spaces: a yardstick that differs from the baseline in the optimizer only."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaces.load import load_space
from spaces.schema import Space

SPACES = sorted(path for path in Path("spaces").glob("*.yaml") if "search:" in path.read_text())


def changed_names(space: Space) -> list[set[str]]:
    """Return the names in which each starting point differs from the baseline."""
    baseline = space.baseline
    return [{n for n in {*point, *baseline} if point.get(n) != baseline.get(n)} for point in space.start]


@pytest.mark.parametrize(
    "path", [path for path in SPACES if path.stem not in ("rooms", "sim_to_real")], ids=lambda path: path.stem
)
def test_a_start_of_the_laptop_profile_changes_the_optimizer_only(path: Path) -> None:
    """The baselines of `rooms` and `sim_to_real` have such a learning rate themselves."""
    changes = changed_names(load_space(path, has_gpu=False, profile="laptop"))
    assert any(names and all(name.startswith("optimizer.") for name in names) for names in changes)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_the_starts_are_inside_of_the_search(path: Path) -> None:
    space = load_space(path, has_gpu=False, profile="laptop")
    for point in space.start:
        assert all(
            dimension.contains_value(point[dimension.name]) for dimension in space.search if dimension.name in point
        )
