"""Results of trials at one epoch, in the order of their quality."""

from __future__ import annotations

import bisect

from search.study import pareto


class Leaderboard:
    """Objective values of trials at the same epoch, best first; equal ones in the order of their numbers.

    With one objective, an entry costs a bisection; with several, the order by non-domination is computed when it is asked for.
    """

    def __init__(self) -> None:
        self._values: dict[int, tuple[float, ...]] = {}
        self._keys: list[tuple[float, int]] = []
        self._order: list[int] | None = []

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def record_values(self, number: int, values: tuple[float, ...]) -> None:
        """Add or replace the values of a trial; larger is better."""
        former = self._values.get(number)
        if former == values:
            return
        if len(values) == 1:
            if former is not None:
                self._keys.remove((-former[0], number))
            bisect.insort(self._keys, (-values[0], number))
        self._values[number] = values
        self._order = None

    def count_better(self, number: int) -> int:
        """Return the number of trials that precede a trial."""
        values = self._values[number]
        if len(values) == 1:
            return bisect.bisect_left(self._keys, (-values[0], number))
        return self.list_ranked().index(number)

    def list_ranked(self) -> list[int]:
        """Return the numbers of all trials, best first."""
        if self._order is None:
            self._order = [number for _, number in self._keys] if self._keys else self._order_by_domination()
        return self._order

    def _order_by_domination(self) -> list[int]:
        numbers = sorted(self._values)
        return [numbers[index] for index in pareto.rank_order([self._values[number] for number in numbers])]
