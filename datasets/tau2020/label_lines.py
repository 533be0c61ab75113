"""Parsing of the lines of a label file, in the forms that the published data sets use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime.error_list import raise_problems
from runtime.errors import InputError

COLUMNS: Final = ("frame", "class", "track", "azimuth", "elevation")
FRAME_LIMIT: Final = 36_000
"""Number of label frames of the longest recording, one hour."""

_MANY: Final = 2**31 - 1
LIMITS: Final = ((0, FRAME_LIMIT - 1), (0, _MANY), (0, _MANY), (-180, 180), (-90, 90))
_UNIT_WITHIN: Final = 0.05
"""Tolerance of the length of a direction."""
_VECTOR: Final = ("x", "y", "z")
_POLAR: Final = ("azimuth", "elevation", "distance")
_ALIASES: Final = {
    "frame": "frame",
    "frame_number": "frame",
    "class": "class",
    "active_class_index": "class",
    "class_index": "class",
    "track": "track",
    "source": "track",
    "track_number_index": "track",
    "source_number_index": "track",
    "azimuth": "azimuth",
    "azi": "azimuth",
    "elevation": "elevation",
    "ele": "elevation",
    "distance": "distance",
    "dist": "distance",
    **{axis: axis for axis in _VECTOR},
}
"""Column by its names in headers, in lower case with underscores."""
_EVENT_LIST: Final = {"start_time", "end_time", "sound_event_recording"}
"""Columns of the event lists of TAU Spatial Sound Events 2019."""


@dataclass(frozen=True)
class ParsedLines:
    """Values of a label file.

    Attributes:
        rows: Frame, class, track, azimuth and elevation of each line.
        has_distance: Whether the lines have a distance.
    """

    rows: list[list[int]]
    has_distance: bool


@dataclass
class _LabelLine:
    """A line that is not blank.

    Attributes:
        place: Path and row, for errors.
        cells: Text of the columns, without white space around it.
    """

    place: str
    cells: list[str]


@dataclass
class _Values:
    """Reader of cells that collects the problems.

    Attributes:
        problems: Problems so far.
    """

    problems: list[InputError] = field(default_factory=list)

    def refuse(self, place: str, rule: str, value: object) -> None:
        """Add a problem."""
        self.problems.append(
            InputError(place, rule, value=value, remedy="correct the line, or leave the recording out")
        )

    def read_integer(self, cell: str, place: str) -> int:
        """Return a whole number, which may be written as `3.0`; 0 if it is none."""
        value = _to_float(cell)
        if not value.is_integer():
            self.refuse(place, "labels are integers", cell)
            return 0
        return int(value)

    def read_degrees(self, cell: str, place: str) -> int:
        """Return an angle rounded to whole degrees; 0 if it is no number."""
        value = _to_float(cell)
        if not math.isfinite(value):
            self.refuse(place, "angles are numbers", cell)
            return 0
        return round(value)

    def read_vector(self, cells: Sequence[str], place: str) -> list[int]:
        """Return azimuth and elevation of a unit vector, rounded to whole degrees."""
        x, y, z = map(_to_float, cells)
        if not abs(math.hypot(x, y, z) - 1) <= _UNIT_WITHIN:  # written so that NaN does not pass
            self.refuse(place, "x, y and z are a vector of length 1", ",".join(cells))
            return [0, 0]
        return [round(math.degrees(math.atan2(y, x))), round(math.degrees(math.atan2(z, math.hypot(x, y))))]

    def require_limits(self, values: Sequence[int], place: str, frames: int) -> None:
        """Check that the values of a line are in range."""
        limits = ((0, frames - 1), *LIMITS[1:])
        for name, value, (low, high) in zip(COLUMNS, values, limits, strict=True):
            if not low <= value <= high:
                self.refuse(f"{place}, column {name}", f"{name} lies in {low} … {high}", value)


def parse_lines(lines: Sequence[str], path: Path, *, frames: int = FRAME_LIMIT) -> ParsedLines:
    """Parse the lines of a label file.

    Args:
        lines: Lines of text.
        path: Path of the file, for errors.
        frames: Number of frames that a recording may have.

    Raises:
        InputError: If lines are invalid; all of them are listed.
    """
    content = [
        _LabelLine(f"{path}, row {row}", cells) for row, line in enumerate(lines, 1) if (cells := _split_cells(line))
    ]
    values = _Values()
    columns = _read_header(content, values)
    content = content[1:] if columns else content
    columns = columns or _guess_columns(content)
    rows = [row for line in content if (row := _read_line(line, columns, values, frames)) is not None]
    raise_problems(str(path), values.problems)
    return ParsedLines(rows, "distance" in columns)


def _split_cells(line: str) -> list[str]:
    """Return the cells of a line; none for a blank line."""
    separator = next((mark for mark in ",;\t" if mark in line), None)
    cells = [cell.strip() for cell in line.split(separator)]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _read_header(content: Sequence[_LabelLine], values: _Values) -> tuple[str, ...]:
    """Return the columns that a header names; none if the first line is no header."""
    if not content or any(not math.isnan(_to_float(cell)) for cell in content[0].cells):
        return ()
    names = [cell.lower().replace(" ", "_").strip("\"'#_") for cell in content[0].cells]
    columns = tuple(_ALIASES.get(name, name) for name in names)
    place = content[0].place
    if _EVENT_LIST & set(names):
        values.refuse(place, "labels are lines per frame of 100 ms, not a list of events with start and end", names)
    elif missing := sorted({*COLUMNS[:3], *(_VECTOR if "x" in columns else COLUMNS[3:])} - set(columns)):
        values.refuse(place, f"a header names the columns {', '.join(COLUMNS)}", f"no {', '.join(missing)}")
    else:
        return columns
    raise_problems(place, values.problems)
    return ()


def _guess_columns(content: Sequence[_LabelLine]) -> tuple[str, ...]:
    """Return the columns of a file without header; a sixth one is the z of a vector or a distance.

    No component of a unit vector exceeds 1, whereas distances are written in centimetres.
    """
    if not content or len(content[0].cells) != len(COLUMNS) + 1:
        return COLUMNS
    vectors = all(abs(_to_float(cell)) <= 1 + _UNIT_WITHIN for line in content for cell in line.cells[3:6])
    return (*COLUMNS[:3], *(_VECTOR if vectors else _POLAR))


def _read_line(line: _LabelLine, columns: Sequence[str], values: _Values, frames: int) -> list[int] | None:
    if len(line.cells) != len(columns):
        values.refuse(line.place, f"a line has the columns {', '.join(columns)}", ",".join(line.cells))
        return None
    cells = dict(zip(columns, line.cells, strict=True))
    known = len(values.problems)
    row = [values.read_integer(cells[name], f"{line.place}, column {name}") for name in COLUMNS[:3]]
    if "x" in cells:
        row += values.read_vector([cells[axis] for axis in _VECTOR], f"{line.place}, columns x, y and z")
    else:
        row += [values.read_degrees(cells[name], f"{line.place}, column {name}") for name in COLUMNS[3:]]
    if "distance" in cells and not _to_float(cells["distance"]) >= 0:
        values.refuse(f"{line.place}, column distance", "a distance is a number of at least 0", cells["distance"])
    if len(values.problems) == known:
        values.require_limits(row, line.place, frames)
    return row


def _to_float(cell: str) -> float:
    """Return a number; NaN for any other text."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
