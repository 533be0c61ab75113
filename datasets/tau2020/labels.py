"""Labels of recordings: lines of a CSV file, and the output slots that a network is trained on.

Source: the READMEs of TAU-NIGENS Spatial Sound Events 2020 and 2021 and of STARSS22 and STARSS23. A line has the columns
`frame, class, track, azimuth, elevation`: integers; frames of 100 ms from 0; degrees, azimuth counter-clockwise from the
front. STARSS23 adds the distance. Simultaneous events repeat the frame; frames without events have no line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.directions import unit_vectors
from datasets.tau2020.label_lines import COLUMNS, FRAME_LIMIT, LIMITS, parse_lines
from runtime import files
from runtime.errors import InputError

FRAMES: Final = 600
"""Label frames of a recording that are used, 60 s."""


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Content of a label file.

    Attributes:
        rows: Lines within the first 600 frames, shape (lines, 5), sorted by frame, without repeated lines.
        last_frame: Last frame of the file; -1 without lines.
        repeated: Number of lines that repeat another one, which are left out.
        has_distance: Whether the lines have a distance, which is not used.
    """

    rows: NDArray[np.int64]
    last_frame: int
    repeated: int
    has_distance: bool


def read_label_file(path: Path) -> LabelFile:
    """Read a label file.

    Lines have five columns, or six with a distance or with a unit vector x, y, z in place of the angles. Vectors and
    fractions of angles are rounded to whole degrees. A header, blank lines, semicolons or tabs in place of commas, and
    trailing separators are accepted.

    Raises:
        InputError: If the file is unreadable, a line has other columns, or a value is no number or out of range. All such
            lines are listed.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            str(path), "labels must be a readable text file", value=str(error), remedy="replace or remove the file"
        ) from error
    rows, has_distance = _parse_integers(lines), False
    if rows is None:
        parsed = parse_lines(lines, path)
        rows, has_distance = np.array(parsed.rows, np.int64).reshape(-1, len(COLUMNS)), parsed.has_distance
    _, first = np.unique(rows, axis=0, return_index=True)
    kept = _by_frame(rows[np.sort(first)])
    last = int(rows[:, 0].max(initial=-1))
    return LabelFile(kept[kept[:, 0] < FRAMES], last, len(rows) - len(kept), has_distance)


def read_labels(path: Path) -> NDArray[np.int64]:
    """Read the labels of the first 60 s of a recording; see `read_label_file`.

    Returns:
        Shape (lines, 5), sorted by frame; lines of one frame keep their order, which is that of the slots.

    Raises:
        InputError: If the file is unreadable or a line is invalid.
    """
    return read_label_file(path).rows


def write_labels(path: Path, rows: NDArray[np.int64]) -> None:
    """Write labels atomically.

    Args:
        path: CSV file.
        rows: Shape (lines, 5), in any order of frames.

    Raises:
        InputError: If `read_labels` would not read them back.
    """
    lines = [",".join(map(str, row)) for row in _by_frame(rows).tolist()]
    parse_lines(lines, path, frames=FRAMES)
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
    low, high = np.array(LIMITS).T
    fits = rows.shape[1] == len(COLUMNS) and bool((rows >= low).all() and (rows <= high).all())
    return rows if fits and (rows[:, 0] < FRAME_LIMIT).all() else None
