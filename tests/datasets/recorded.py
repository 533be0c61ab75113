"""A folder of recordings as someone might make it, synthesised: noise bursts in a free field, heard by both arrays."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy import signal

from datasets.recordings.clip_list import read_clip_list
from datasets.recordings.sounds import gather_sounds
from datasets.recordings.spec import RecordingsSpec
from datasets.recordings.synthesis import RecordingsSynthesizer
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from tests.datasets.acoustics.test_rirs import free_field

MICROPHONES = RoomSpec().microphones_m()
COLUMNS = ("clip", "file", "array", "channels", "x", "y", "split", "genre")
PLACE = "space.yaml: dataset.manifest"
SECONDS = 0.5

ROWS = (
    ("t0", "t0.wav", "", "", "1", "1", "train", "funk"),
    ("t1", "t1.wav", "", "", "1", "4", "train", "funk"),
    ("t2", "t2.wav", "", "", "4", "1", "train", "classical"),
    ("t3", "t3.wav", "", "", "4.5", "4.5", "train", "classical"),
    ("v0", "v0.wav", "", "", "2", "2", "validate", "funk"),
    ("v1", "v1.wav", "", "", "5", "3", "validate", "classical"),
    ("a0", "a0.wav", "", "", "0.5", "5", "A0 A1", "funk"),
    ("a1", "a1.wav", "", "", "5", "5", "A0 A1", "funk"),
    ("a2", "a2.wav", "", "", "3", "1.5", "A0 A1", "classical"),
    ("j0", "j0.wav", "", "", "0.5", "5", "A2", "jazz"),
    ("j1", "j1.wav", "", "", "3.5", "3.5", "A2", "jazz"),
    ("r0", "r0.wav", "", "", "1.5 4.75", "3 2", "R0", "funk"),
    ("r1", "r1.wav", "", "", "2.5", "5", "R0", "funk"),
)


@lru_cache
def heard(number: int, positions_m: tuple[tuple[float, float], ...], rate_hz: int = 16_000) -> NDArray[np.float64]:
    """All arrays' channels of a recording, shape (frames, 8); its first 0.1 s are silent."""
    generator = np.random.default_rng(number)
    frames = round(SECONDS * rate_hz)
    total = np.zeros((8, frames))
    for impulses in free_field(np.array(positions_m), MICROPHONES, rate_hz).reshape(len(positions_m), 8, -1):
        played = generator.standard_normal(frames)
        played[: round(0.1 * rate_hz)] = 0
        total += signal.fftconvolve(played[None], impulses, axes=1)[:, :frames]
    return 0.3 * total.T / np.abs(total).max()


def positions_of(row: Sequence[str]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in zip(row[4].split(), row[5].split(), strict=True))


def write_manifest(folder: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    path = folder / "recordings.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def record(folder: Path) -> Path:
    """Write all files and the manifest."""
    for number, row in enumerate(ROWS):
        soundfile.write(folder / row[1], heard(number, positions_of(row)), 16_000, subtype="FLOAT")
    return write_manifest(folder, ROWS)


def spec_of(manifest: Path, **changes: Any) -> RecordingsSpec:
    tests = {
        "A0": {"samples": 40, "sources": "1-2"},
        "A1": {"samples": 20, "sources": 3},
        "A2": {"samples": 20, "sources": "1-2", "genres": "held_out"},
        "R0": {"samples": 20, "sources": "1-2"},
    }
    return RecordingsSpec.model_validate(
        {"manifest": str(manifest), "train": 60, "validate": 40, "tests": tests, "seed": 3} | changes
    )


def complaint(folder: Path, rows: Sequence[Sequence[str]] = ROWS, columns: Any = COLUMNS, **changes: Any) -> InputError:
    """The error that making samples of a folder's recordings ends in."""
    return complaint_about(write_manifest(folder, rows, columns), **changes)


def complaint_about(manifest: Path, **changes: Any) -> InputError:
    """The error that a manifest ends in."""
    spec = spec_of(manifest, **changes)
    with pytest.raises(InputError) as caught:
        set_up(spec)
    return caught.value


def set_up(spec: RecordingsSpec) -> None:
    """Everything that happens before samples can be made."""
    sounds = gather_sounds(spec, read_clip_list(spec, PLACE), lambda *_: None)
    for split in spec.resolve_splits():
        RecordingsSynthesizer(spec, split, sounds)
