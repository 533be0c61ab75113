"""What is wrong with recordings is said with the file, the row and the column."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.recordings.clip_list import read_clip_list
from tests.datasets.recorded import (
    COLUMNS,
    PLACE,
    ROWS,
    complaint,
    complaint_about,
    record,
    set_up,
    spec_of,
    write_manifest,
)

ROOT = Path(__file__).resolve().parents[3]
Rows = list[list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record(tmp_path)
    return tmp_path


def test_the_folder_these_tests_spoil_is_good(folder: Path) -> None:
    set_up(spec_of(folder / "recordings.csv"))


def cell(row: int, column: str, text: str) -> Callable[[Rows], Rows]:
    """Change a cell; rows count from the manifest's line 2."""

    def change(rows: Rows) -> Rows:
        rows[row - 2][COLUMNS.index(column)] = text
        return rows

    return change


def both(*changes: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        for each in changes:
            rows = each(rows)
        return rows

    return change


def added(*row: str) -> Callable[[Rows], Rows]:
    return lambda rows: [*rows, list(row)]


def changed(change: Callable[[Rows], Rows]) -> Rows:
    return change([list(row) for row in ROWS])


@pytest.mark.parametrize(
    ("change", "where", "rule", "value", "remedy"),
    [
        (cell(2, "split", "trian"), "row 2, column split", "train, validate or a test set", "trian", "'train'"),
        (cell(8, "split", "A0 A9"), "row 8, column split", "a test set", "A9", "known names: A0"),
        (cell(2, "split", "train A0"), "row 2, column split", "only test sets", "train A0", "of their own"),
        (cell(3, "x", "1,0"), "row 3, column x", "must be a number", "1,0", "metres"),
        (cell(3, "y", "nan"), "row 3, column y", "must be a number", "nan", "metres"),
        (cell(3, "y", ""), "row 3, column y", "must not be empty", "", "fill"),
        (cell(4, "x", "6.2"), "row 4, column x", "between 0 and 6 m", "6.2", "size_m"),
        (cell(4, "y", "-0.1"), "row 4, column y", "between 0 and 6 m", "-0.1", "size_m"),
        (cell(13, "y", "3"), "row 13, column y", "equally many numbers; x has 2", "3", "every source"),
        (cell(2, "file", "gone.wav"), "row 2, column file", "must exist", "gone.wav", "relative to"),
        (cell(2, "array", "2"), "row 2, column array", "from 0 to 1", "2", "correct"),
        (cell(2, "array", "left"), "row 2, column array", "whole numbers", "left", "0 1 2 3"),
        (cell(2, "array", "0"), "row 2, column file", "the 4 channels of the array", "8 channels", "column channels"),
        (cell(2, "channels", "0 1 2"), "row 2, column channels", "8 different", "0 1 2", "in turn"),
        (cell(2, "channels", "0 1 2 3 4 5 6 6"), "row 2, column channels", "8 different", "6 6", "in turn"),
        (cell(2, "channels", "0 1 2 3 4 5 6 8"), "row 2, column channels", "file's 8", "8", "in turn"),
        (
            both(cell(2, "array", "0"), cell(2, "channels", "0 1 2 3")),
            "row 2, column array",
            "each of the 2 arrays",
            "no row for array 1",
            "add the row",
        ),
        (
            added("t0", "t0.wav", "", "", "1", "1", "train", "funk"),
            "row 15, column array",
            "every array once",
            "all arrays",
            "number the arrays",
        ),
        (
            both(
                cell(2, "array", "0"),
                cell(2, "channels", "0 1 2 3"),
                added("t0", "t0.wav", "0", "4 5 6 7", "1", "1", "train", "funk"),
            ),
            "row 15, column array",
            "every array once",
            "0",
            "number the arrays",
        ),
        (
            added("t0", "t0.wav", "1", "", "1", "2", "train", "funk"),
            "row 15, column y",
            "must agree; row 2 has '1'",
            "2",
            "another clip name",
        ),
        (
            added("t9", "t0.wav", "", "", "1", "5.5", "train", "funk"),
            "row 15, column file",
            "belong to one clip",
            "t0.wav, also in clip 't0' (row 2)",
            "remove one",
        ),
        (
            both(cell(6, "x", "1"), cell(6, "y", "1.0")),
            "row 6, column split",
            "row 2 has it in train",
            "(1, 1) m in validate",
            "one split",
        ),
        (
            both(cell(11, "x", "4.5"), cell(11, "y", "4.5")),  # a held-out test's, in training
            "row 11, column split",
            "row 5 has it in train",
            "in A2",
            "one split",
        ),
        (
            both(cell(13, "x", "2 4.75"), cell(13, "y", "2 2")),  # one source of a test's two, in validation
            "row 13, column split",
            "row 6 has it in validate",
            "in R0",
            "one split",
        ),
        (
            both(cell(8, "split", "A0"), cell(9, "split", "A1"), cell(9, "x", "0.5")),  # two tests of seen genres
            "row 9, column split",
            "row 8 has it in A0",
            "in A1",
            "one split",
        ),
        (cell(11, "genre", "funk"), "row 11, column genre", "row 2 plays it", "funk", "another test set"),
        (
            both(cell(13, "x", "1.5 4 5"), cell(13, "y", "3 2 5")),
            "row 13, column x",
            "1 to 2",
            "3 sources",
            "move the clip",
        ),
        (both(cell(6, "x", "2 5.5"), cell(6, "y", "2 2")), "row 6, column x", "not in validate", "2 5.5", "one at a"),
    ],
)
def test_a_spoilt_cell_is_named(
    folder: Path, change: Callable[[Rows], Rows], where: str, rule: str, value: str, remedy: str
) -> None:
    error = complaint(folder, changed(change))
    assert error.place == f"{folder / 'recordings.csv'}, {where}"
    assert rule in error.rule
    assert value in str(error.value)
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("columns", "where", "rule", "remedy"),
    [
        ((*COLUMNS[:4], "px", *COLUMNS[5:]), ", column x", "needs the columns", "add x"),
        ((*COLUMNS[:3], "chanels", *COLUMNS[4:]), ", column chanels", "one of", "did you mean 'channels'?"),
        ((*COLUMNS[:7], "split"), ", column split", "be there once", "remove"),
    ],
)
def test_a_spoilt_header_is_named(folder: Path, columns: Any, where: str, rule: str, remedy: str) -> None:
    error = complaint(folder, columns=columns)
    assert error.place == f"{folder / 'recordings.csv'}{where}"
    assert rule in error.rule
    assert remedy in error.remedy


