"""Labels of recordings: lines of a CSV file, and the output slots that a network is trained on.

Source: the README of TAU-NIGENS Spatial Sound Events 2020. A line has the columns
`frame, class, track, azimuth, elevation`: integers; frames of 100 ms from 0; degrees, azimuth counter-clockwise from the
front. Simultaneous events repeat the frame; frames without events have no line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.directions import unit_vectors
from runtime import files
from runtime.errors import InputError

FRAMES: Final = 600
COLUMNS: Final = ("frame", "class", "track", "azimuth", "elevation")

_MANY: Final = 2**31 - 1
_LIMITS: Final = ((0, FRAMES - 1), (0, _MANY), (0, _MANY), (-180, 180), (-90, 90))
_CARTESIAN: Final = 6
_UNIT_WITHIN: Final = 0.05
"""Tolerance of the length of a direction. Later data sets have a distance in the sixth column, which must be refused."""


def read_labels(path: Path) -> NDArray[np.int64]:
    """Read the labels of a recording.

    Lines of six columns hold a unit vector x, y, z in place of the angles; it is rounded to whole degrees.

    Returns:
        Shape (lines, 5), sorted by frame; lines of one frame keep their order, which is that of the slots.

    Raises:
        InputError: If a line has another number of columns, or a column is no integer or out of range.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            str(path), "labels must be a readable text file", value=str(error), remedy="replace or remove the file"
        ) from error
    rows = _parse_integers(lines)
    if rows is None:
        parsed = [
            _parse_line(line.split(","), f"{path}, row {row}") for row, line in enumerate(lines, 1) if line.strip()
        ]
        rows = np.array(parsed, np.int64).reshape(-1, len(COLUMNS))
    return _by_frame(rows)


def write_labels(path: Path, rows: NDArray[np.int64]) -> None:
    """Write labels atomically.

    Args:
        path: CSV file.
        rows: Shape (lines, 5), in any order of frames.

    Raises:
        InputError: If `read_labels` would not read them back.
    """
    lines = [",".join(map(str, row)) for row in _by_frame(rows).tolist()]
    for number, line in enumerate(lines, 1):
        _parse_line(line.split(","), f"{path}, row {number}")
    files.write_text_atomic(path, "".join(f"{line}\n" for line in lines))


def track_slots(
    rows: NDArray[np.int64], sources: int = 2, place: str = "labels"
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Assign the directions of every frame to the output slots of the network.

    Each line of a frame takes the next slot, in line order; class and track play no role. A slot therefore does not
    identify an event: when the first of two events ends, the second one moves into its slot. This is how the reference
    implementation of the tracker (Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep
    learning sound source localizers", 2021) reads the labels.

    Args:
        rows: Shape (lines, 5).
        sources: Number of slots.
        place: Path of the labels, for the error.

    Returns:
        Unit vectors (x front, y left, z up), shape (600, sources, 3), NaN in slots without event, since each loss has
        its own padding value; and a mask of the slots with an event, shape (600, sources).

    Raises:
        InputError: If a frame has more lines than there are slots.
    """
    require_slots(*max_simultaneous(rows), sources, place)
    rows = _by_frame(rows)
    frame = rows[:, 0]
    slot = np.arange(len(rows)) - np.searchsorted(frame, frame)
    directions = np.full((FRAMES, sources, 3), np.nan, np.float32)
    active = np.zeros((FRAMES, sources), np.bool_)
    directions[frame, slot] = unit_vectors(rows[:, 3], rows[:, 4])
    active[frame, slot] = True
    return directions, active


def max_simultaneous(rows: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first frame with the most simultaneous events, and their number; (0, 0) without events."""
    counts = np.bincount(rows[:, 0], minlength=1)
    return int(counts.argmax()), int(counts.max())


def require_slots(frame: int, events: int, sources: int, place: str) -> None:
    """Check that there are enough slots for the simultaneous events.

    Args:
        frame: Frame with the most events.
        events: Number of events in it.
        sources: Number of slots.
        place: Path of the labels, for the error.

    Raises:
        InputError: If there are more events than slots.
    """
    if events > sources:
        raise InputError(
            f"{place}, frame {frame}",
            f"at most {sources} events may sound at once where max_sources is {sources}",
            value=events,
            remedy="leave the recording and its labels out, or raise max_sources",
        )


def _by_frame(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _parse_integers(lines: list[str]) -> NDArray[np.int64] | None:
    """Parse all lines at once if each has five integers in range; return None if they have to be parsed one by one."""
    if not any(lines):
        return None
    try:
        rows: NDArray[np.int64] = np.loadtxt(lines, np.int64, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None
    low, high = np.array(_LIMITS).T
    return rows if rows.shape[1] == len(COLUMNS) and (rows >= low).all() and (rows <= high).all() else None


def _parse_line(cells: list[str], place: str) -> list[int]:
    if len(cells) not in (len(COLUMNS), _CARTESIAN):
        raise _label_error(place, f"a line has the columns {', '.join(COLUMNS)}", ",".join(cells))
    start = [_parse_integer(cell, f"{place}, column {name}") for name, cell in zip(COLUMNS[:3], cells[:3], strict=True)]
    if len(cells) == _CARTESIAN:
        angles = _parse_angles(cells[3:], f"{place}, columns 4 to 6")
    else:
        angles = [
            _parse_integer(cell, f"{place}, column {name}") for name, cell in zip(COLUMNS[3:], cells[3:], strict=True)
        ]
    values = start + angles
    for name, value, (low, high) in zip(COLUMNS, values, _LIMITS, strict=True):
        if not low <= value <= high:
            raise _label_error(f"{place}, column {name}", f"{name} lies in {low} … {high}", value)
    return values


def _parse_integer(cell: str, place: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise _label_error(place, "labels are integers", cell) from None


def _parse_angles(cells: list[str], place: str) -> list[int]:
    """Parse a unit vector, and return its azimuth and elevation rounded to degrees."""
    try:
        x, y, z = (float(cell) for cell in cells)
    except ValueError:
        raise _label_error(place, "x, y and z are numbers", ",".join(cells)) from None
    if not abs(math.hypot(x, y, z) - 1) <= _UNIT_WITHIN:  # written so that NaN does not pass
        raise _label_error(place, "x, y and z are a vector of length 1", ",".join(cells))
    return [round(math.degrees(math.atan2(y, x))), round(math.degrees(math.atan2(z, math.hypot(x, y))))]


def _label_error(place: str, rule: str, value: object) -> InputError:
    return InputError(place, rule, value=value, remedy="correct the line, or leave the recording out")
