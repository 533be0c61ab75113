"""A trial that is trained again from its record has the recorded figures, also one of an earlier version."""

from __future__ import annotations

import dataclasses
import re
import tarfile
from pathlib import Path

import pytest

import search.rerun
from search.catalog.repetition import Repetition, compare_epochs
from tests.search.catalog.planted import plant_search
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
def test_a_trial_of_an_earlier_version_has_the_recorded_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    assert search.rerun.main(["rg_rep", "1", "--storage", str(tmp_path), "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "same" in output.splitlines()[-1]
    assert "git.commit" in output  # of another version
    journal = tmp_path / "searches" / "rg_rep" / "study.journal"
    text = journal.read_text()
    assert re.search(r'"loss": ?8\.279', text)
    journal.write_text(re.sub(r'("loss": ?)8\.279', r"\g<1>8.379", text))
    command = ["rg_rep", "1", "--storage", str(tmp_path), "--device", "cpu", "--epochs", "1"]
    assert search.rerun.main(command) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("different: first in epoch 1, loss: 8.379")
