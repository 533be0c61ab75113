"""A trial that is trained again from its record has the recorded figures, and one of an earlier version can be repeated."""

from __future__ import annotations

import dataclasses
import re
import tarfile
from pathlib import Path

import pytest

import search.rerun
from datasets.rooms.dataset import Dataset
from search.catalog.repetition import Repetition, compare_epochs
from search.study.study import read_trials
from tests.search.catalog.planted import plant_search
from tests.search.saved_searches import train_searches
from tests.search.support import epoch

ARCHIVE = Path(__file__).resolve().parents[2] / "old_search" / "search_ba0ef5e.tar.xz"


def test_differences_beyond_rounding_are_found() -> None:
    recorded = epoch(2, 0.5, precision=0.25)
    assert compare_epochs(recorded, recorded) == (None, 0.0)
    first, largest = compare_epochs(recorded, epoch(2, 0.5, precision=0.25 + 1e-6))
    assert first is None
    assert largest == pytest.approx(1e-6)
    assert compare_epochs(recorded, epoch(2, 0.5, precision=0.26))[0] == (2, "precision", 0.25, 0.26)
    assert compare_epochs(recorded, epoch(2, 0.5))[0] == (2, "precision", 0.25, None)
    other_setting = dataclasses.replace(recorded, setting={"threshold": 0.3})
    assert compare_epochs(recorded, other_setting)[0] == (2, "setting threshold", 0.6, 0.3)


def test_a_result_says_whether_the_figures_are_the_same() -> None:
    assert str(Repetition(3, None, 0.0)) == "same: 3 epochs, all figures equal"
    assert "within rounding" in str(Repetition(3, None, 1e-6))
    different = Repetition(3, (2, "loss", 0.5, 0.6), 0.1)
    assert str(different) == "different: first in epoch 2, loss: 0.5 recorded, 0.6 now"
    assert (different.differs, Repetition(3, None, 1e-6).differs) == (True, False)


def test_a_trial_without_epochs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.rerun.main(["toy", "9", "--storage", str(tmp_path)]) == 2
    assert "the search must have the trial" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trial_of_an_earlier_version_can_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Processors round differently: only losses follow by as much, so the exit status depends on the processor."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    search.rerun.main(["rg_rep", "1", "--storage", str(tmp_path), "--device", "cpu"])
    output = capsys.readouterr().out
    assert "git.commit" in output  # of another version
    assert "processor" in output  # that version did not record it
    pairs = re.findall(r"loss ([0-9.]+) → ([0-9.]+)", output)
    assert len(pairs) == 4  # of two epochs, in training and on validation
    for recorded, repeated in pairs:
        assert float(repeated) == pytest.approx(float(recorded), rel=1e-3)


@pytest.mark.slow
def test_a_repeated_trial_has_the_recorded_figures_unless_its_record_is_changed(
    tmp_path: Path, tiny: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train_searches(tiny, tmp_path).localizer.results
    command = [folder.name, "1", "--storage", str(tmp_path), "--datasets", tiny.store.uri, "--device", "cpu"]
    assert search.rerun.main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "same: 1 epoch, all figures equal"
    epoch = read_trials(folder.journal_path)[1].epochs[0]
    journal, loss = folder.journal_path.read_text(), str(epoch.metrics["loss"])
    assert journal.count(loss) >= 1
    folder.journal_path.write_text(journal.replace(loss, str(epoch.metrics["loss"] + 0.1)))
    assert search.rerun.main(command) == 1
    assert re.match(r"different: first in epoch 1, loss: ", capsys.readouterr().out.splitlines()[-1])
