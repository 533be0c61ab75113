"""Points of a study: completed from defaults, never repeated, never impossible, and stored as they are written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.study import sampler
from search.study.importance import parameter_importances
from search.study.study import Study, read_trials
from search.study.trials import Trial
from spaces.schema import Budget, Dimension, Space, Value
from tests.search.support import epoch, space

BATCH = Dimension("optimizer.batch_size", "int", 16, 64, step=16)
MERGE = Dimension("network.merge", "choice", choices=("concat", "sum"))
LEAK = Dimension("network.leak", "choice", choices=(0.0, 0.01, 0.2))


def searching(*dimensions: Dimension, baseline: dict[str, Value] | None = None, **changes: Any) -> Space:
    """Return a space with these dimensions, and with a baseline completed by the study."""
    changed: dict[str, Any] = {"search": dimensions, "baseline": baseline or {}, "start": ()}
    return space(**changed | {"budget": Budget(trials=30, epochs=3)} | changes)


def run_all(study: Study) -> list[Trial]:
    """Run all trials of a study, with a score that grows with the number of the trial."""
    while (trial := study.next_trial()) is not None:
        study.record_epoch(trial.number, epoch(1, 0.01 * trial.number))
        study.end_trial(trial.number, "stopped", "")
    return study.get_trials()


def test_a_partial_point_is_completed_from_the_config(tmp_path: Path) -> None:
    points = [
        Study(
            tmp_path / f"journal{seed}",
            searching(BATCH, LEAK, MERGE, baseline={"network.merge": "sum"}, start=({"network.leak": 0.2},), seed=seed),
        )
        for seed in range(3)
    ]
    for study in points:
        baseline, start = study.next_trial(), study.next_trial()
        assert baseline is not None
        assert start is not None
        assert baseline.parameters == {"optimizer.batch_size": 128, "network.leak": 0.01, "network.merge": "sum"}
        assert start.parameters == {"optimizer.batch_size": 128, "network.leak": 0.2, "network.merge": "concat"}


def test_a_conditional_parameter_of_a_partial_point_has_its_default(tmp_path: Path) -> None:
    searched = space(start=({"loss.regression": "smooth_l1"},))
    study = Study(tmp_path / "journal", searched)
    study.next_trial()
    start = study.next_trial()
    assert start is not None
    assert start.parameters == {
        "optimizer.lr": 1e-4,
        "optimizer.batch_size": 128,
        "loss.regression": "smooth_l1",
        "loss.huber_delta": 0.1,
    }


@pytest.mark.parametrize("started", [False, True])
def test_a_trial_that_an_earlier_version_enqueued_in_part_is_completed(tmp_path: Path, started: bool) -> None:
    path, searched = tmp_path / "journal", searching(BATCH, MERGE, LEAK, baseline={"network.leak": 0.2})
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    old = optuna.create_study(storage=storage, study_name=searched.name, directions=["maximize"])
    old.enqueue_trial({"network.leak": 0.2}, user_attrs={"role": "baseline"})
    if started:
        old.ask().suggest_categorical("network.leak", [0.0, 0.01, 0.2])
    baseline = Study(path, searched).next_trial()
    assert baseline is not None
    assert baseline.is_baseline
    assert baseline.parameters == {"optimizer.batch_size": 128, "network.merge": "concat", "network.leak": 0.2}


def test_a_baseline_outside_of_the_search_is_run_as_it_is_and_not_learnt_from(tmp_path: Path) -> None:
    dimensions = (
        Dimension("optimizer.lr", "log_uniform", 1e-3, 1e-2),
        Dimension("grid.cells", "choice", choices=(4, 8)),
        Dimension("optimizer.batch_size", "int", 16, 64),
    )
    outside: dict[str, Value] = {"optimizer.lr": 1e-4, "grid.cells": 6, "optimizer.batch_size": 128}
    searched = searching(*dimensions, baseline=outside)
    assert searched.outside == outside
    trials = run_all(Study(tmp_path / "journal", searched))
    assert trials[0].parameters == outside
    assert all(dimension.contains_value(t.parameters[dimension.name]) for t in trials[1:] for dimension in dimensions)
    assert read_trials(tmp_path / "journal")[0].parameters == outside
    assert Study(tmp_path / "journal", searched).get_trial(0).parameters == outside
    without = [sampler.suggest_parameters(searched, trials[1:], number) for number in range(50, 54)]
    assert [sampler.suggest_parameters(searched, trials, number) for number in range(50, 54)] == without
    assert (
        parameter_importances(trials, searched.search, searched.objectives)
        == parameter_importances(trials[1:], searched.search, searched.objectives)
        != {}
    )


def test_an_interrupted_baseline_outside_of_the_search_keeps_its_values(tmp_path: Path) -> None:
    searched = searching(BATCH, MERGE, baseline={"optimizer.batch_size": 20})
    first = Study(tmp_path / "journal", searched).next_trial()
    assert first is not None
    assert first.parameters == {"optimizer.batch_size": 20, "network.merge": "concat"}
    assert Study(tmp_path / "journal", searched).next_trial() == first


def test_a_small_space_ends_when_all_its_points_have_run(tmp_path: Path) -> None:
    searched = searching(LEAK, MERGE, baseline={"network.leak": 0.01})
    for known in (None, 6):  # whether the number of points was counted when the space was loaded
        study = Study(tmp_path / f"journal{known}", dataclasses.replace(searched, distinct_points=known))
        trials = run_all(study)
        assert len({repr(sorted(trial.parameters.items())) for trial in trials}) == len(trials) == 6
        assert known is not None or study.exhausted == "all possible points of the space have run"
        assert not study.has_unfinished()
    assert not Study(tmp_path / "journal6", dataclasses.replace(searched, distinct_points=6)).has_unfinished()


def test_a_failed_point_is_not_run_again(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searching(MERGE, BATCH, baseline={"optimizer.batch_size": 16}))
    seen = []
    while (trial := study.next_trial()) is not None:
        seen.append(repr(sorted(trial.parameters.items())))
        study.end_trial(trial.number, "failed", "test")
    assert len(set(seen)) == len(seen) == 8


def test_equal_points_of_the_baseline_and_start_run_once(tmp_path: Path) -> None:
    start = ({"network.merge": "concat"}, {"network.merge": "sum"}, {"network.merge": "sum", "network.leak": 0.01})
    study = Study(tmp_path / "journal", searching(LEAK, MERGE, start=start))
    points = [trial.parameters for _ in range(3) if (trial := study.next_trial()) is not None]
    assert points[:2] == [{"network.leak": 0.01, "network.merge": merge} for merge in ("concat", "sum")]
    assert points[2] not in points[:2]
    restarted = Study(tmp_path / "journal", searching(LEAK, MERGE, start=start))
    assert len([trial for trial in restarted._study.trials if trial.state.name == "WAITING"]) == 0


def test_impossible_suggestions_are_drawn_again_and_are_no_trials(tmp_path: Path) -> None:
    width = Dimension("network.decoder_width", "int", 16, 64)  # a multiple of 8
    searched = searching(width, LEAK, budget=Budget(trials=20, epochs=3))
    first = run_all(Study(tmp_path / "first", searched))
    widths = [trial.parameters["network.decoder_width"] for trial in first[1:]]
    assert len(first) == 20
    assert {int(str(value)) % 8 for value in widths} == {0}
    assert first[0].parameters["network.decoder_width"] == 256
    assert len(Study(tmp_path / "first", searched)._study.trials) == 20
    second = run_all(Study(tmp_path / "second", searched))
    assert [trial.parameters for trial in first] == [trial.parameters for trial in second]


def test_a_space_without_possible_points_ends_with_the_reason(tmp_path: Path) -> None:
    width = Dimension("network.decoder_width", "int", 17, 23)
    lr = Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-2)
    study = Study(tmp_path / "journal", searching(width, lr))
    assert len(run_all(study)) == 1
    assert "1000 random points" in str(study.exhausted)


HIDDEN = Dimension("hidden", "choice", choices=(None, [64, 64], [128, 64, 32]))
MIXED = Dimension("mixed", "choice", choices=(1, True, 1.0, "1", None))
NESTED = Dimension("nested", "choice", choices=([[1, 2], [3]], [], ["a", None]), when=(("hidden", ([64, 64], None)),))


@pytest.mark.parametrize("dimension", [HIDDEN, MIXED, NESTED, BATCH, LEAK], ids=lambda d: d.name)
def test_every_value_comes_back_from_the_journal_as_it_was_written(dimension: Dimension) -> None:
    from search.study.encoding import PointEncoder, decode_parameters

    encoder = PointEncoder([dataclasses.replace(dimension, when=())])
    values = dimension.grid_values(10)
    assert values
    study = optuna.create_study()
    for value in values:
        stored = encoder.encode({dimension.name: value})
        assert stored is not None
        study.add_trial(optuna.trial.create_trial(params=stored, distributions=encoder.distributions, value=0.0))
    read = [decode_parameters([dimension], trial.params)[dimension.name] for trial in study.trials]
    assert [(type(value), value) for value in read] == [(type(value), value) for value in values]


def test_conditions_on_null_and_lists_hold_for_these_values_only() -> None:
    assert NESTED.is_active({"hidden": None})
    assert NESTED.is_active({"hidden": [64, 64]})
    assert not NESTED.is_active({"hidden": [128, 64, 32]})
    assert not NESTED.is_active({})
    one = Dimension("x", "uniform", 0, 1, when=(("mixed", (1,)),))
    assert [one.is_active({"mixed": value}) for value in MIXED.choices] == [True, False, False, False, False]


def test_a_trial_that_has_not_changed_is_decoded_once(tmp_path: Path) -> None:
    study = Study(tmp_path / "journal", searching(MERGE, BATCH))
    first, second = study.next_trial(), study.next_trial()
    assert first is not None
    assert second is not None
    study.record_epoch(first.number, epoch(1, 0.5))
    before = study.get_trials()
    study.end_trial(first.number, "stopped", "worse")
    study.set_run_id(first.number, "run")
    study.set_test_scores(first.number, {"S0": {"f1_0.3m": 0.4}})
    after = study.get_trials()
    assert (after[0].outcome, after[0].reason, after[0].run_id) == ("stopped", "worse", "run")
    assert after[0].test_scores == {"S0": {"f1_0.3m": 0.4}}
    assert after[0].parameters == before[0].parameters
    assert after[1] is before[1]
    study.set_run_id(second.number, "other")
    assert study.get_trials()[1].run_id == "other"
