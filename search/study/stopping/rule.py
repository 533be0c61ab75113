"""Rules that decide, from results at the same epoch, which trials continue and which wait.

A trial that may not continue is paused: it keeps its checkpoint, and continues when it belongs to the better ones after all
(the promotions of Li et al. 2020). All rules are of one form: at certain epochs, a trial continues if it is among a share of the
trials that have reached them. While new trials are left to start, quotas are rounded down, so that more points are tried before
any continues. At the end they are rounded up, so that one is trained in full, and include as many trials as are to be confirmed:
each of these may be the winner, whose model is that of its trial.

* `asha`: asynchronous successive halving, with rungs at `first_rung` times the powers of `reduction`;
* `hyperband`: the same in several brackets, of which each one omits one more of the first rungs (Li et al. 2018);
* `pasha`: the same, without the rungs after the first two on which the order of the trials agrees (Bohdal et al. 2023);
* `median`: at every epoch, the better half continues (Golovin et al. 2017);
* `none`: all trials continue.

A share is one of the trials, or of their seconds per epoch (`charge`): then every rung gets the same time, also where the better
trials train much slower than the others.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Collection, Iterable
from typing import Final

from search.study.confirmations import is_reference
from search.study.stopping import pasha
from search.study.stopping.leaderboard import Leaderboard
from search.study.trials import Trial
from spaces.schema import Space, Stopping

_MEDIAN_TRIALS: Final = 4
"""Number of trials at an epoch from which the median decides."""
_MEDIAN_EPOCHS: Final = 0.5
"""Expected share of the epochs of a full training under the median rule."""
_ROUNDING: Final = 1e-9
"""Relative difference of two sums of seconds that is due to rounding."""
_LEAST_S: Final = 1e-6
"""Least duration of an epoch."""


def rung_epochs(stopping: Stopping, epochs: int) -> tuple[int, ...]:
    """Return the epochs at which trials are compared, below `epochs`: those of the bracket with the most rungs."""
    if stopping.chosen_rule == "none":
        return ()
    if stopping.chosen_rule == "median":
        return tuple(range(stopping.first_rung, epochs))
    return geometric_rungs(stopping, epochs)


def geometric_rungs(stopping: Stopping, epochs: int) -> tuple[int, ...]:
    """Return the first rung and its multiples by powers of the reduction, below `epochs`."""
    rungs, epoch = [], stopping.first_rung
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= stopping.reduction
    return tuple(rungs)


def never_waits(trial: Trial, space: Space) -> bool:
    """Return whether a trial is trained in full in any case: the baseline, and a starting point that will be confirmed.

    The winner may be one of those, and its model is that of its trial.
    """
    return trial.is_baseline or (space.confirm is not None and is_reference(trial))


def expected_epochs(stopping: Stopping, epochs: int) -> float:
    """Return the mean number of epochs per trial, if every rung promotes exactly one in `stopping.reduction` trials."""
    if stopping.chosen_rule == "median":
        return max(1.0, _MEDIAN_EPOCHS * epochs)
    rungs = rung_epochs(stopping, epochs)
    if stopping.chosen_rule != "hyperband":
        return _expected_after(rungs, stopping.reduction, epochs)
    cycle = _bracket_cycle(stopping, epochs)
    return sum(_expected_after(rungs[bracket:], stopping.reduction, epochs) for bracket in cycle) / len(cycle)


def expected_search_epochs(space: Space) -> float:
    """Return the expected number of epochs of all trials of a search, of which some are trained in full (see `never_waits`)."""
    full = min(space.max_trials, 1 + (0 if space.confirm is None else len(space.start)))
    shortened = (space.max_trials - full) * expected_epochs(space.stopping, space.budget.epochs)
    return full * space.budget.epochs + shortened


def _expected_after(rungs: tuple[int, ...], reduction: int, epochs: int) -> float:
    expected, begin = 0.0, 0
    for passed, end in enumerate([*rungs, epochs]):
        expected += (end - begin) / float(reduction) ** passed
        begin = end
    return expected


class StoppingRule:
    """Decisions on the trials of a search, from their results so far. Some always continue (see `never_waits`).

    Args:
        space: Its stopping rule, objectives and budget.
        trials: Trials so far, without failed ones that were taken up by another trial.
    """

    def __init__(self, space: Space, trials: Iterable[Trial] = ()) -> None:
        self._space = space
        self._stopping = space.stopping
        self._rungs = rung_epochs(space.stopping, space.budget.epochs)
        self._cycle = (
            _bracket_cycle(space.stopping, space.budget.epochs) if self._stopping.chosen_rule == "hyperband" else [0]
        )
        self._boards: dict[tuple[int, int], Leaderboard] = {}
        self._cap = 1
        self._trials: dict[int, Trial] = {}
        for trial in trials:
            self.record(trial)

    def record(self, trial: Trial) -> None:
        """Add the results of a trial at the epochs at which it is compared."""
        self._trials[trial.number] = trial
        for epoch in reversed(self._rungs_of(trial)):
            if epoch > len(trial.epochs):
                continue
            board = self._boards.setdefault((self._bracket_of(trial.number), epoch), Leaderboard())
            if trial.number in board:
                return  # and at all earlier rungs
            values = trial.best_objectives_until(epoch, self._space.objectives)
            assert values is not None
            board.record_values(trial.number, values)
            self._raise_cap(epoch)

    def is_decision(self, trial: Trial) -> bool:
        """Return whether a trial has just reached an epoch at which it is compared."""
        return not never_waits(trial, self._space) and len(trial.epochs) in self._rungs_of(trial)

    def may_continue(self, trial: Trial, *, at_end: bool) -> bool:
        """Return whether a trial that has been recorded continues after its newest epoch.

        Args:
            trial: The trial.
            at_end: Whether no new trial is left to start.
        """
        if not self.is_decision(trial):
            return True
        epoch = len(trial.epochs)
        board = self._boards[self._bracket_of(trial.number), epoch]
        return board.count_better(trial.number) < self._count_promoted(board, epoch, at_end=at_end)

    def choose_paused(self, paused: Collection[int], *, at_end: bool) -> int | None:
        """Return the paused trial that continues now: of those with the most epochs the best one; None if none does.

        Args:
            paused: Numbers of the paused trials, each of which is at an epoch at which it is compared.
            at_end: Whether no new trial is left to start.
        """
        if not paused:
            return None
        for (_, epoch), board in sorted(self._boards.items(), key=lambda item: -item[0][1]):
            for number in board.list_ranked()[: self._count_promoted(board, epoch, at_end=at_end)]:
                if number in paused and len(self._trials[number].epochs) == epoch:
                    return number
        return None

    def explain_pause(self, trial: Trial) -> str:
        """Return the reason for which a trial waits, for users."""
        epoch = len(trial.epochs)
        board = self._boards[self._bracket_of(trial.number), epoch]
        plural = "epoch" if epoch == 1 else "epochs"
        return f"waits, {board.count_better(trial.number) + 1} of {len(board)} after {epoch} {plural}"

    def list_worst(self, paused: Collection[int]) -> list[int]:
        """Return the paused trials, the least promising first: those with the fewest epochs, and of these the worst."""

        def promise(number: int) -> tuple[int, float]:
            trial = self._trials[number]
            board = self._boards[self._bracket_of(number), len(trial.epochs)]
            return len(trial.epochs), -board.count_better(number) / len(board)

        return sorted(paused, key=promise)

    def _count_promoted(self, board: Leaderboard, epoch: int, *, at_end: bool) -> int:
        """Return how many of the trials at an epoch may continue."""
        if self._stopping.chosen_rule == "median":
            share = self._count_share(board, 2, at_end=at_end) if len(board) >= _MEDIAN_TRIALS else len(board)
        elif self._is_capped(epoch):
            share = int(at_end)
        else:
            share = self._count_share(board, self._stopping.reduction, at_end=at_end)
        return max(share, self._count_confirmed(board)) if at_end else share

    def _count_confirmed(self, board: Leaderboard) -> int:
        """Return how many of the best trials include all that would be confirmed: references are confirmed in addition."""
        if self._space.confirm is None:
            return 0
        is_other = [not is_reference(self._trials[number]) for number in board.list_ranked()]
        return bisect.bisect_left(list(itertools.accumulate(is_other)), self._space.confirm.top) + 1

    def _count_share(self, board: Leaderboard, divisor: int, *, at_end: bool) -> int:
        """Return how many of the best trials are one in `divisor`, of their number or of their seconds, rounded up at the end."""
        if self._stopping.charge == "epochs":
            return math.ceil(len(board) / divisor) if at_end else len(board) // divisor
        spent = list(itertools.accumulate(self._seconds_per_epoch(number) for number in board.list_ranked()))
        limit = spent[-1] / divisor * (1 + _ROUNDING)
        count = bisect.bisect_right(spent, limit)
        is_short = count < len(spent) and (spent[count - 1] if count else 0.0) * (1 + _ROUNDING) < spent[-1] / divisor
        return count + (at_end and is_short)

    def _seconds_per_epoch(self, number: int) -> float:
        epochs = self._trials[number].epochs
        return max(_LEAST_S, sum(epoch.seconds for epoch in epochs) / len(epochs))

    def _rungs_of(self, trial: Trial) -> tuple[int, ...]:
        return self._rungs[self._bracket_of(trial.number) :]

    def _bracket_of(self, number: int) -> int:
        """Return the bracket of a trial: the number of the first rungs that it omits."""
        return self._cycle[number % len(self._cycle)]

    def _is_capped(self, epoch: int) -> bool:
        return self._stopping.chosen_rule == "pasha" and epoch >= self._rungs[min(self._cap, len(self._rungs) - 1)]

    def _raise_cap(self, epoch: int) -> None:
        """Permit one more rung of PASHA if the last two do not agree on the order of the trials."""
        if self._stopping.chosen_rule != "pasha" or self._cap >= len(self._rungs) or epoch != self._rungs[self._cap]:
            return
        reached = [trial for trial in self._trials.values() if len(trial.epochs) >= epoch and not trial.is_baseline]
        curves = [self._first_objective(trial, epoch) for trial in reached]
        if not pasha.is_order_stable(curves, self._rungs[self._cap - 1]):
            self._cap += 1

    def _first_objective(self, trial: Trial, epoch: int) -> list[float]:
        values = (trial.best_objectives_until(n, self._space.objectives) for n in range(1, epoch + 1))
        return [value[0] for value in values if value is not None]


def _bracket_cycle(stopping: Stopping, epochs: int) -> list[int]:
    """Return the brackets of successive trials, each one as often as Hyperband starts trials in it, evenly mixed."""
    most = len(rung_epochs(stopping, epochs))
    sizes = {
        most - rungs: math.ceil((most + 1) / (rungs + 1) * stopping.reduction**rungs) for rungs in range(most, -1, -1)
    }
    least = min(sizes.values())
    shares = {bracket: max(1, round(size / least)) for bracket, size in sizes.items()}
    places = [((k + 0.5) / share, bracket) for bracket, share in shares.items() for k in range(share)]
    return [bracket for _, bracket in sorted(places)]
