"""How many trials run side by side while nodes come and go."""

from __future__ import annotations

import pytest

from runtime.errors import InputError
from runtime.nodes import Node
from search.execution.capacity import ConcurrencyLimit
from spaces.schema import Resources

ONE = Node("a", "10.0.0.2", {"CPU": 6.0})
TRIAL = Resources(cpu=4)


def test_nodes_that_join_or_are_lost_are_noticed() -> None:
    there, now = [ONE], [0.0]
    room = ConcurrencyLimit(TRIAL, lambda: there, now=lambda: now[0])
    assert room() == 1
    there.append(ONE)
    assert room() == 1  # Ray is not asked for every proposal
    now[0] = 5.0
    assert room() == 2
    there.clear()
    now[0] = 10.0
    assert room() == 0


def test_trials_that_were_asked_for_wait_for_nodes() -> None:
    room = ConcurrencyLimit(TRIAL, lambda: [], asked=3)
    assert room() == 3
    room.require_capacity()


def test_where_no_trial_fits_and_none_may_wait_nothing_begins() -> None:
    with pytest.raises(InputError, match="room for a trial") as caught:
        ConcurrencyLimit(Resources(cpu=8), lambda: [ONE]).require_capacity()
    assert "--at-once" in caught.value.remedy


def test_cores_that_no_trial_takes_are_spare() -> None:
    assert ConcurrencyLimit(TRIAL, lambda: [ONE, ONE]).idle_cores() == 12 - 2 * 4
    assert ConcurrencyLimit(Resources(cpu=3), lambda: [ONE]).idle_cores() == 0
