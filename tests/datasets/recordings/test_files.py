"""Sound files and splits that no samples can be made of are named by row and file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.datasets.recorded import ROWS, complaint, heard, positions_of, record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record(tmp_path)
    return tmp_path


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(40_000))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def frameless(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 8)), 16_000)


def short(path: Path) -> None:
    soundfile.write(path, np.full((2_559, 8), 0.1), 16_000)


def mono(path: Path) -> None:
    soundfile.write(path, np.full(8_000, 0.1), 16_000)


def not_a_number(path: Path) -> None:
    sound = heard(1, positions_of(ROWS[1])).copy()
    sound[5_000, 6] = np.nan
    soundfile.write(path, sound, 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("spoil", "rule", "value"),
    [
        (empty, "must not be empty", "0 bytes"),
        (garbage, "must be readable", "t1.wav"),
        (truncated, "as long as its header says", "20000 of"),
        (frameless, "must contain sound", "0 frames"),
        (short, "at least 160 ms", "t1.wav: 159.9 ms"),
        (mono, "the 8 channels of all arrays", "1 channels"),
        (not_a_number, "finite numbers", "t1.wav: NaN or infinity"),
    ],
)
def test_a_spoilt_file_is_named_by_its_row(folder: Path, spoil: Callable[[Path], None], rule: str, value: str) -> None:
    spoil(folder / "t1.wav")
    error = complaint(folder)
    assert error.place == f"{folder / 'recordings.csv'}, row 3, column file"
    assert rule in error.rule
    assert value in str(error.value)


def test_arrays_of_unequal_length_are_named(folder: Path) -> None:
    sound = heard(0, positions_of(ROWS[0]))
    soundfile.write(folder / "left.wav", sound[:, :4], 16_000)
    soundfile.write(folder / "right.wav", sound[: 8_000 - 2_561, 4:], 16_000)
    rest = ROWS[0][4:]
    rows = [("t0", "left.wav", "0", "", *rest), ("t0", "right.wav", "1", "", *rest), *ROWS[1:]]
    error = complaint(folder, rows)
    assert error.place == f"{folder / 'recordings.csv'}, row 3, column file"
    assert "equally long, to 160 ms" in error.rule
    assert error.value == "left.wav: 0.50 s, right.wav: 0.34 s"


def test_a_split_without_recordings(folder: Path) -> None:
    error = complaint(folder, [row for row in ROWS if row[6] != "validate"])
    assert error.place == f"{folder / 'recordings.csv'}, column split"
    assert "split 'validate' needs recordings" in error.rule
    assert error.value == ["A0", "A1", "A2", "R0", "train"]


def test_a_split_in_which_nothing_is_heard(folder: Path) -> None:
    for name in ("v0.wav", "v1.wav"):
        soundfile.write(folder / name, np.zeros((8_000, 8)), 16_000)
    error = complaint(folder)
    assert "split 'validate' needs at least one audible passage" in error.rule
    assert "dataset.gate" in error.remedy


def test_positions_too_near_each_other(folder: Path) -> None:
    error = complaint(folder, min_distance_m=5.1)
    assert error.place == f"{folder / 'recordings.csv'}, columns x and y, split 'train'"
    assert "2 positions at least 5.1 m apart" in error.rule


def test_a_silent_clip_does_not_count_as_a_position(folder: Path) -> None:
    soundfile.write(folder / "v1.wav", np.zeros((8_000, 8)), 16_000)
    error = complaint(folder)
    assert error.place.endswith("split 'validate'")
    assert (error.rule.partition(" need ")[0], error.value) == ("samples with 2 sources", "1 audible clips")
