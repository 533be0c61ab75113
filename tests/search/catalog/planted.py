"""Searches with planted results, for tests of the commands that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.results import MAX_TRIALS, SearchFolder
from search.study.study import Study
from tests.search.support import epoch, space

FINGERPRINT = "0123"


def plant_search(storage: Path, name: str = "toy", *, gain: float = 0.0, **changes: Any) -> SearchFolder:
    """Record a search: the baseline finished, a start finished as the best, one trial failed, one runs.

    Args:
        storage: Storage folder.
        name: Name of the search.
        gain: Added to all values.
        changes: Changed fields of the space.
    """
    planted = space(name=name, **changes)
    folder = SearchFolder(storage, name)
    folder.write_identity(planted.identity() | {MAX_TRIALS: planted.max_trials, "data": FINGERPRINT}, storage)
    study = Study(folder.journal_path, planted)
    for number, values in enumerate(([0.2, 0.3], [0.5, 0.6, 0.55], [0.1], [0.4])):
        trial = study.next_trial()
        assert trial is not None
        for index, value in enumerate(values):
            study.record_epoch(number, epoch(index + 1, value + gain))
        if number < 3:
            study.end_trial(number, "failed" if number == 2 else "finished", "diverged" if number == 2 else "")
    study.set_run_id(1, "run-of-1")
    study.set_test_scores(1, {"S0": {"f1_0.3m": 0.58 + gain}})
    study.close()
    return folder
