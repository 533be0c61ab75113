"""Rows of a manifest: a CSV file with a header, and the location of every cell for errors."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.errors import InputError, suggest_name

REQUIRED: Final = ("clip", "file", "x", "y", "split")
OPTIONAL: Final = ("array", "channels", "genre")


@dataclass(frozen=True)
class TableRow:
    """Row of a manifest.

    Attributes:
        path: CSV file.
        line: Line number in the file; the header is line 1.
        cells: Stripped text by column; empty for absent optional columns.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def location(self, column: str) -> str:
        """Return the location of a cell, for errors."""
        return f"{self.path}, row {self.line}, column {column}"

    def value_error(self, column: str, rule: str, remedy: str, *, value: object = None) -> InputError:
        """Return an error about a cell, which shows its text unless `value` is given."""
        return InputError(
            self.location(column), rule, value=self.cells[column] if value is None else value, remedy=remedy
        )

    def parse_numbers(self, column: str) -> tuple[float, ...]:
        """Parse finite numbers separated by spaces."""
        numbers = []
        for text in self.cells[column].split():
            try:
                numbers.append(float(text))
            except ValueError:
                numbers.append(math.nan)
        if not all(math.isfinite(number) for number in numbers):
            raise self.value_error(
                column, "a coordinate must be a number", "write metres, e.g. 2.35; several with spaces between"
            )
        return tuple(numbers)

    def parse_integers(self, column: str) -> tuple[int, ...]:
        """Parse integers of at least 0 separated by spaces."""
        texts = self.cells[column].split()
        if not all(text.isascii() and text.isdigit() for text in texts):
            raise self.value_error(column, "these must be whole numbers, counted from 0", "write e.g. 0 1 2 3")
        return tuple(int(text) for text in texts)


def read_rows(path: Path, location: str) -> tuple[TableRow, ...]:
    """Read all rows of a manifest.

    Args:
        path: CSV file, UTF-8.
        location: Option or key that names the file, for errors.

    Raises:
        InputError: If the file is missing, not readable or empty, a column is missing, unknown or doubled, a row has
            another number of cells than the header, or a required cell is empty.
    """
    if not path.is_file():
        raise InputError(
            location,
            "the manifest of the recordings must exist",
            value=str(path),
            remedy="name a CSV file as docs/data.md describes",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(_read_lines(file))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(
            str(path), "the manifest must be CSV text in UTF-8", value=str(error), remedy="save it again as CSV, UTF-8"
        ) from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    _require_columns(path, header)
    rows = tuple(_make_row(path, header, line, cells) for line, cells in lines[1:])
    if not rows:
        raise InputError(str(path), "the manifest must list recordings", remedy="add a row for each sound file")
    return rows


def _read_lines(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, with the number of their last line."""
    reader = csv.reader(file, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _require_columns(path: Path, header: list[str]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    for name in REQUIRED:
        if name not in header:
            raise InputError(
                f"{path}, column {name}",
                f"the manifest needs the columns {', '.join(REQUIRED)}",
                value=header,
                remedy=f"add {name} to the first line, and separate columns by commas",
            )
    for name in header:
        if name not in known:
            raise InputError(
                f"{path}, column {name}",
                f"a column must be one of {', '.join(known)}",
                value=name,
                remedy=f"rename or remove it; {suggest_name(name, known)}",
            )
        if header.count(name) > 1:
            raise InputError(f"{path}, column {name}", "a column must be there once", remedy="remove one of the two")


def _make_row(path: Path, header: list[str], line: int, cells: list[str]) -> TableRow:
    if len(cells) != len(header):
        raise InputError(
            f"{path}, row {line}",
            f"a row must have the header's {len(header)} cells",
            value=cells,
            remedy="add the missing cells; put text that contains a comma between double quotes",
        )
    row = TableRow(path, line, dict.fromkeys(OPTIONAL, "") | dict(zip(header, (c.strip() for c in cells), strict=True)))
    for name in REQUIRED:
        if not row.cells[name]:
            raise row.value_error(name, "this cell must not be empty", "fill it in")
    return row
