"""Order of trials of different lengths: all results count, those of trials that wait after few epochs too.

A trial is compared with all others at every rung that it has reached, in turn, as successive halving would do with all of them at
once: it survives a rung if it is among the share that would be promoted there. Trials that survive more rungs precede, whatever
their values at a later one; of those that survive the same number, the order at the last of these rungs decides. The baseline,
which is always trained in full, is thereby judged like all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from search.study.constraints import comparable_values
from search.study.stopping.leaderboard import Leaderboard
from search.study.stopping.rule import geometric_rungs
from search.study.trials import Trial
from spaces.schema import Space


class RungRanking:
    """Order of all trials by the rungs that they survive.

    Args:
        space: Objectives, first rung, reduction and epochs.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        stopping, epochs = space.stopping, space.budget.epochs
        self._rungs = (*geometric_rungs(stopping, epochs), epochs)
        self._boards = [Leaderboard() for _ in self._rungs]
        self._reached: dict[int, int] = {}

    @property
    def first_rung(self) -> int:
        """Number of epochs after which a trial is compared for the first time."""
        return self._rungs[0]

    def update(self, trials: Iterable[Trial]) -> None:
        """Add the new results of trials."""
        for trial in trials:
            for index in range(self._reached.get(trial.number, 0), len(self._rungs)):
                if self._rungs[index] > len(trial.epochs):
                    break
                best = trial.best_epoch_until(self._rungs[index], self._space.objectives)
                assert best is not None
                values = comparable_values(best.metrics, self._space.objectives, self._space.constraints)
                if all(map(math.isfinite, values)):
                    self._boards[index].record_values(trial.number, values)
                self._reached[trial.number] = index + 1

    def compute_scores(self) -> dict[int, float]:
        """Return a score per trial with a defined result at the first rung, evenly spread from -1 to 1; larger is better."""
        order = self._order_trials()
        return {number: 1 - (2 * place + 1) / len(order) for place, number in enumerate(order)}

    def _order_trials(self) -> list[int]:
        """Return the trials with a result at the first rung, best first."""
        remaining, dropped = list(self._boards[0].list_ranked()), []
        for index, board in enumerate(self._boards):
            ranked = board.list_ranked()
            is_full = index == len(self._boards) - 1
            promoted = ranked if is_full else ranked[: math.ceil(len(ranked) / self._space.stopping.reduction)]
            candidates = set(remaining)
            survivors = [number for number in promoted if number in candidates]
            survived = set(survivors)
            dropped.append([number for number in remaining if number not in survived])
            remaining = survivors
        return [*remaining, *(number for group in reversed(dropped) for number in group)]
