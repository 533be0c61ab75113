"""What may be deleted when a trial has ended."""

from __future__ import annotations

from pathlib import Path

from search.reporting.callback import KEPT_MODELS, prunable_models
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space


def test_weights_of_the_best_the_baseline_and_what_runs_are_kept(tmp_path: Path) -> None:
    searched = space(budget=Budget(trials=12, epochs=9))
    study = Study(tmp_path / "journal", searched)
    for number in range(12):
        study.next_trial()
        study.record_epoch(number, epoch(1, 0.01 * number))
        if number != 1:
            study.end_trial(number, "failed" if number == 11 else "stopped", "")
    gone = prunable_models(study.get_trials(), searched)
    best = list(range(11 - KEPT_MODELS, 11))
    assert set(gone) == set(range(12)) - {0, 1, *best}