def test_a_row_of_another_length_is_named(folder: Path) -> None:
    error = complaint(folder, [*ROWS, ("t9", "t9.wav", "", "", "1", "1", "train", "funk", "loud")])
    assert error.place == f"{folder / 'recordings.csv'}, row 15"
    assert "8 cells" in error.rule


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "needs the columns"),
        ("\ufeff".encode() + ",".join(COLUMNS).encode(), "must list recordings"),
        (b"clip;file;x;y;split\n", "needs the columns"),
        (b"clip,file\xff\n", "CSV text in UTF-8"),
        (b'clip,file,x,y,split\n"t0,t0.wav\n', "CSV text in UTF-8"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    error = complaint_about(tmp_path / "bad.csv")
    assert error.place.startswith(str(tmp_path / "bad.csv"))
    assert rule in error.rule


def test_a_missing_manifest(tmp_path: Path) -> None:
    error = complaint_about(tmp_path / "absent.csv")
    assert (error.place, error.value) == (PLACE, str(tmp_path / "absent.csv"))


def test_tests_may_share_positions_where_the_paper_does(folder: Path) -> None:
    shared = changed(both(cell(13, "x", "0.5 3"), cell(13, "y", "5 1.5")))  # R0's two sources stand where A0's did
    spec = spec_of(write_manifest(folder, shared))
    assert len(read_clip_list(spec, PLACE)) == len(ROWS)


def test_mistakes_are_answered_before_anything_heavy_is_loaded() -> None:
    program = (
        "import sys, datasets.recordings.clip_list as m; from datasets.recordings.spec import RecordingsSpec; "
        "print(sorted({'torch', 'scipy', 'sofar'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
