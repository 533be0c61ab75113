"""Preview page of simulated recordings: statistics, event timelines and audio players."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.building.manifest import Manifest
from datasets.preview import figures, playback
from datasets.preview.scene_material import (
    SceneMaterial,
    ShownRecording,
    azimuth_speeds_deg_s,
    class_names,
    count_simultaneous,
    find_runs,
)
from datasets.preview.split_statistics import format_span
from datasets.scenes.plan import RECORDING_BYTES
from datasets.scenes.spec import SceneSpec
from datasets.tau2020 import layout
from datasets.tau2020.labels import FRAMES
from datasets.tau2020.spec import GROUPS
from runtime.console import format_bytes
from runtime.html_page import (
    Markup,
    Section,
    join_markup,
    make_audio,
    make_card,
    make_figure,
    make_grid,
    make_paragraph,
    make_table,
)

PLAYED_S: Final = 15.0
TOTAL_PLAYED_S: Final = 90.0
"""Total duration of all players; base64 takes 128 kB per second, so the page stays below about 13 MB."""
_WINDOW, _HOP = 1_024, 2_400
_MOVING_DEG_S: Final = 1.0


def build_facts(scenes: SceneMaterial, location: str) -> Markup:
    """Build the table of key figures: content, location and origin of the recordings."""
    spec, plan = scenes.plan.spec, scenes.plan
    count = sum(spec.folds.values())
    by_group = {group: sum(spec.folds.get(fold, 0) for fold in folds) for group, folds in GROUPS.items()}
    sound = "procedural events" if plan.sound_files is None else f"{len(plan.sound_files):,} files"
    versions = "those installed" if scenes.manifest is None else _format_versions(scenes.manifest)
    return make_table(
        [
            ("Kind", "scenes: simulated recordings in the layout of TAU-NIGENS 2020"),
            ("Recordings", f"{count:,}: " + ", ".join(f"{group} {number:,}" for group, number in by_group.items())),
            ("Format", "60 s at 24 kHz, four channels, in FOA and MIC"),
            ("Rooms", f"{spec.rooms}; RT60 {format_span(spec.rt60_s, 's')}"),
            ("Events", f"{sound}; {format_span(spec.event_s, 's')} long, {spec.moving:.0%} of them move"),
            ("Noise", f"{format_span(spec.snr_db, 'dB')} below the events"),
            ("Seed", str(spec.seed)),
            ("Fingerprint", plan.folder_name.removeprefix("scenes-")),
            (
                "Location",
                location if scenes.manifest is not None else "not built; the recordings were generated for this page",
            ),
            ("Versions", versions),
            ("Size", format_bytes(_dataset_bytes(scenes)) + ("" if scenes.manifest is not None else " when built")),
        ]
    )


def _format_versions(manifest: Manifest) -> str:
    return ", ".join(f"{name} {version}" for name, version in manifest.versions.items())


def _dataset_bytes(scenes: SceneMaterial) -> int:
    if scenes.manifest is not None:
        return sum(entry.bytes for entry in scenes.manifest.shards)
    return sum(scenes.plan.spec.folds.values()) * RECORDING_BYTES


def build_sections(scenes: SceneMaterial) -> list[Section]:
    """Build the sections below the key figures."""
    classes = class_names(scenes.plan)
    seconds = min(PLAYED_S, TOTAL_PLAYED_S / len(scenes.shown))
    about = make_paragraph(
        f"The first {seconds:g} s of each recording are decoded from FOA to stereo with two virtual cardioid microphones at "
        "+90° (left) and −90° (right) and normalised to a common peak. Angles are those of the labels: azimuth counted "
        "counter-clockwise from the front, elevation upwards from the horizon. The spectrogram shows W (Hamming window "
        "of 43 ms).",
        "soft",
    )
    cards = [_recording_card(recording, classes, seconds) for recording in scenes.shown]
    return [
        Section("statistics", "Statistics", _statistics_section(scenes, classes)),
        Section("recordings", "Recordings", join_markup([about, *cards])),
    ]


def _statistics_section(scenes: SceneMaterial, classes: tuple[str, ...]) -> Markup:
    spec: SceneSpec = scenes.plan.spec
    runs = [run for rows in scenes.labels for run in find_runs(rows)]
    speeds = azimuth_speeds_deg_s(runs)
    moving = speeds[speeds >= _MOVING_DEG_S]
    shares = count_simultaneous(scenes.labels)
    lengths = np.array([len(run) / 10 for run in runs])
    counted = f"{len(scenes.labels):,} recording" + "s" * (len(scenes.labels) != 1)
    speed_range = (
        f"{format_span((float(moving.min()), float(moving.max())), '°/s', 0)}" if len(moving) else "no moving events"
    )
    values = [
        ("Statistics of", counted + ("" if scenes.manifest is not None else " generated for this page")),
        ("Events", f"{len(runs):,}, {len(runs) / len(scenes.labels):.1f} per recording"),
        ("Length", f"median {np.median(lengths):.1f} s" if len(lengths) else "no events"),
        ("Simultaneous events", ", ".join(f"{number}: {share:.1%} of the time" for number, share in shares.items())),
        ("Moving", f"{len(moving):,} of the {len(speeds):,} events of 1 s or longer; {speed_range}"),
        ("Speed requested", format_span(spec.speed_deg_s, "°/s")),
        ("Elevation requested", format_span(spec.elevation_deg, "°")),
        ("Distance requested", format_span(spec.distance_m, "m")),
    ]
    return join_markup([make_table(values), make_grid(_statistics_figures(runs, moving, shares, classes, counted))])


def _statistics_figures(
    runs: list[NDArray[np.int64]],
    moving: NDArray[np.float64],
    shares: dict[int, float],
    classes: tuple[str, ...],
    counted: str,
) -> Iterator[Markup]:
    seconds = Counter[int]()
    for run in runs:
        seconds[int(run[0, 1])] += len(run)
    by_class = {name: seconds[kind] / 10 for kind, name in enumerate(classes)}
    yield make_figure(
        figures.plot_bars(by_class, "", "time, s", "Duration of each class"),
        f"Total duration of each class in {counted}.",
    )
    percent = {str(number): 100 * share for number, share in shares.items()}
    yield make_figure(
        figures.plot_bars(percent, "simultaneous events", "share of time, %", "Simultaneous events"),
        f"Simultaneous events in {counted}.",
    )
    if len(moving):
        yield make_figure(
            figures.plot_histogram(moving, "speed in azimuth, °/s", "events", "Speeds of moving events"),
            "Speeds of the moving events, from their labels.",
        )


def _recording_card(recording: ShownRecording, classes: tuple[str, ...], seconds: float) -> Markup:
    stem = recording.name.file_stem
    runs = find_runs(recording.rows)
    audible, gain = playback.make_playable(
        playback.cardioid_stereo(recording.foa[:, : round(seconds * layout.SAMPLE_RATE_HZ)])
    )
    decibels = playback.spectrogram_db(recording.foa[0], _WINDOW, _HOP)
    label = f"first {seconds:g} s, stereo, {gain:+.0f} dB".replace("-", "−")
    return make_card(
        f"{stem}: room {recording.name.room}, {len(runs)} events, at most {recording.name.overlap} simultaneous",
        [
            make_figure(
                figures.plot_timeline(recording.rows, runs, classes, FRAMES, f"Events of {stem} over time"),
                "Azimuth and elevation of each event, and number of simultaneous events.",
                wide=True,
            ),
            make_figure(
                figures.plot_spectrogram(
                    decibels, layout.SECONDS, layout.SAMPLE_RATE_HZ / 2, f"Spectrogram of {stem}", wide=True
                ),
                "W, the omnidirectional channel.",
                wide=True,
            ),
            make_audio(playback.encode_wav(audible, layout.SAMPLE_RATE_HZ), label),
        ],
    )
