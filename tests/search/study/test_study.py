"""The durable study: records survive a restart, and are written once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from search.study.study import Study
from search.study.trials import rank_trials
from spaces.schema import Budget
from tests.search.support import epoch, space


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def test_trial_0_is_the_baseline_and_trial_1_the_named_start(journal: Path) -> None:
    study = Study(journal, space())
    first, second = study.next_trial(), study.next_trial()
    assert first is not None
    assert second is not None
    assert (first.number, first.is_baseline, first.parameters) == (0, True, space().baseline)
    assert not second.is_baseline
    assert second.parameters["optimizer.lr"] == 2e-3


def test_a_conditional_parameter_exists_only_where_its_condition_holds(journal: Path) -> None:
    study = Study(journal, space(budget=Budget(trials=30, epochs=9)))
    seen = set()
    while (trial := study.next_trial()) is not None:
        chosen = trial.parameters["loss.regression"]
        seen.add(chosen)
        assert ("loss.huber_delta" in trial.parameters) == (chosen == "smooth_l1")
        study.record_epoch(trial.number, epoch(1, 0.1))
        study.end_trial(trial.number, "stopped", "test")
    assert seen == {"mse", "smooth_l1"}


def test_the_budget_limits_the_number_of_trials(journal: Path) -> None:
    study = Study(journal, space(budget=Budget(trials=3, epochs=9)))
    assert [study.next_trial() is not None for _ in range(5)] == [True, True, True, False, False]
    assert study.count_started() == 3


def test_after_a_restart_interrupted_trials_come_first_with_their_parameters_and_epochs(journal: Path) -> None:
    study = Study(journal, space())
    before = [study.next_trial() for _ in range(3)]
    study.record_epoch(0, epoch(1, 0.2))
    study.record_epoch(1, epoch(1, 0.4))
    study.end_trial(1, "finished", "")
    restarted = Study(journal, space())
    resumed = [restarted.next_trial(), restarted.next_trial()]
    assert [(t.number, t.parameters) for t in resumed if t] == [
        (t.number, t.parameters) for t in before if t and t.number != 1
    ]
    assert resumed[0] is not None
    assert [e.epoch for e in resumed[0].epochs] == [1]
    new = restarted.next_trial()
    assert new is not None
    assert new.number == 3


def test_after_a_restart_an_interrupted_baseline_comes_first(journal: Path) -> None:
    study = Study(journal, space())
    for _ in range(3):
        study.next_trial()
    assert study.has_running()
    restarted = Study(journal, space())
    restarted._interrupted.reverse()
    first = restarted.next_trial()
    assert first is not None
    assert first.is_baseline


def test_after_a_restart_new_points_are_suggested(journal: Path) -> None:
    study = Study(journal, space(budget=Budget(trials=40, epochs=9)))
    earlier = [study.next_trial() for _ in range(6)]
    restarted = Study(journal, space(budget=Budget(trials=40, epochs=9)))
    later = [restarted.next_trial() for _ in range(12)][6:]
    rates = {t.parameters["optimizer.lr"] for t in earlier if t}
    assert not rates & {t.parameters["optimizer.lr"] for t in later if t}


def test_recording_and_ending_twice_changes_nothing(journal: Path) -> None:
    study = Study(journal, space())
    study.next_trial()
    assert study.record_epoch(0, epoch(1, 0.2))
    assert not study.record_epoch(0, epoch(1, 0.9))
    study.end_trial(0, "stopped", "rung")
    study.end_trial(0, "failed", "late message")
    study.record_epoch(0, epoch(2, 0.9))
    trial = Study(journal, space()).get_trial(0)
    assert [e.metrics["f1_0.3m"] for e in trial.epochs] == [0.2]
    assert (trial.outcome, trial.reason) == ("stopped", "rung")


def test_the_value_of_a_trial_is_that_of_its_best_epoch(journal: Path) -> None:
    study = Study(journal, space())
    study.next_trial()
    for number, f1 in enumerate([0.1, 0.6, 0.3], start=1):
        study.record_epoch(0, epoch(number, f1))
    study.end_trial(0, "finished", "")
    trial = study.get_trial(0)
    best = trial.best_epoch(space().objectives)
    assert best is not None
    assert best.epoch == 2
    assert trial.best_objectives_until(1, space().objectives) == (0.1,)
    assert trial.best_objectives_until(3, space().objectives) == (0.6,)
    assert trial.best_objectives_until(4, space().objectives) is None
    assert study._study.trials[0].values == [0.6]


def test_a_stopped_trial_keeps_its_intermediate_values_for_the_sampler(journal: Path) -> None:
    study = Study(journal, space())
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.25))
    study.end_trial(0, "stopped", "rung")
    frozen = study._study.trials[0]
    assert frozen.state.name == "PRUNED"
    assert frozen.intermediate_values == {1: 0.25}


def test_a_trial_without_a_defined_objective_fails_with_the_reason(journal: Path) -> None:
    study = Study(journal, space(objectives=(("rmse_1m", "minimize"),)))
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.0, rmse_1m=math.nan))
    study.end_trial(0, "finished", "")
    assert (study.get_trial(0).outcome, study.get_trial(0).reason) == ("failed", "no epoch has all objectives")
    assert study.next_trial() is not None


def test_two_objectives_work_from_suggestion_to_outcome(journal: Path) -> None:
    both = space(objectives=(("f1_0.3m", "maximize"), ("rmse_1m", "minimize")), budget=Budget(trials=14, epochs=9))
    study = Study(journal, both)
    while (trial := study.next_trial()) is not None:
        study.record_epoch(trial.number, epoch(1, 0.1 * (trial.number % 5), rmse_1m=0.01 * trial.number))
        study.end_trial(trial.number, "stopped" if trial.number % 3 == 2 else "finished", "")
    ranked = rank_trials(study.get_trials(), both.objectives)
    assert len(ranked) == 14
    assert ranked[0].number in (0, 4)  # the two ends of the front


def test_ranking_omits_failed_trials_and_those_without_a_result(journal: Path) -> None:
    study = Study(journal, space())
    for _ in range(4):
        study.next_trial()
    for number, f1 in ((0, 0.2), (1, 0.9), (2, 0.5)):
        study.record_epoch(number, epoch(1, f1))
    study.end_trial(1, "failed", "its process died")
    assert [trial.number for trial in rank_trials(study.get_trials(), space().objectives)] == [2, 0]


def test_test_scores_and_run_ids_survive_a_restart(journal: Path) -> None:
    study = Study(journal, space())
    study.next_trial()
    study.set_run_id(0, "abc")
    study.set_parent_run_id("parent")
    study.set_test_scores(0, {"S0": {"f1_1m": 0.9, "rmse_1m": math.nan}})
    restarted = Study(journal, space())
    assert restarted.get_trial(0).run_id == "abc"
    assert restarted.parent_run_id() == "parent"
    assert restarted.get_trial(0).test_scores == {"S0": {"f1_1m": 0.9}}


def test_a_trial_whose_creation_reply_was_lost_is_reclaimed(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", space())
    first = study.next_trial()
    study._live.clear()  # as if the server had created it, but the reply was lost
    assert study.next_trial() == first
    second = study.next_trial()
    assert second is not None
    assert second.number == 1
    worker = Study(tmp_path / "journal", space(), joins=True)
    third = worker.next_trial()
    assert third is not None
    assert third.number == 2


def test_test_scores_of_a_trial_that_continues_are_dropped(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", space())
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.5))
    study.set_test_scores(0, {"S0": {"f1_0.3m": 0.4}})
    study.close()
    study = Study(tmp_path / "journal", space())
    assert study.get_trial(0).test_scores
    continued = study.next_trial()
    assert continued is not None
    assert continued.number == 0
    assert not continued.test_scores


def test_a_launch_is_recorded_with_its_first_new_trial_unless_nothing_has_changed(journal: Path) -> None:
    study = Study(journal, space())
    study.record_launch({"git.commit": "a"})
    study.next_trial()
    study.record_launch({"git.commit": "a"})
    study.record_launch({"git.commit": "b"})
    assert Study(journal, space(), joins=True).launches == [
        {"first": 0, "tags": {"git.commit": "a"}},
        {"first": 1, "tags": {"git.commit": "b"}},
    ]


def test_runs_are_forgotten_and_replaced_also_those_of_trials_that_run(journal: Path) -> None:
    study = Study(journal, space())
    study.set_parent_run_id("parent")
    for number in range(2):
        study.next_trial()
        study.set_run_id(number, f"run {number}")
    study.end_trial(0, "failed", "")
    study.forget_runs()
    assert [study.parent_run_id(), *(trial.run_id for trial in study.get_trials())] == [None, None, None]
    for number in range(2):
        study.set_run_id(number, f"new {number}")
    assert [trial.run_id for trial in study.get_trials()] == ["new 0", "new 1"]


def test_failed_trials_that_were_taken_up_are_listed_apart(journal: Path) -> None:
    study = Study(journal, space())
    study.next_trial()
    study.end_trial(0, "failed", "")
    assert study.get_retried() == []
    study.retry_failed()
    assert [trial.number for trial in study.get_retried()] == [0]
    assert 0 not in [trial.number for trial in study.get_trials()]
