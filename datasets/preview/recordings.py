"""Recordings to be shown: read where they are built, made where they are not; and what their labels say."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.building.manifest import Manifest
from datasets.preview.statistics import format_spread
from datasets.scenes import events, synthesis
from datasets.scenes.provider import ScenePlan, recording_files, is_complete
from datasets.tau2020 import layout
from datasets.tau2020.labels import FRAMES
from datasets.tau2020.layout import RecordingName
from runtime.storage import Store

PIECES: Final = 6
"""Sounds of a class that are decoded for recordings that are not built."""

_TIMED_FRAMES: Final = 10
"""Speeds come from events of at least a second: angles are whole degrees."""


@dataclass(frozen=True, eq=False)
class ShownRecording:
    """A recording.

    Attributes:
        name: Its name.
        foa: W, Y, Z, X, shape (4, 1 440 000), 24 kHz.
        rows: Labels, shape (rows, 5).
    """

    name: RecordingName
    foa: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SceneMaterial:
    """Recordings to be shown.

    Attributes:
        source: All that was asked for.
        shown: Some of them.
        labels: Labels of every recording that the statistics are of.
        built: What was there: its manifest, or None if the recordings were made for this page.
        notes: What is different about those made for this page.
    """

    source: ScenePlan
    shown: tuple[ShownRecording, ...]
    labels: tuple[NDArray[np.int64], ...]
    built: Manifest | None
    notes: tuple[str, ...] = ()


def gather_recordings(source: ScenePlan, store: Store, recordings: int) -> SceneMaterial:
    """Read some recordings and all labels where they are built; make some recordings where they are not.

    Of what lies in a bucket, only the recordings that are shown are copied.

    Args:
        source: What is wanted.
        store: Where it would lie.
        recordings: At most so many are shown.

    Raises:
        InputError: If a sound file cannot be decoded, or a file of the recordings is damaged.
    """
    named = source.list_recordings()
    picked = [named[row] for row in format_spread(len(named), recordings).tolist()]
    manifest = Manifest.read(store, source.folder_name)
    if manifest is None or not all(is_complete(store, source.folder_name, name) for _, name in picked):
        return _make_recordings(source, [number for number, _ in picked])
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        root = (
            store.local_path(source.folder_name)
            if store.is_local
            else _copy_recording(source, store, picked, Path(folder))
        )
        there = layout.RecordingFolder(root)
        shown = tuple(_read_recording(there, name) for _, name in picked)
        labels = tuple(there.read_labels(name) for name in there.list_names())
    return SceneMaterial(source, shown, labels, manifest)


def _copy_recording(source: ScenePlan, store: Store, picked: list[tuple[int, RecordingName]], root: Path) -> Path:
    here = Store(str(root))
    for _, name in picked:
        for path in recording_files(name):
            here.write_file(path, store.read_file(f"{source.folder_name}/{path}"))
    return root


def _read_recording(recordings: layout.RecordingFolder, name: RecordingName) -> ShownRecording:
    return ShownRecording(name, recordings.read_audio(name), recordings.read_labels(name))


def _make_recordings(source: ScenePlan, numbers: list[int]) -> SceneMaterial:
    small, notes = _fewer_sounds(source)
    heard = events.gather_events(small.spec, small.pieces, lambda *_: None)
    shown = []
    for number in numbers:
        name, foa, _, rows = synthesis.make_recording(small.spec, heard, number)
        shown.append(ShownRecording(name, foa, rows))
    return SceneMaterial(source, tuple(shown), tuple(recording.rows for recording in shown), None, notes)


def _fewer_sounds(source: ScenePlan) -> tuple[ScenePlan, tuple[str, ...]]:
    """Decode a few sounds of each class: all of them may take minutes."""
    same = (source, ("They are the very ones that building makes.",))
    if source.pieces is None:
        return same
    by_class = {kind: list(group) for kind, group in groupby(source.pieces, key=lambda piece: piece.genre)}
    kept = [group[row] for group in by_class.values() for row in format_spread(len(group), PIECES).tolist()]
    if len(kept) == len(source.pieces):
        return same
    note = f"They play {len(kept):,} of the {len(source.pieces):,} sound files, so building makes others like them."
    return replace(source, pieces=tuple(kept)), (note,)


def find_runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut labels into events: successive frames of one class on one track.

    Args:
        rows: Labels of a recording, shape (rows, 5).

    Returns:
        The rows of each event, shape (its frames, 5).
    """
    found = []
    for track in np.unique(rows[:, 2]).tolist():
        own = rows[rows[:, 2] == track]
        cuts = np.flatnonzero((np.diff(own[:, 0]) != 1) | (np.diff(own[:, 1]) != 0)) + 1
        found += [part for part in np.split(own, cuts) if len(part)]
    return found


def speeds_deg_s(events_rows: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Speeds in azimuth of events that last a second or more.

    Args:
        events_rows: From `runs`.

    Returns:
        Magnitudes, shape (events,).
    """
    found = []
    for rows in events_rows:
        if len(rows) >= _TIMED_FRAMES:
            azimuth = np.unwrap(rows[:, 3].astype(np.float64), period=360)
            found.append(abs(float(azimuth[-1] - azimuth[0])) * 10 / (len(rows) - 1))
    return np.array(found)


def count_simultaneous(labels: tuple[NDArray[np.int64], ...]) -> dict[int, float]:
    """Share of time by the number of simultaneous events, frame by frame."""
    total: Counter[int] = Counter()
    for rows in labels:
        total.update(np.bincount(rows[:, 0], minlength=FRAMES)[:FRAMES].tolist())
    return {number: total[number] / total.total() for number in sorted(total)}


def classes_of(source: ScenePlan) -> tuple[str, ...]:
    """Names of the classes, by index."""
    if source.pieces is not None:
        return tuple(sorted({piece.genre for piece in source.pieces}))
    from datasets.scenes import synth

    return synth.CLASSES
