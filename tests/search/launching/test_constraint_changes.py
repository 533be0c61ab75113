"""Constraints that change when a search is resumed: allowed where the records and the saved models fit them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import InputError
from search.catalog.details import describe_search
from search.catalog.reading import SearchRecord
from search.launching.constraint_changes import check_changed_constraints, record_constraints
from search.results import SearchFolder
from search.study.reading import read_study
from search.study.study import Study
from spaces.constraints import Constraint
from tests.search.support import epoch, space

PRECISION = Constraint("precision_1m", ">=", 0.5)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """Return a search of two trials without constraints: the second is the better one, and is precise in its first epoch only."""
    started = SearchFolder(tmp_path, "toy")
    started.write_identity(space().identity())
    study = Study(started.journal_path, space())
    for number, results in enumerate(([(0.2, 0.6), (0.3, 0.7)], [(0.5, 0.8), (0.9, 0.4)])):
        study.next_trial()
        for index, (f1, precision) in enumerate(results, start=1):
            study.record_epoch(number, epoch(index, f1, precision_1m=precision))
        study.end_trial(number, "finished", "")
        started.model_path(number).parent.mkdir(parents=True)
        started.model_path(number).write_bytes(b"model")
    study.close()
    return started


def check(folder: SearchFolder, *constraints: Constraint) -> None:
    check_changed_constraints(folder, space(constraints=constraints), folder.journal_path, "space.yaml: constraints")


def test_bounds_under_which_all_saved_models_are_still_the_best_ones_may_be_added_and_removed(
    folder: SearchFolder,
) -> None:
    check(folder)
    check(folder, Constraint("precision_1m", ">=", 0.3))
    folder.write_identity(space().identity() | record_constraints(space(constraints=(PRECISION,))))
    assert folder.read_constraints() == (PRECISION,)
    check(folder, PRECISION)


def test_a_bound_on_a_metric_that_was_not_recorded_is_refused(folder: SearchFolder) -> None:
    with pytest.raises(InputError, match="latency_ms was not recorded by 2 of 2 trials"):
        check(folder, Constraint("latency_ms", "<=", 10.0, True))


def test_a_bound_under_which_another_epoch_would_be_saved_is_refused(folder: SearchFolder) -> None:
    with pytest.raises(InputError, match="the model of trial 1 is that of epoch 2, and epoch 1 would be its best"):
        check(folder, PRECISION)


def test_a_bound_under_which_the_best_trial_has_no_model_is_refused(folder: SearchFolder) -> None:
    folder.model_path(1).unlink()
    check(folder, Constraint("f1_0.3m", "<=", 0.4))
    folder.model_path(0).unlink()
    with pytest.raises(InputError, match="trial 0, now the best, has no saved model"):
        check(folder, Constraint("f1_0.3m", "<=", 0.4))


def test_records_are_read_with_the_constraints_of_the_last_launch(folder: SearchFolder) -> None:
    bound = Constraint("f1_0.3m", "<=", 0.4)
    identity = space().identity() | record_constraints(space(constraints=(bound,)))
    content = read_study(folder.journal_path, "toy", space().search, (bound,))
    described = describe_search(SearchRecord(folder, identity, content, None), 5)
    assert described["constraints"] == ["f1_0.3m <= 0.4"]
    assert described["winner"]["trial"] == 0
    assert [(row["trial"], row["violated"]) for row in described["best"]] == [(0, []), (1, ["f1_0.3m <= 0.4"])]
