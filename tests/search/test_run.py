"""Decisions of a launch, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import sources
from runtime import machine
from runtime.errors import InputError
from runtime.storage import Store
from search import run
from search.execution.trial import Job
from search.plan import Plan
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget, Space
from tests.search.support import epoch, space


def study_at_a_rung(folder: Path, searched: Space, values: list[float]) -> tuple[Study, run.TrialStopper]:
    study = Study(folder / "journal", searched)
    for number, value in enumerate(values):
        study.next_trial()
        study.record_epoch(number, epoch(1, value))
    job = Job(
        searched, SearchFolder(folder, "toy"), sources.prepare_dataset(searched.dataset, "tests"), Store(str(folder))
    )
    return study, run.TrialStopper(study, job, run.TimeBudget(searched.budget.hours))


def test_a_rung_stops_the_worse_and_never_the_baseline(tmp_path: Path) -> None:
    _, decide = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    assert decide(0, epoch(1, 0.1)) is None
    assert decide(1, epoch(1, 0.5)) is None
    assert decide(2, epoch(1, 0.3)) == ("stopped", "not in the best 1/3 after epoch 1")


def test_between_rungs_everything_goes_on_and_at_full_length_it_finishes(tmp_path: Path) -> None:
    study, decide = study_at_a_rung(tmp_path, space(), [0.1, 0.5, 0.3])
    study.record_epoch(2, epoch(2, 0.3))
    assert decide(2, epoch(2, 0.3)) is None
    assert decide(2, epoch(9, 0.3)) == ("finished", "")


def test_when_time_is_up_a_trial_stops_and_says_why(tmp_path: Path) -> None:
    _, decide = study_at_a_rung(tmp_path, space(budget=Budget(trials=8, epochs=9, hours=1e-9)), [0.1])
    assert decide(0, epoch(1, 0.1)) == ("stopped", "out of time")
    assert not decide.may_start()


def test_a_trial_recorded_to_its_end_before_a_crash_is_settled(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=1))
    study, _ = study_at_a_rung(tmp_path, searched, [0.1])
    run._finalize_completed_trials(study, 1)
    assert study.get_trial(0).outcome == "finished"


def test_one_launch_at_a_time_holds_a_search(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "toy")
    with run._search_lock(folder), pytest.raises(InputError, match="one launch at a time"), run._search_lock(folder):
        pass
    with run._search_lock(folder):
        assert not folder.is_started()


def test_a_fresh_start_sets_the_old_search_aside_without_deleting(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "toy")
    for expected in ("toy.old1", "toy.old2"):
        folder.write_identity({"seed": 0})
        assert Path(folder.archive_search()).name == expected
        assert not folder.is_started()
    assert (tmp_path / "searches" / "toy.old1" / "space.json").is_file()


def test_a_run_says_what_its_figures_were_made_with(tmp_path: Path) -> None:
    searched = space()
    source = sources.prepare_dataset(searched.dataset, "tests")
    plan = Plan(searched, source, SearchFolder(tmp_path, "toy"), "sqlite://", Store(str(tmp_path)))
    tags = run.provenance_tags(plan)
    assert tags["dataset"] == source.fingerprint
    assert tags["version.torch"] == machine.package_versions()["torch"]
    assert tags["version.project"] == machine.project_digest()  # also where there is no repository
    assert tags["git.commit"] == machine.git_commit()
