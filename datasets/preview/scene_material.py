"""Simulated recordings to be shown, read or generated, and statistics of their labels."""

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
from datasets.preview.split_statistics import evenly_spaced_rows
from datasets.scenes import events, synthesis
from datasets.scenes.plan import ScenePlan, is_complete, recording_files
from datasets.tau2020 import layout
from datasets.tau2020.labels import FRAMES
from datasets.tau2020.layout import RecordingName
from runtime.storage import Storage, storage_at

SOUNDS_PER_CLASS: Final = 6
"""Maximum number of sound files per class that are decoded to generate recordings for a page."""

_MIN_SPEED_FRAMES: Final = 10
"""Minimum duration of an event whose speed is estimated, 1 s: labels are rounded to whole degrees."""


@dataclass(frozen=True, eq=False)
class ShownRecording:
    """Recording to be shown, with its labels.

    Attributes:
        name: Name of the recording.
        foa: Signals W, Y, Z, X, shape (4, 1 440 000), 24 kHz.
        rows: Labels, shape (rows, 5).
    """

    name: RecordingName
    foa: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SceneMaterial:
    """Recordings to be shown, and the dataset that they represent.

    Attributes:
        plan: Plan of the complete dataset.
        shown: Recordings shown individually.
        labels: Labels of all recordings that enter the statistics.
        manifest: Manifest of the built dataset; None if the recordings were generated for the page.
        notes: Differences between generated recordings and those of the dataset, one sentence each.
    """

    plan: ScenePlan
    shown: tuple[ShownRecording, ...]
    labels: tuple[NDArray[np.int64], ...]
    manifest: Manifest | None
    notes: tuple[str, ...] = ()


def gather_recordings(plan: ScenePlan, store: Storage, recordings: int) -> SceneMaterial:
    """Read recordings and all labels of a built dataset, or generate recordings of a dataset that has not been built.

    From a bucket, only the recordings that are shown are copied, and the statistics refer to them.

    Args:
        plan: Plan of the dataset.
        store: Storage in which the dataset is looked up.
        recordings: Maximum number of recordings to be shown.

    Raises:
        InputError: If a sound file cannot be decoded, or a file of the recordings is damaged.
    """
    listed = plan.list_recordings()
    chosen = [listed[row] for row in evenly_spaced_rows(len(listed), recordings).tolist()]
    manifest = Manifest.read(store, plan.folder_name)
    if manifest is None or not all(is_complete(store, plan.folder_name, name) for _, name in chosen):
        return _make_recordings(plan, [number for number, _ in chosen])
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        root = (
            store.local_path(plan.folder_name)
            if store.is_local
            else _copy_recordings(plan, store, chosen, Path(folder))
        )
        recording_folder = layout.RecordingFolder(root)
        shown = tuple(_read_recording(recording_folder, name) for _, name in chosen)
        labels = tuple(recording_folder.read_labels(name) for name in recording_folder.list_names())
    return SceneMaterial(plan, shown, labels, manifest)


def _copy_recordings(plan: ScenePlan, store: Storage, chosen: list[tuple[int, RecordingName]], root: Path) -> Path:
    scratch = storage_at(str(root))
    for _, name in chosen:
        for path in recording_files(name):
            scratch.write_file(path, store.read_file(f"{plan.folder_name}/{path}"))
    return root


def _read_recording(recordings: layout.RecordingFolder, name: RecordingName) -> ShownRecording:
    return ShownRecording(name, recordings.read_audio(name), recordings.read_labels(name))


def _make_recordings(plan: ScenePlan, numbers: list[int]) -> SceneMaterial:
    small, notes = _limit_sounds(plan)
    event_sounds = events.gather_events(small.spec, small.pieces, lambda *_: None)
    shown = []
    for number in numbers:
        name, foa, _, rows = synthesis.make_recording(small.spec, event_sounds, number)
        shown.append(ShownRecording(name, foa, rows))
    return SceneMaterial(plan, tuple(shown), tuple(recording.rows for recording in shown), None, notes)


def _limit_sounds(plan: ScenePlan) -> tuple[ScenePlan, tuple[str, ...]]:
    """Limit the sound files per class, since decoding all of them may take minutes."""
    unchanged = (plan, ("They are identical to those of the built dataset.",))
    if plan.pieces is None:
        return unchanged
    by_class = {kind: list(group) for kind, group in groupby(plan.pieces, key=lambda piece: piece.genre)}
    limited = [
        group[row] for group in by_class.values() for row in evenly_spaced_rows(len(group), SOUNDS_PER_CLASS).tolist()
    ]
    if len(limited) == len(plan.pieces):
        return unchanged
    note = f"They use {len(limited):,} of the {len(plan.pieces):,} sound files; the built dataset contains other recordings."
    return replace(plan, pieces=tuple(limited)), (note,)


def find_runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split labels into events, i.e. consecutive frames of one class on one track.

    Args:
        rows: Labels of a recording, shape (rows, 5).

    Returns:
        Rows of each event, shape (frames of the event, 5).
    """
    runs = []
    for track in np.unique(rows[:, 2]).tolist():
        track_rows = rows[rows[:, 2] == track]
        cuts = np.flatnonzero((np.diff(track_rows[:, 0]) != 1) | (np.diff(track_rows[:, 1]) != 0)) + 1
        runs += [run for run in np.split(track_rows, cuts) if len(run)]
    return runs


def azimuth_speeds_deg_s(events_rows: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Estimate the azimuthal speeds of events that last at least 1 s.

    Args:
        events_rows: Rows of each event, from `find_runs`.

    Returns:
        Magnitudes of the speeds in degrees per second, shape (events,).
    """
    speeds = []
    for rows in events_rows:
        if len(rows) >= _MIN_SPEED_FRAMES:
            azimuth = np.unwrap(rows[:, 3].astype(np.float64), period=360)
            speeds.append(abs(float(azimuth[-1] - azimuth[0])) * 10 / (len(rows) - 1))
    return np.array(speeds)


def count_simultaneous(labels: tuple[NDArray[np.int64], ...]) -> dict[int, float]:
    """Return the share of frames for each number of simultaneous events."""
    frames: Counter[int] = Counter()
    for rows in labels:
        frames.update(np.bincount(rows[:, 0], minlength=FRAMES)[:FRAMES].tolist())
    return {number: frames[number] / frames.total() for number in sorted(frames)}


def class_names(plan: ScenePlan) -> tuple[str, ...]:
    """Return the names of the event classes, in the order of their indices."""
    if plan.pieces is not None:
        return tuple(sorted({piece.genre for piece in plan.pieces}))
    from datasets.scenes import synth

    return synth.CLASSES
