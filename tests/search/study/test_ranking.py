"""Ranks of trials of different lengths."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

import pytest

from search.study.sampler import create_candidates
from search.study.samplers.results import TrialHistory
from search.study.stopping.ranking import RungRanking
from search.study.trials import Epoch, Outcome, Trial
from spaces.constraints import Constraint
from spaces.schema import Budget, Space, Stopping, Value
from tests.search.support import space

F1 = (("f1_0.3m", "maximize"),)


def searched(**changes: Any) -> Space:
    return space(
        objectives=F1, budget=Budget(trials=9, epochs=9), stopping=Stopping(reduction=3, first_rung=1), **changes
    )


def trial(number: int, *values: float, outcome: Outcome = "paused", **metrics: float) -> Trial:
    epochs = tuple(Epoch(n, {"f1_0.3m": value, **metrics}, {}, 1.0) for n, value in enumerate(values, 1))
    return Trial(number, SPACE_POINT, outcome, "", epochs, None, number == 0, {})


SPACE_POINT: dict[str, Value] = {"optimizer.lr": 1e-3, "optimizer.batch_size": 64, "loss.regression": "mse"}


def order(*trials: Trial) -> list[int]:
    ranking = RungRanking(searched())
    ranking.update(trials)
    scores = ranking.compute_scores()
    return sorted(scores, key=lambda number: -scores[number])


def test_trials_that_survive_more_rungs_precede_and_a_baseline_trained_in_full_is_judged_like_all() -> None:
    short = [trial(n, 0.1 * n) for n in (1, 2, 3, 4, 5)]
    baseline = trial(0, *[0.05] * 8, 0.9, outcome="finished")  # the worst at the first rung
    long = trial(6, 0.7, 0.7, 0.2)
    assert order(baseline, *short, long) == [6, 5, 4, 3, 2, 1, 0]


def test_of_trials_that_survive_all_rungs_the_last_values_decide() -> None:
    better = trial(1, 0.5, 0.6, 0.6, *[0.7] * 6)
    worse = trial(2, 0.6, 0.6, 0.65, *[0.65] * 6)
    others = [trial(n, 0.1, 0.1, 0.1) for n in (3, 4, 5, 6)]
    assert order(better, worse, *others)[:2] == [1, 2]


def test_scores_are_symmetric_and_change_with_new_results_only() -> None:
    ranking = RungRanking(searched())
    trials = [trial(n, 0.1 * n) for n in range(5)]
    ranking.update(trials)
    first = ranking.compute_scores()
    assert sum(first.values()) == pytest.approx(0)
    ranking.update(trials)
    assert ranking.compute_scores() == first
    ranking.update([trial(0, 0.0, 0.9, 0.9, outcome="running")])
    assert ranking.compute_scores() == first  # the best at a later rung, but below the quota of the first one


def test_samplers_get_the_rank_of_every_trial_and_infeasible_ones_last() -> None:
    bounded = searched(constraints=(Constraint("loss", "<=", 0.5, False),))
    trials = [
        trial(0, 0.9, loss=0.1, outcome="finished"),
        trial(1, 0.95, loss=0.9),
        trial(2, 0.2, 0.3, loss=0.1),
        trial(3, outcome="running"),
    ]
    history = TrialHistory(bounded)
    history.update(trials)
    results = {result.number: result for result in history.list_ranked(400, random.Random(0))}
    assert results[3].values is None
    values = {number: result.values[0] for number, result in results.items() if result.values is not None}
    assert sorted(values, key=values.__getitem__) == [1, 2, 0]
    assert results[1].violation > 0
    assert results[1].modelled == results[1].values  # a score, not a value below all others
    assert abs(values[1]) < 3


def agreement(*trials: Trial) -> float:
    history = TrialHistory(searched())
    history.update(trials)
    return history.measure_agreement()


def test_agreement_of_rungs_is_the_rank_correlation_of_the_trials_that_reached_both() -> None:
    kept = [trial(n, 0.1 * n, 0.1 * n, 0.2 * n) for n in range(8)]
    assert agreement(*kept) == pytest.approx(1)
    assert agreement(*kept, trial(8, 5.0)) == pytest.approx(1)  # one that has not reached the later rung
    early, late = [1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 14, 13, 15, 18, 17, 16]
    mixed = [trial(n, float(a), float(a), float(b)) for n, (a, b) in enumerate(zip(early, late, strict=True))]
    assert agreement(*mixed) == pytest.approx(1 - 6 * (2 * 1 + 2 * 4) / (8 * 63))  # Spearman's formula without ties


def test_there_is_no_agreement_between_opposite_orders_and_none_is_claimed_before_a_second_rung_is_known() -> None:
    opposite = [trial(n, 0.1 * n, 0.1 * n, 2.0 - 0.1 * n) for n in range(8)]
    assert agreement(*opposite) == 0
    assert agreement(*[trial(n, 0.1 * n) for n in range(20)]) == 0
    assert agreement() == 0


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)])
def test_the_share_of_proposals_from_ranks_follows_the_agreement(share: float, least: int, most: int) -> None:
    history = TrialHistory(searched())
    history.update([trial(n, 0.1 * n, outcome="running") for n in range(3)])
    with (
        mock.patch.object(history, "measure_agreement", return_value=share),
        mock.patch.object(history, "list_ranked", return_value=history.list_comparable()) as ranked,
    ):
        for number in range(40):
            create_candidates(searched(sampler="tpe"), history, number)
    assert least <= ranked.call_count <= most
