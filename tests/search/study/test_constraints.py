"""Results under constraints: what satisfies them precedes what does not, everywhere that results are compared."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from datasets.none import NoneSpec
from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.study import pareto
from search.study.confirmations import choose_confirmed
from search.study.constraints import best_index, comparable_values, explain_hopeless, total_violation
from search.study.sampler import suggest_parameters
from search.study.stopping.rule import StoppingRule
from search.study.study import Study
from search.study.trials import Epoch, Trial, choose_winner, rank_trials
from search.study.verdict import Candidate, judge_candidates
from spaces.constraints import Constraint
from spaces.schema import Budget, Confirm, Dimension, Direction, Space, Stopping
from tests.search.support import space

SIZE = Constraint("parameters", "<=", 1000.0, True)
PRECISION = Constraint("precision", ">=", 0.5)
F1: tuple[tuple[str, Direction], ...] = (("f1", "maximize"),)
BOTH: tuple[tuple[str, Direction], ...] = (("f1", "maximize"), ("rmse", "minimize"))


def trial(number: int, *epochs: Mapping[str, float], role: str = "trial", outcome: str = "finished") -> Trial:
    results = tuple(Epoch(n, metrics, {}, 1.0) for n, metrics in enumerate(epochs, start=1))
    return Trial(
        number,
        {"x": number / 10},
        outcome,  # type: ignore[arg-type]
        "",
        results,
        None,
        role == "baseline",
        {},
        role=role,
        constraints=(SIZE, PRECISION),
    )


def result(f1: float, parameters: float = 10.0, precision: float = 0.9, rmse: float = 0.1) -> dict[str, float]:
    return {"f1": f1, "parameters": parameters, "precision": precision, "rmse": rmse}


def test_the_total_violation_adds_shares_of_the_bounds() -> None:
    assert total_violation(result(1.0, 1500.0, 0.4), (SIZE, PRECISION)) == pytest.approx(0.5 + 0.2)
    assert total_violation(result(1.0), (SIZE, PRECISION)) == 0


def test_comparisons_are_those_of_constrained_domination() -> None:
    """Compare with Deb's definition, written out, on random results."""
    generator = random.Random(0)
    results = [
        result(generator.random(), generator.choice([10.0, 2000.0, 3000.0]), 0.9, generator.random()) for _ in range(30)
    ]
    for one, other in itertools.permutations(results, 2):
        violations = [total_violation(metrics, (SIZE,)) for metrics in (one, other)]
        plain = pareto.dominates(pareto.objective_values(one, BOTH), pareto.objective_values(other, BOTH))
        expected = plain if violations == [0, 0] else violations[0] < violations[1]
        values = [comparable_values(metrics, BOTH, (SIZE,)) for metrics in (one, other)]
        assert pareto.dominates(*values) == expected


def test_an_undefined_metric_is_the_worst_violation_and_compares() -> None:
    undefined, huge = comparable_values({"f1": 1.0}, F1, (SIZE,)), comparable_values(result(1.0, 1e9), F1, (SIZE,))
    assert -math.inf < undefined[0] < huge[0] < -1e299


def test_the_best_epoch_satisfies_the_constraints_if_any_does() -> None:
    candidates = [result(0.3), result(0.6), result(0.9, precision=0.4)]
    assert best_index(candidates, F1) == 2
    assert best_index(candidates, F1, (PRECISION,)) == 1
    assert trial(1, *candidates).best_epoch(F1).epoch == 2  # type: ignore[union-attr]


def test_among_equal_violations_the_objectives_decide() -> None:
    assert best_index([result(0.3, 2000.0), result(0.6, 2000.0), result(0.5, 2000.0)], F1, (SIZE,)) == 1


def test_without_constraints_nothing_changes() -> None:
    metrics = result(0.7, 2000.0)
    assert comparable_values(metrics, BOTH) == pareto.objective_values(metrics, BOTH)


def test_infeasible_trials_rank_after_all_feasible_ones_by_their_violation() -> None:
    trials = [
        trial(0, result(0.9, 3000.0), role="baseline"),
        trial(1, result(0.1)),
        trial(2, result(0.95, 1100.0)),
        trial(3, result(0.2)),
    ]
    assert [t.number for t in rank_trials(trials, F1)] == [3, 1, 2, 0]
    assert [t.number for t in rank_trials(trials, BOTH)] == [3, 1, 2, 0]
    assert [bool(t.violated) for t in trials] == [True, False, True, False]


def test_a_recorded_winner_that_violates_changed_constraints_does_not_win() -> None:
    ranked = rank_trials([trial(1, result(0.1)), trial(2, result(0.9, 2000.0))], F1)
    assert choose_winner(ranked, 2).number == 1
    assert choose_winner(ranked, 1).number == 1
    assert choose_winner(ranked[1:], 2).number == 2


def test_a_rung_promotes_no_infeasible_trial_before_a_feasible_one() -> None:
    good, bad = trial(1, result(0.1)), trial(2, result(0.9, precision=0.4))
    rule = StoppingRule(space(objectives=F1, stopping=Stopping(reduction=2)), [good, bad])
    assert rule.may_continue(good, at_end=False)
    assert not rule.may_continue(bad, at_end=False)


