"""The page of simulated recordings: what sounds when and from where, some recordings to be heard, and their statistics."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.command import size
from datasets.dcase2020 import events, layout, synthesis
from datasets.dcase2020.build import BYTES, SceneSource, files_of, whole
from datasets.dcase2020.labels import FRAMES
from datasets.dcase2020.layout import RecordingName
from datasets.dcase2020.spec import GROUPS, SceneSpec
from datasets.manifest import Manifest
from datasets.preview import figures, sounds
from datasets.preview.page import Markup, Section, audio, card, figure, grid, join, paragraph, table
from datasets.preview.statistics import span, spread
from datasets.store import Store

HEARD_S: Final = 15.0
MOST_HEARD_S: Final = 90.0
"""Of all players together; in base64 they are 128 kB a second, and the page stays below some 13 MB."""
PIECES: Final = 6
"""Sounds of a class that are decoded for recordings that are not built."""

_WINDOW, _HOP = 1_024, 2_400
_TIMED_FRAMES: Final = 10
"""Speeds come from events of at least a second: angles are whole degrees."""
_STILL_DEG_S: Final = 1.0


@dataclass(frozen=True, eq=False)
class Shown:
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
class Scenes:
    """Recordings to be shown.

    Attributes:
        source: All that was asked for.
        shown: Some of them.
        labels: Labels of every recording that the statistics are of.
        built: What was there: its manifest, or None if the recordings were made for this page.
        notes: What is different about those made for this page.
    """

    source: SceneSource
    shown: tuple[Shown, ...]
    labels: tuple[NDArray[np.int64], ...]
    built: Manifest | None
    notes: tuple[str, ...] = ()


def gather(source: SceneSource, store: Store, recordings: int) -> Scenes:
    """Read some recordings and all labels where they are built; make some recordings where they are not.

    Of what lies in a bucket, only the recordings that are shown are copied.

    Args:
        source: What is wanted.
        store: Where it would lie.
        recordings: At most so many are shown.

    Raises:
        InputError: If a sound file cannot be decoded, or a file of the recordings is damaged.
    """
    named = source.recordings()
    picked = [named[row] for row in spread(len(named), recordings).tolist()]
    manifest = Manifest.read(store, source.folder)
    if manifest is None or not all(whole(store, source.folder, name) for _, name in picked):
        return _made(source, [number for number, _ in picked])
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        root = store.path(source.folder) if store.is_local else _copied(source, store, picked, Path(folder))
        there = layout.Recordings(root)
        shown = tuple(_read(there, name) for _, name in picked)
        labels = tuple(there.labels(name) for name in there.names())
    return Scenes(source, shown, labels, manifest)


def _copied(source: SceneSource, store: Store, picked: list[tuple[int, RecordingName]], root: Path) -> Path:
    here = Store(str(root))
    for _, name in picked:
        for path in files_of(name):
            here.write(path, store.read(f"{source.folder}/{path}"))
    return root


def _read(recordings: layout.Recordings, name: RecordingName) -> Shown:
    return Shown(name, recordings.audio(name), recordings.labels(name))


def _made(source: SceneSource, numbers: list[int]) -> Scenes:
    small, notes = _fewer_sounds(source)
    heard = events.gather(small.spec, small.pieces, lambda *_: None)
    shown = []
    for number in numbers:
        name, foa, _, rows = synthesis.make_recording(small.spec, heard, number)
        shown.append(Shown(name, foa, rows))
    return Scenes(source, tuple(shown), tuple(recording.rows for recording in shown), None, notes)


def _fewer_sounds(source: SceneSource) -> tuple[SceneSource, tuple[str, ...]]:
    """Decode a few sounds of each class: all of them may take minutes."""
    same = (source, ("They are the very ones that building makes.",))
    if source.pieces is None:
        return same
    by_class = {kind: list(group) for kind, group in groupby(source.pieces, key=lambda piece: piece.genre)}
    kept = [group[row] for group in by_class.values() for row in spread(len(group), PIECES).tolist()]
    if len(kept) == len(source.pieces):
        return same
    note = f"They play {len(kept):,} of the {len(source.pieces):,} sound files, so building makes others like them."
    return replace(source, pieces=tuple(kept)), (note,)


def runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
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


def at_once(labels: tuple[NDArray[np.int64], ...]) -> dict[int, float]:
    """Share of time by the number of simultaneous events, frame by frame."""
    total: Counter[int] = Counter()
    for rows in labels:
        total.update(np.bincount(rows[:, 0], minlength=FRAMES)[:FRAMES].tolist())
    return {number: total[number] / total.total() for number in sorted(total)}


def classes_of(source: SceneSource) -> tuple[str, ...]:
    """Names of the classes, by index."""
    if source.pieces is not None:
        return tuple(sorted({piece.genre for piece in source.pieces}))
    from datasets.dcase2020 import procedural

    return procedural.CLASSES


def facts(scenes: Scenes, made_from: str) -> Markup:
    """The key figures: what the recordings are, where they lie and how they were made."""
    spec, source = scenes.source.spec, scenes.source
    count = sum(spec.folds.values())
    by_group = {group: sum(spec.folds.get(fold, 0) for fold in folds) for group, folds in GROUPS.items()}
    sound = "procedural events" if source.sound_files is None else f"{len(source.sound_files):,} files"
    made = "in this process" if scenes.built is None else _versions(scenes.built)
    return table(
        [
            ("Kind", "scenes: simulated recordings in the layout of TAU-NIGENS 2020"),
            ("Recordings", f"{count:,}: " + ", ".join(f"{group} {many:,}" for group, many in by_group.items())),
            ("A recording", "60 s at 24 kHz, four channels, in FOA and MIC"),
            ("Rooms", f"{spec.rooms}; RT60 {span(spec.rt60_s, 's')}"),
            ("Events", f"{sound}; {span(spec.event_s, 's')} long, {spec.moving:.0%} of them move"),
            ("Noise", f"{span(spec.snr_db, 'dB')} below the events"),
            ("Seed", str(spec.seed)),
            ("Fingerprint", source.folder.removeprefix("scenes-")),
            (
                "Lies in",
                made_from if scenes.built is not None else "not built; the recordings below were made for this page",
            ),
            ("Made with", made),
            ("Size", size(_bytes(scenes)) + ("" if scenes.built is not None else " when it is built")),
        ]
    )


def _versions(manifest: Manifest) -> str:
    return ", ".join(f"{name} {version}" for name, version in manifest.versions.items())


def _bytes(scenes: Scenes) -> int:
    if scenes.built is not None:
        return sum(entry.bytes for entry in scenes.built.shards)
    return sum(scenes.source.spec.folds.values()) * BYTES


def sections(scenes: Scenes) -> list[Section]:
    """Everything below the key figures."""
    classes = classes_of(scenes.source)
    seconds = min(HEARD_S, MOST_HEARD_S / len(scenes.shown))
    about = paragraph(
        f"The first {seconds:g} s of each recording can be heard, decoded from FOA to stereo by two virtual cardioids at "
        "+90° (left) and −90° (right), all brought to the same peak. Angles are labels: azimuth counter-clockwise from the "
        "front, elevation upwards from the horizon. The spectrogram is that of W (Hamming window of 43 ms).",
        "soft",
    )
    cards = [_recording(recording, classes, seconds) for recording in scenes.shown]
    return [
        Section("statistics", "Statistics", _statistics(scenes, classes)),
        Section("recordings", "Recordings", join([about, *cards])),
    ]


def _statistics(scenes: Scenes, classes: tuple[str, ...]) -> Markup:
    spec: SceneSpec = scenes.source.spec
    found = [run for rows in scenes.labels for run in runs(rows)]
    speeds = speeds_deg_s(found)
    moving = speeds[speeds >= _STILL_DEG_S]
    several = at_once(scenes.labels)
    lengths = np.array([len(run) / 10 for run in found])
    of = f"{len(scenes.labels):,} recordings"
    moved = f"{span((float(moving.min()), float(moving.max())), '°/s', 0)}" if len(moving) else "none moves"
    values = [
        ("Statistics of", of + ("" if scenes.built is not None else ", made for this page")),
        ("Events", f"{len(found):,}, {len(found) / len(scenes.labels):.1f} a recording"),
        ("Length", f"median {np.median(lengths):.1f} s" if len(lengths) else "no events"),
        ("At once", ", ".join(f"{number}: {share:.1%} of the time" for number, share in several.items())),
        ("Moving", f"{len(moving):,} of the {len(speeds):,} events of 1 s or more; {moved}"),
        ("Speed asked", span(spec.speed_deg_s, "°/s")),
        ("Elevation asked", span(spec.elevation_deg, "°")),
        ("Distance asked", span(spec.distance_m, "m")),
    ]
    return join([table(values), grid(_drawings(found, moving, several, classes, of))])


def _drawings(
    found: list[NDArray[np.int64]],
    moving: NDArray[np.float64],
    several: dict[int, float],
    classes: tuple[str, ...],
    of: str,
) -> Iterator[Markup]:
    seconds = Counter[int]()
    for run in found:
        seconds[int(run[0, 1])] += len(run)
    by_class = {name: seconds[kind] / 10 for kind, name in enumerate(classes)}
    yield figure(figures.bars(by_class, "", "time, s", "Time of each class"), f"How long each class sounds in {of}.")
    shares = {str(number): 100 * share for number, share in several.items()}
    yield figure(
        figures.bars(shares, "events at once", "share of time, %", "Simultaneous events"), f"Events at once in {of}."
    )
    if len(moving):
        yield figure(
            figures.histogram(moving, "speed in azimuth, °/s", "events", "Speeds of moving events"),
            "Speeds of the events that move, from their labels.",
        )


def _recording(recording: Shown, classes: tuple[str, ...], seconds: float) -> Markup:
    stem = recording.name.stem
    found = runs(recording.rows)
    heard, gain = sounds.playable(sounds.cardioids(recording.foa[:, : round(seconds * layout.SAMPLE_RATE_HZ)]))
    decibels = sounds.spectrogram_db(recording.foa[0], _WINDOW, _HOP)
    label = f"first {seconds:g} s, stereo, {gain:+.0f} dB".replace("-", "−")
    return card(
        f"{stem}: room {recording.name.room}, {len(found)} events, at most {recording.name.overlap} at once",
        [
            figure(
                figures.timeline(recording.rows, found, classes, FRAMES, f"Events of {stem} over time"),
                "Azimuth and elevation of every event, and how many sound at once.",
                wide=True,
            ),
            figure(
                figures.spectrogram(
                    decibels, layout.SECONDS, layout.SAMPLE_RATE_HZ / 2, f"Spectrogram of {stem}", wide=True
                ),
                "W, the omnidirectional channel.",
                wide=True,
            ),
            audio(sounds.wav(heard, layout.SAMPLE_RATE_HZ), label),
        ],
    )
