"""The plan of a search: trials and the rule that lets some of them wait."""

from __future__ import annotations

from typing import Any

import pytest

from search.launching.plan import describe_trials
from spaces.schema import Budget, Stopping
from tests.search.support import space


@pytest.mark.parametrize(
    ("epochs", "stopping", "expected"),
    [
        (12, {"first_rung": 2}, ", the best third continues after epochs 2, 6, the others wait"),
        (4, {"first_rung": 2}, ", the best third continues after epoch 2, the others wait"),
        (
            4,
            {"first_rung": 2, "charge": "seconds"},
            ", the best third, measured in seconds per epoch, continues after epoch 2, the others wait",
        ),
        (9, {"rule": "median"}, ", the better half continues after each epoch from 1, the others wait"),
        (9, {"rule": "none"}, ""),
    ],
)
def test_the_plan_says_which_trials_wait(epochs: int, stopping: dict[str, Any], expected: str) -> None:
    planned = space(stopping=Stopping(**stopping), budget=Budget(trials=9, epochs=epochs))
    assert describe_trials(planned) == f"9 × up to {epochs} epochs{expected}; trial 0 is the baseline"
