"""The page of a dataset for the 2D localizer: a section a split, and the rooms' impulse responses."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SAMPLES
from datasets.building.parts import part_bytes
from datasets.preview import figures, responses, sounds, statistics
from datasets.preview.figures import RoomPlan
from datasets.preview.material import Material
from datasets.preview.page import (
    Markup,
    Section,
    make_audio,
    make_card,
    make_figure,
    make_grid,
    make_heading,
    join_markup,
    make_paragraph,
    make_table,
)
from datasets.preview.statistics import SplitStatistics
from runtime.cli import format_bytes

ROOMS: Final = 12
"""Rooms whose walls are drawn."""
HEARD_ROOMS: Final = 2
"""Rooms whose impulse responses are drawn, of every set of rooms."""

_WINDOW, _HOP = 512, 32
_SEEN_ARRAYS: Final = 4


def build_sections(material: Material, samples: int) -> list[Section]:
    """Everything below the key figures.

    Args:
        material: The dataset.
        samples: How many of each split are shown.
    """
    genres = statistics.music_played(material)
    found = []
    for name in material.source.spec.resolve_splits():
        split = material.data.open_split(name)
        measured = statistics.measure_split(split)
        plan = _room_plan(material, name)
        shown = statistics.format_spread(len(split), samples)
        batch = split.read_batch(shown)
        cards = [
            _sample_card(
                plan,
                f"{name}, sample {row}",
                batch.waves[place].numpy(),
                batch.positions_m[place, : int(batch.counts[place])].numpy().astype(np.float64),
            )
            for place, row in enumerate(shown.tolist())
        ]
        overview = [
            make_table(statistics.statistics_rows(material, name, measured, genres)),
            _overview_section(material, plan, name, measured),
        ]
        body = join_markup([*overview, make_heading(f"{len(cards)} samples"), make_paragraph(_ABOUT, "soft"), *cards])
        found.append(Section(f"split-{name}", name, body))
    return found + _rooms_section(material)


_ABOUT: Final = (
    "A sample lasts 160 ms, which alone would be a click: it is played nine times in a row (1.44 s), each time faded in "
    "and out over 10 ms, and brought to the same peak. Left is the first microphone of array 1, right that of the last "
    "array. The spectrogram is that of array 1 (Hamming window of 32 ms)."
)


def build_facts(material: Material, made_from: str) -> Markup:
    """The key figures: what the dataset is, where it lies and how it was made."""
    spec, source = material.source.spec, material.source
    splits = ", ".join(f"{name} {split.samples:,}" for name, split in spec.resolve_splits().items())
    arrays, microphones, _ = source.microphones_m.shape
    first = next(iter(material.data.manifests.values()))
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    sound = "the procedural band" if source.sound_files is None else f"{len(source.sound_files):,} files"
    lies = "not built; made for this page alone and gone again" if material.state == "miniature" else made_from
    return make_table(
        [
            ("Kind", f"{spec.kind}: {_KINDS.get(spec.kind, 'data for the 2D localizer')}"),
            ("Samples", splits),
            ("A sample", f"{SAMPLES / SAMPLE_RATE_HZ * 1000:g} ms at {SAMPLE_RATE_HZ / 1000:g} kHz"),
            ("Arrays", f"{arrays} with {microphones} microphones each; the area is {_format_metres(spec.size_m)}"),
            ("Sound", sound),
            ("Seed", str(spec.seed)),
            ("Fingerprint", source.fingerprint),
            ("Lies in", lies),
            ("Made with", versions),
            (
                "Size",
                "about "
                + format_bytes(sum(part_bytes(source).values()))
                + (" when it is built" if material.state == "miniature" else ""),
            ),
        ]
    )


_KINDS: Final = {
    "room": "music played in simulated rooms",
    "measured": "music through measured impulse responses",
    "recordings": "recordings, superposed or as they are",
}


def _format_metres(size_m: tuple[float, float]) -> str:
    return f"{size_m[0]:g} × {size_m[1]:g} m"


def _room_plan(material: Material, name: str) -> RoomPlan:
    rooms = responses.rooms_of(material, name, ROOMS)
    walls = tuple((-room.origin_m[0], -room.origin_m[1], room.size_m[0], room.size_m[1]) for room in rooms)
    return RoomPlan(material.source.spec.size_m, material.source.microphones_m, walls)


def _overview_section(material: Material, plan: RoomPlan, name: str, found: SplitStatistics) -> Markup:
    places = (
        responses.source_positions_m(material, name, ROOMS) if material.state == "miniature" else found.positions_m[:0]
    )
    positions, unit = (places, "places") if len(places) else (found.positions_m, "sources")
    walls = f" Red: the walls of {len(plan.walls_m)} of its rooms." if plan.walls_m else ""
    told = f"The {len(places):,} places for sources in these rooms." if len(places) else ""
    shown = [
        make_figure(
            figures.plot_density(plan, positions, unit, f"Plan of {name}: arrays, area and density of {unit}"),
            (told or f"Where {len(positions):,} sources are.") + f" Dashed: the area.{walls}",
        ),
        make_figure(
            figures.plot_histogram(found.levels_db, "level, dB re 1", "samples", f"Levels of the samples of {name}"),
            f"RMS level over all microphones of {len(found.levels_db):,} samples.",
        ),
        make_figure(
            figures.plot_bars(
                _shares_section(found.counts), "sources", "share of samples, %", f"Numbers of sources in {name}"
            ),
            "Samples by their number of sources.",
        ),
    ]
    return make_grid(shown)


def _shares_section(counts: NDArray[np.int64]) -> dict[str, float]:
    numbers, many = np.unique(counts, return_counts=True)
    return {
        str(number): 100 * float(n) / len(counts) for number, n in zip(numbers.tolist(), many.tolist(), strict=True)
    }


def _sample_card(plan: RoomPlan, name: str, waves: NDArray[np.float32], positions_m: NDArray[np.float64]) -> Markup:
    level = float(sounds.level_db(waves[None])[0])
    places = ", ".join(f"({x:.2f}, {y:.2f}) m" for x, y in positions_m.tolist())
    heard, gain = sounds.make_playable(waves[[0, -1], 0] if len(waves) > 1 else waves[:1, 0])
    seen = {f"array {number}": waves[number - 1, 0] for number in range(1, min(len(waves), _SEEN_ARRAYS) + 1)}
    decibels = sounds.spectrogram_db(waves[0, 0], _WINDOW, _HOP)
    bare = RoomPlan(plan.size_m, plan.microphones_m)
    drawings = [
        make_figure(figures.plot_sources(bare, positions_m, f"Plan of {name}"), f"Sources (green) at {places}"),
        make_figure(
            figures.plot_waveforms(seen, SAMPLE_RATE_HZ, f"Waveforms of {name}"),
            "First microphone of each array, re full scale 1, on one scale.",
        ),
        make_figure(
            figures.plot_spectrogram(decibels, SAMPLES / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / 2, f"Spectrogram of {name}"),
            "First microphone of array 1.",
        ),
    ]
    count = f"{len(positions_m)} source{'s' if len(positions_m) != 1 else ''}"
    label = f"160 ms, nine times, {gain:+.0f} dB".replace("-", "−")
    player = make_audio(sounds.encode_wav(sounds.loop_sound(heard), SAMPLE_RATE_HZ), label)
    return make_card(f"{name}: {count}, {level:.1f} dB".replace("-", "−"), [make_grid(drawings), player])


def _rooms_section(material: Material) -> list[Section]:
    cards = []
    for heard in responses.measure_rooms(material, HEARD_ROOMS):
        fading = sounds.energy_decay(heard.response)
        measured = "not measurable" if fading.rt60_s is None else f"{fading.rt60_s:.2f} s"
        asked = "none" if heard.asked_s is None else f"{heard.asked_s:.2f} s"
        named = f"{', '.join(heard.splits)}: {heard.label}"
        shown = figures.plot_impulse_response(
            heard.response, fading, SAMPLE_RATE_HZ, f"Impulse response and decay, {named}"
        )
        values = [("RT60 asked", asked), ("RT60 measured", f"{measured} (T20)")]
        note = [make_paragraph(heard.note[:1].upper() + heard.note[1:] + ".", "soft")] if heard.note else []
        cards.append(
            make_card(
                named,
                [make_figure(shown, "Above the response, below the energy that is left."), make_table(values), *note],
            )
        )
    if not cards:
        return []
    return [Section("rooms", "Impulse responses", join_markup([make_paragraph(_DECAY, "soft"), make_grid(cards)]))]


_DECAY: Final = (
    "The energy left is the backward integral of the squared response (Schroeder 1965); the measured RT60 is three times "
    "what it takes to fall from −5 to −25 dB (T20, ISO 3382). The asked one is Sabine's, which assumes a diffuse field: "
    "flat rooms ring longer, and near the source of a dry one the direct sound alone makes the fall steeper."
)
