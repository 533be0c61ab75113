"""The TAU-NIGENS Spatial Sound Events 2020 layout on disk: names, sound files and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 24_000
SECONDS: Final = 60
FRAMES: Final = 600
CHANNELS: Final = 4

Format = Literal["foa", "mic"]
Part = Literal["dev", "eval"]


@dataclass(frozen=True, order=True)
class RecordingName:
    """What the name of a recording says, e.g. fold1_room1_mix001_ov1."""

    fold: int
    room: int
    mix: str
    overlap: int
    augmented: bool = False

    @classmethod
    def parse(cls, stem: str) -> Self:
        """Read a name without its suffix."""
        raise NotImplementedError

    @property
    def stem(self) -> str:
        """The name without a suffix."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in one format; audio of shape (4, samples), label rows of shape (lines, 5)."""

    name: RecordingName
    audio: NDArray[np.float32]
    rows: NDArray[np.int64]


def read_labels(path: Path) -> NDArray[np.int64]:
    """Read label rows, shape (lines, 5), sorted by frame."""
    raise NotImplementedError


def write_labels(path: Path, rows: NDArray[np.int64]) -> None:
    """Write label rows, whole or not at all."""
    raise NotImplementedError


def write_recording(
    root: Path,
    name: RecordingName,
    *,
    foa: NDArray[np.float32],
    mic: NDArray[np.float32],
    rows: NDArray[np.int64],
    part: Part = "dev",
) -> None:
    """Write a recording in both formats, the csv last."""
    raise NotImplementedError


class Recordings:
    """The recordings of one part in one format."""

    def __init__(self, root: Path, fmt: Format = "foa", part: Part = "dev") -> None:
        raise NotImplementedError

    def names(self, folds: Iterable[int] | None = None) -> tuple[RecordingName, ...]:
        """Names in order, of some folds or all."""
        raise NotImplementedError

    def audio(self, name: RecordingName) -> NDArray[np.float32]:
        """Samples, shape (4, 1 440 000)."""
        raise NotImplementedError

    def labels(self, name: RecordingName) -> NDArray[np.int64]:
        """Label rows, shape (lines, 5)."""
        raise NotImplementedError


def slots(rows: NDArray[np.int64], sources: int = 2) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Unit vectors (600, sources, 3) and activity (600, sources)."""
    raise NotImplementedError