def test_only_references_are_confirmed_although_infeasible() -> None:
    trials = [
        trial(0, result(0.9, 3000.0), role="baseline"),
        trial(1, result(0.1, 2000.0), role="start 0"),
        trial(2, result(0.95, 1100.0)),
        trial(3, result(0.2)),
    ]
    confirmed = choose_confirmed(trials, space(objectives=F1, confirm=Confirm(top=2, seeds=1)))
    assert [t.number for t in confirmed] == [0, 1, 3]


def test_an_infeasible_reference_never_wins_the_verdict() -> None:
    baseline = Candidate(0, "baseline", (0.9, 0.91), None, 1.0, is_feasible=False)
    found = Candidate(3, "trial", (0.5, 0.51), None, 1.0)
    verdict = judge_candidates([baseline, found])
    assert (verdict.winner, verdict.reference, verdict.equals) == (3, 0, (3,))
    alone = judge_candidates([baseline, dataclasses.replace(found, is_feasible=False)])
    assert alone.winner == 0


def test_only_measured_quantities_make_a_trial_hopeless() -> None:
    reason = explain_hopeless(result(0.9, 2000.0, 0.1), (SIZE, PRECISION))
    assert reason == "2,000 parameters, at most 1,000 are allowed"
    assert explain_hopeless(result(0.9, 500.0, 0.1), (SIZE, PRECISION)) is None
    assert explain_hopeless({}, (SIZE, PRECISION)) is None


SEARCHED = space(
    trainable="tests.search.toy_trainable:Sized",
    dataset=NoneSpec(),
    fixed={"width": 1},
    search=(Dimension("x", "uniform", 0.0, 1.0),),
    inner={},
    objectives=F1,
    baseline={"x": 0.5},
    start=(),
    constraints=(SIZE, PRECISION),
    budget=Budget(trials=40, epochs=9),
    stopping=Stopping(first_rung=1, reduction=3),
)


def test_a_trial_that_cannot_satisfy_them_is_stopped_after_its_first_epoch_but_not_the_baseline(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", SEARCHED)
    stopper = TrialStopper(study, SEARCHED, TimeBudget(None))
    slow = Epoch(1, result(0.9, 2000.0), {}, 1.0)
    for number in range(2):
        study.next_trial()
        study.record_epoch(number, slow)
    assert stopper(0, slow) is None
    assert stopper(1, slow) == ("stopped", "2,000 parameters, at most 1,000 are allowed")


def test_a_study_judges_recorded_epochs_by_the_constraints_of_its_space(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", SEARCHED)
    study.next_trial()
    study.record_epoch(0, Epoch(1, result(0.9, 2000.0), {}, 1.0))
    assert study.get_trial(0).violated == (SIZE,)
    study.close()
    reopened = Study(tmp_path / "journal", dataclasses.replace(SEARCHED, constraints=()), joins=True)
    assert reopened.get_trial(0).violated == ()


def test_a_trial_that_ends_before_its_first_epoch_has_a_violation_but_no_rank(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", SEARCHED)
    study.next_trial()
    study.next_trial()
    study.record_measured(1, {"parameters": 1500.0})
    study.end_trial(1, "stopped", "too large")
    ended = study.get_trial(1)
    assert (ended.outcome, ended.epochs, ended.violated, ended.total_violation) == ("stopped", (), (SIZE,), 0.5)
    assert rank_trials(study.get_trials(), F1) == []


def suggest_values(searched: Space, history: list[Trial]) -> list[float]:
    return [float(suggest_parameters(searched, history, 100 + n)["x"]) for n in range(20)]  # type: ignore[arg-type]


def history(*, has_epochs: bool) -> list[Trial]:
    """Return trials of which those above 0.3 are the best by the objective, and all too large."""
    trials = []
    for number in range(24):
        x = number / 24
        large = x > 0.3
        ended = trial(number, result(x, 5000.0 if large else 10.0), outcome="stopped")
        if large and not has_epochs:
            ended = dataclasses.replace(ended, epochs=(), measured={"parameters": 5000.0})
        trials.append(dataclasses.replace(ended, parameters={"x": x}))
    return trials


@pytest.mark.parametrize("has_epochs", [True, False])
def test_the_sampler_learns_where_models_are_too_large(has_epochs: bool) -> None:
    suggested = suggest_values(SEARCHED, history(has_epochs=has_epochs))
    assert sum(x > 0.4 for x in suggested) <= 4


def test_without_constraints_the_sampler_prefers_these_points() -> None:
    free = dataclasses.replace(SEARCHED, constraints=())
    assert sum(x > 0.4 for x in suggest_values(free, history(has_epochs=True))) >= 15


def test_points_whose_models_are_too_large_are_not_suggested() -> None:
    """All but one of ten widths are too large, and no trial has shown it."""
    wide = dataclasses.replace(SEARCHED, fixed={}, search=(*SEARCHED.search, Dimension("width", "int", 1, 10)))
    suggested = [suggest_parameters(wide, [], number) for number in range(20)]
    assert {point["width"] for point in suggested} == {1}
