"""The page of simulated recordings: what sounds when and from where, some recordings to be heard, and their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.building.manifest import Manifest
from datasets.preview import figures, sounds
from datasets.preview.page import (
    Markup,
    Section,
    make_audio,
    make_card,
    make_figure,
    make_grid,
    join_markup,
    make_paragraph,
    make_table,
)
from datasets.preview.recordings import (
    SceneMaterial,
    ShownRecording,
    count_simultaneous,
    classes_of,
    find_runs,
    speeds_deg_s,
)
from datasets.preview.statistics import format_span
from datasets.scenes.provider import BYTES
from datasets.scenes.spec import GROUPS, SceneSpec
from datasets.tau2020 import layout
from datasets.tau2020.labels import FRAMES
from runtime.cli import format_bytes

HEARD_S: Final = 15.0
MOST_HEARD_S: Final = 90.0
"""Of all players together; in base64 they are 128 kB a second, and the page stays below some 13 MB."""
_WINDOW, _HOP = 1_024, 2_400
_STILL_DEG_S: Final = 1.0


def build_facts(scenes: SceneMaterial, made_from: str) -> Markup:
    """The key figures: what the recordings are, where they lie and how they were made."""
    spec, source = scenes.source.spec, scenes.source
    count = sum(spec.folds.values())
    by_group = {group: sum(spec.folds.get(fold, 0) for fold in folds) for group, folds in GROUPS.items()}
    sound = "procedural events" if source.sound_files is None else f"{len(source.sound_files):,} files"
    made = "in this process" if scenes.built is None else _version_rows(scenes.built)
    return make_table(
        [
            ("Kind", "scenes: simulated recordings in the layout of TAU-NIGENS 2020"),
            ("Recordings", f"{count:,}: " + ", ".join(f"{group} {many:,}" for group, many in by_group.items())),
            ("A recording", "60 s at 24 kHz, four channels, in FOA and MIC"),
            ("Rooms", f"{spec.rooms}; RT60 {format_span(spec.rt60_s, 's')}"),
            ("Events", f"{sound}; {format_span(spec.event_s, 's')} long, {spec.moving:.0%} of them move"),
            ("Noise", f"{format_span(spec.snr_db, 'dB')} below the events"),
            ("Seed", str(spec.seed)),
            ("Fingerprint", source.folder_name.removeprefix("scenes-")),
            (
                "Lies in",
                made_from if scenes.built is not None else "not built; the recordings below were made for this page",
            ),
            ("Made with", made),
            ("Size", format_bytes(_dataset_bytes(scenes)) + ("" if scenes.built is not None else " when it is built")),
        ]
    )


def _version_rows(manifest: Manifest) -> str:
    return ", ".join(f"{name} {version}" for name, version in manifest.versions.items())


def _dataset_bytes(scenes: SceneMaterial) -> int:
    if scenes.built is not None:
        return sum(entry.bytes for entry in scenes.built.shards)
    return sum(scenes.source.spec.folds.values()) * BYTES


def build_sections(scenes: SceneMaterial) -> list[Section]:
    """Everything below the key figures."""
    classes = classes_of(scenes.source)
    seconds = min(HEARD_S, MOST_HEARD_S / len(scenes.shown))
    about = make_paragraph(
        f"The first {seconds:g} s of each recording can be heard, decoded from FOA to stereo by two virtual cardioids at "
        "+90° (left) and −90° (right), all brought to the same peak. Angles are labels: azimuth counter-clockwise from the "
        "front, elevation upwards from the horizon. The spectrogram is that of W (Hamming window of 43 ms).",
        "soft",
    )
    cards = [_recording_card(recording, classes, seconds) for recording in scenes.shown]
    return [
        Section("statistics", "Statistics", _statistics_section(scenes, classes)),
        Section("recordings", "Recordings", join_markup([about, *cards])),
    ]


def _statistics_section(scenes: SceneMaterial, classes: tuple[str, ...]) -> Markup:
    spec: SceneSpec = scenes.source.spec
    found = [run for rows in scenes.labels for run in find_runs(rows)]
    speeds = speeds_deg_s(found)
    moving = speeds[speeds >= _STILL_DEG_S]
    several = count_simultaneous(scenes.labels)
    lengths = np.array([len(run) / 10 for run in found])
    of = f"{len(scenes.labels):,} recording" + "s" * (len(scenes.labels) != 1)
    moved = f"{format_span((float(moving.min()), float(moving.max())), '°/s', 0)}" if len(moving) else "none moves"
    values = [
        ("Statistics of", of + ("" if scenes.built is not None else ", made for this page")),
        ("Events", f"{len(found):,}, {len(found) / len(scenes.labels):.1f} a recording"),
        ("Length", f"median {np.median(lengths):.1f} s" if len(lengths) else "no events"),
        ("At once", ", ".join(f"{number}: {share:.1%} of the time" for number, share in several.items())),
        ("Moving", f"{len(moving):,} of the {len(speeds):,} events of 1 s or more; {moved}"),
        ("Speed asked", format_span(spec.speed_deg_s, "°/s")),
        ("Elevation asked", format_span(spec.elevation_deg, "°")),
        ("Distance asked", format_span(spec.distance_m, "m")),
    ]
    return join_markup([make_table(values), make_grid(_draw_recording(found, moving, several, classes, of))])


def _draw_recording(
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
    yield make_figure(
        figures.plot_bars(by_class, "", "time, s", "Time of each class"), f"How long each class sounds in {of}."
    )
    shares = {str(number): 100 * share for number, share in several.items()}
    yield make_figure(
        figures.plot_bars(shares, "events at once", "share of time, %", "Simultaneous events"),
        f"Events at once in {of}.",
    )
    if len(moving):
        yield make_figure(
            figures.plot_histogram(moving, "speed in azimuth, °/s", "events", "Speeds of moving events"),
            "Speeds of the events that move, from their labels.",
        )


def _recording_card(recording: ShownRecording, classes: tuple[str, ...], seconds: float) -> Markup:
    stem = recording.name.file_stem
    found = find_runs(recording.rows)
    heard, gain = sounds.make_playable(
        sounds.cardioid_stereo(recording.foa[:, : round(seconds * layout.SAMPLE_RATE_HZ)])
    )
    decibels = sounds.spectrogram_db(recording.foa[0], _WINDOW, _HOP)
    label = f"first {seconds:g} s, stereo, {gain:+.0f} dB".replace("-", "−")
    return make_card(
        f"{stem}: room {recording.name.room}, {len(found)} events, at most {recording.name.overlap} at once",
        [
            make_figure(
                figures.plot_timeline(recording.rows, found, classes, FRAMES, f"Events of {stem} over time"),
                "Azimuth and elevation of every event, and how many sound at once.",
                wide=True,
            ),
            make_figure(
                figures.plot_spectrogram(
                    decibels, layout.SECONDS, layout.SAMPLE_RATE_HZ / 2, f"Spectrogram of {stem}", wide=True
                ),
                "W, the omnidirectional channel.",
                wide=True,
            ),
            make_audio(sounds.encode_wav(heard, layout.SAMPLE_RATE_HZ), label),
        ],
    )
