"""Preview page of a dataset for the 2D localizer: one section per split, and impulse responses of the rooms."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import measures
from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ
from datasets.building.plan import part_bytes
from datasets.preview import figures, playback, responses, split_statistics
from datasets.preview.figures import FloorPlan
from datasets.preview.material import Material
from datasets.preview.split_statistics import SplitStatistics
from runtime.console import format_bytes
from runtime.html_page import (
    Markup,
    Section,
    join_markup,
    make_audio,
    make_card,
    make_figure,
    make_grid,
    make_heading,
    make_paragraph,
    make_table,
)

PLAN_ROOMS: Final = 12
"""Maximum number of rooms per split whose walls are plotted."""
RESPONSE_ROOMS: Final = 2
"""Number of rooms per set of impulse responses of which one response is plotted."""

_WINDOW, _HOP = 512, 32
_PLOTTED_ARRAYS: Final = 4


def build_sections(material: Material, samples: int) -> list[Section]:
    """Build the sections below the key figures.

    Args:
        material: Samples of the dataset.
        samples: Number of samples shown per split.
    """
    genres = split_statistics.count_genres(material)
    sections = []
    for name in material.list_splits():
        split = material.data.open_split(name)
        measured = split_statistics.measure_split(split)
        plan = _room_plan(material, name)
        shown = split_statistics.evenly_spaced_rows(len(split), samples)
        batch = split.read_batch(shown)
        cards = [
            _sample_card(
                plan,
                f"{name}, sample {row}",
                batch.waves[index].numpy(),
                batch.positions_m[index, : int(batch.counts[index])].numpy().astype(np.float64),
            )
            for index, row in enumerate(shown.tolist())
        ]
        overview = [
            make_table(split_statistics.statistics_rows(material, name, measured, genres)),
            _overview_figures(material, plan, name, measured),
        ]
        body = join_markup(
            [*overview, make_heading(f"{len(cards)} samples"), make_paragraph(_PLAYBACK_NOTE, "soft"), *cards]
        )
        sections.append(Section(f"split-{name}", name, body))
    return sections + _rooms_section(material)


_PLAYBACK_NOTE: Final = (
    "A sample lasts 160 ms and would be perceived as a click. It is therefore played nine times in a row (1.44 s), faded "
    "in and out over 10 ms each time and normalised to a common peak. The left channel is the first microphone of array "
    "1, the right channel that of the last array. The spectrogram shows array 1 (Hamming window of 32 ms)."
)


def build_facts(material: Material, location: str) -> Markup:
    """Build the table of key figures: content, location and origin of the dataset."""
    spec, plan = material.plan.spec, material.plan
    resolved = spec.resolve_splits()
    splits = ", ".join(f"{name} {resolved[name].samples:,}" for name in material.list_splits())
    arrays, microphones, _ = plan.microphones_m.shape
    first = next(iter(material.data.manifests.values()))
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    sound = "the procedural band" if plan.sound_files is None else f"{len(plan.sound_files):,} files"
    if material.state == "miniature":
        location = "not built; the miniature was generated for this page and is not stored"
    return make_table(
        [
            ("Kind", f"{spec.kind}: {_KINDS.get(spec.kind, 'data for the 2D localizer')}"),
            ("Samples", splits),
            ("Sample length", f"{MIXTURE_SAMPLES / SAMPLE_RATE_HZ * 1000:g} ms at {SAMPLE_RATE_HZ / 1000:g} kHz"),
            ("Arrays", f"{arrays} with {microphones} microphones each; area of {_format_metres(spec.size_m)}"),
            ("Sound", sound),
            ("Seed", str(spec.seed)),
            ("Fingerprint", plan.fingerprint),
            ("Location", location),
            ("Versions", versions),
            (
                "Size",
                "about "
                + format_bytes(sum(part_bytes(plan).values()))
                + (" when built" if material.state == "miniature" else ""),
            ),
        ]
    )


_KINDS: Final = {
    "room": "music in simulated rooms",
    "measured": "music through measured impulse responses",
    "recordings": "recordings, superposed or unmodified",
}


def _format_metres(size_m: tuple[float, float]) -> str:
    return f"{size_m[0]:g} × {size_m[1]:g} m"


def _room_plan(material: Material, name: str) -> FloorPlan:
    rooms = responses.first_rooms(material, name, PLAN_ROOMS)
    walls = tuple((-room.origin_m[0], -room.origin_m[1], room.size_m[0], room.size_m[1]) for room in rooms)
    return FloorPlan(material.plan.spec.size_m, material.plan.microphones_m, walls)


def _overview_figures(material: Material, plan: FloorPlan, name: str, measured: SplitStatistics) -> Markup:
    candidates = (
        responses.source_positions_m(material, name, PLAN_ROOMS)
        if material.state == "miniature"
        else measured.positions_m[:0]
    )
    if len(candidates):
        positions, unit = candidates, "positions"
        caption = f"Density of the {len(candidates):,} candidate source positions in these rooms. Dashed: the area."
    else:
        positions, unit = measured.positions_m, "sources"
        caption = f"Density of {len(positions):,} sources. Dashed: the area."
    if plan.walls_m:
        caption += f" Red: walls of {len(plan.walls_m)} of the rooms."
    shown = [
        make_figure(
            figures.plot_density(plan, positions, unit, f"Plan of {name}: arrays, area and density of {unit}"),
            caption,
        ),
        make_figure(
            figures.plot_histogram(measured.levels_db, "level, dB re 1", "samples", f"Levels of the samples of {name}"),
            f"RMS level over all microphones of {len(measured.levels_db):,} samples.",
        ),
        make_figure(
            figures.plot_bars(
                _source_count_shares(measured.counts), "sources", "share of samples, %", f"Numbers of sources in {name}"
            ),
            "Samples by number of sources.",
        ),
    ]
    return make_grid(shown)


def _source_count_shares(counts: NDArray[np.int64]) -> dict[str, float]:
    numbers, many = np.unique(counts, return_counts=True)
    return {
        str(number): 100 * float(n) / len(counts) for number, n in zip(numbers.tolist(), many.tolist(), strict=True)
    }


def _sample_card(plan: FloorPlan, name: str, waves: NDArray[np.float32], positions_m: NDArray[np.float64]) -> Markup:
    level = float(playback.level_db(waves[None])[0])
    positions = ", ".join(f"({x:.2f}, {y:.2f}) m" for x, y in positions_m.tolist())
    audible, gain = playback.make_playable(waves[[0, -1], 0] if len(waves) > 1 else waves[:1, 0])
    waveforms = {f"array {number}": waves[number - 1, 0] for number in range(1, min(len(waves), _PLOTTED_ARRAYS) + 1)}
    decibels = playback.spectrogram_db(waves[0, 0], _WINDOW, _HOP)
    area = FloorPlan(plan.size_m, plan.microphones_m)
    plots = [
        make_figure(figures.plot_sources(area, positions_m, f"Plan of {name}"), f"Sources (green) at {positions}"),
        make_figure(
            figures.plot_waveforms(waveforms, SAMPLE_RATE_HZ, f"Waveforms of {name}"),
            "First microphone of each array, relative to full scale, on a common scale.",
        ),
        make_figure(
            figures.plot_spectrogram(
                decibels, MIXTURE_SAMPLES / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / 2, f"Spectrogram of {name}"
            ),
            "First microphone of array 1.",
        ),
    ]
    count = f"{len(positions_m)} source{'s' if len(positions_m) != 1 else ''}"
    label = f"160 ms, nine repetitions, {gain:+.0f} dB".replace("-", "−")
    player = make_audio(playback.encode_wav(playback.loop_sound(audible), SAMPLE_RATE_HZ), label)
    return make_card(f"{name}: {count}, {level:.1f} dB".replace("-", "−"), [make_grid(plots), player])


def _rooms_section(material: Material) -> list[Section]:
    cards = []
    for example in responses.iterate_responses(material, RESPONSE_ROOMS):
        decay = measures.energy_decay(example.response)
        measured = "not measurable" if decay.rt60_s is None else f"{decay.rt60_s:.2f} s"
        requested = "none" if example.requested_rt60_s is None else f"{example.requested_rt60_s:.2f} s"
        title = f"{', '.join(example.splits)}: {example.label}"
        plot = figures.plot_impulse_response(
            example.response, decay, SAMPLE_RATE_HZ, f"Impulse response and decay, {title}"
        )
        values = [("RT60 requested", requested), ("RT60 measured", f"{measured} (T20)")]
        note = [make_paragraph(example.note[:1].upper() + example.note[1:] + ".", "soft")] if example.note else []
        cards.append(
            make_card(
                title,
                [make_figure(plot, "Above: impulse response. Below: remaining energy."), make_table(values), *note],
            )
        )
    if not cards:
        return []
    return [Section("rooms", "Impulse responses", join_markup([make_paragraph(_DECAY_NOTE, "soft"), make_grid(cards)]))]


_DECAY_NOTE: Final = (
    "The remaining energy is the backward integral of the squared response (Schroeder 1965). The measured RT60 is three "
    "times the time of the decay from −5 to −25 dB (T20, ISO 3382). The requested RT60 follows Sabine's formula, which "
    "assumes a diffuse field: flat rooms decay more slowly, and close to the source in a dry room the direct sound makes "
    "the decay steeper."
)
