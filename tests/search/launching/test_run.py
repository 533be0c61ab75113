"""Steps of a search that need neither Ray nor a dataset."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.errors import InputError, StorageError
from search.launching import run
from search.launching.lock import hold_lock
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space


def test_a_trial_recorded_to_its_end_before_a_crash_is_settled(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=1))
    study = Study(tmp_path / "journal", searched)
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.1))
    study.finalize_ended_trials()
    assert study.get_trial(0).outcome == "finished"


@pytest.mark.parametrize(("epochs_total", "expected"), [(1, False), (2, True), (None, True)])
def test_nothing_runs_without_a_budget(epochs_total: int | None, expected: bool, tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=8, epochs=9, epochs_total=epochs_total))
    study = Study(tmp_path / "journal", searched)
    study.next_trial()
    study.record_epoch(0, epoch(1, 0.1))
    experiment: Any = SimpleNamespace(space=searched, epoch_presentations=lambda _: None)
    assert run._may_run(experiment, study) is expected


def test_one_launch_at_a_time_holds_a_search(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "toy")
    with hold_lock(folder), pytest.raises(InputError, match="one launch at a time"), hold_lock(folder):
        pass
    with hold_lock(folder):
        assert not folder.is_started()


def test_a_fresh_start_sets_the_old_search_aside_without_deleting(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "toy")
    for expected in ("toy.old1", "toy.old2"):
        folder.write_identity({"seed": 0})
        assert Path(folder.archive_search()).name == expected
        assert not folder.is_started()
    assert (tmp_path / "searches" / "toy.old1" / "space.json").is_file()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_is_full_when_a_file_is_written_is_explained(code: int, tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="continue with --resume"),
        run._explain_full_disk(SearchFolder(tmp_path, "a")),
    ):
        raise OSError(code, os.strerror(code), "space.json")
    with pytest.raises(FileNotFoundError), run._explain_full_disk(SearchFolder(tmp_path, "a")):
        raise FileNotFoundError(errno.ENOENT, "gone")
