"""Figures of a split for the 2D localizer: what was asked for beside what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import corpus
from datasets.building import parts as blueprint
from datasets.building.arrow import Split, read_columns
from datasets.preview import sounds
from datasets.preview.material import Material
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import LocalizerSpec, MusicSpec, RoomSpec, SplitSpec
from runtime.cli import format_bytes

HEARD: Final = 2_000
"""Samples whose sound is read for the levels; the rest of a large split would take minutes."""

_AT_ONCE: Final = 100
_INAUDIBLE_DB: Final = -100.0


@dataclass(frozen=True, eq=False)
class SplitStatistics:
    """What the samples of a split show.

    Attributes:
        counts: Sources of every sample, shape (samples,).
        positions_m: Of all sources, shape (sources, 2).
        levels_db: RMS over all microphones of some samples, evenly spread, dB re 1; shape (at most 2000,).
        least_distance_m: Between two sources of a sample; None if every sample has one source.
    """

    counts: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    levels_db: NDArray[np.float64]
    least_distance_m: float | None


def measure_split(split: Split) -> SplitStatistics:
    """Read a split: places and numbers of all samples, sound of some."""
    counts = split.counts.numpy()
    positions = split.positions_m.numpy().astype(np.float64)
    rows = format_spread(len(split), HEARD)
    levels = [sounds.level_db(split.read_batch(part).waves.numpy()) for part in _music_files(rows)]
    apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    apart[:, np.arange(positions.shape[1]), np.arange(positions.shape[1])] = np.nan
    pairs = apart[np.isfinite(apart)]
    present = positions[np.isfinite(positions).all(axis=-1)]
    return SplitStatistics(counts, present, np.concatenate(levels), float(pairs.min()) if len(pairs) else None)


def format_spread(length: int, many: int) -> NDArray[np.int64]:
    """At most so many different rows, evenly spread over all, shape (rows,)."""
    return np.unique(np.linspace(0, length - 1, min(many, length)).round().astype(np.int64))


def _music_files(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE)]


def music_played(material: Material) -> dict[str, Counter[str]] | None:
    """Audible excerpts of every split by genre; None where the music is not on this machine.

    Recordings count as clips, whether anything is to be heard in them or not.
    """
    spec = material.made.spec
    if isinstance(spec, RecordingsSpec):
        clips = material.source.clips
        return {
            name: Counter(c.genre or "no genre" for c in clips if name in c.splits) for name in spec.resolve_splits()
        }
    if not isinstance(spec, MusicSpec):
        return None
    part = next(part for part in material.made.list_parts() if part.kind == "music")
    paths = [material.data.store.local_path(shard.name) for shard in part.list_shards()]
    if not all(path.is_file() for path in paths):
        return None
    levels = np.concatenate([read_columns(path, ("level",))[0] for path in paths]).tolist()
    chosen = corpus.list_excerpts(spec, material.made.pieces)
    nothing = [np.empty(0, np.float32)] * len(chosen)  # who gets which excerpt does not depend on its sound
    music = corpus.assemble_excerpts(spec, chosen, nothing, levels)
    audible = [excerpt for excerpt, level in zip(chosen, levels, strict=True) if level > corpus.SILENT_RMS]
    return {name: Counter(audible[row].genre for row in rows) for name, rows in music.of_split.items()}


def statistics_rows(
    material: Material, name: str, found: SplitStatistics, genres: dict[str, Counter[str]] | None
) -> list[tuple[str, str]]:
    """The table of a split: names and values.

    Args:
        material: The dataset.
        name: Of the split.
        found: From `measure`.
        genres: From `played`.
    """
    spec = material.source.spec
    split = spec.resolve_splits()[name]
    return [
        ("Samples", _sample_row(material, split, len(found.counts))),
        ("Sources in a sample", f"{found.counts.mean():.2f} on average; asked: {format_span(split.sources, '', 0)}"),
        ("By number of sources", _share_rows(found.counts.tolist())),
        ("Distance of sources", _distance_row(spec, found)),
        ("Level", _level_row(found.levels_db)),
        ("Level asked", _requested_level(spec)),
        ("SNR asked", format_span(split.snr_db, "dB") if split.snr_db is not None else "no sensor noise"),
        ("Reverberation asked", reverberation_row(split) if isinstance(spec, RoomSpec) else "as recorded"),
        *_music_rows(material, name, genres),
        ("On disk", _part_bytes(material, name)),
    ]


def format_span(value: tuple[float, float] | None, unit: str, digits: int = 2) -> str:
    """A range in words, e.g. 5 to 20 dB."""
    if value is None:
        return "not said"
    low, high = (f"{round(end, digits):g}".replace("-", "−") for end in value)
    return (low if low == high else f"{low} to {high}") + (f" {unit}" if unit else "")


def reverberation_row(split: SplitSpec) -> str:
    """What a split asks of its rooms."""
    acoustics = split.acoustics
    if acoustics is None or not acoustics.is_reverberant:
        return "none: a free field"
    rooms = f"{acoustics.rooms:,} rooms with {acoustics.positions:,} places each"
    if acoustics.rt60_s is not None:
        return f"RT60 {format_span(acoustics.rt60_s, 's')} (Sabine), {rooms}"
    return f"absorption {format_span(acoustics.absorption, '')}, {acoustics.max_order} reflections, {rooms}"


def _sample_row(material: Material, split: SplitSpec, read: int) -> str:
    if material.state == "miniature":
        return f"{split.samples:,} asked; all that follows is from the miniature's {read:,}"
    if material.state == "beginning":
        return f"{split.samples:,}; all that follows is from the first {read:,}"
    return f"{read:,}"


def _share_rows(counts: list[int]) -> str:
    total = Counter(counts)
    return ", ".join(f"{number}: {many / len(counts):.1%} ({many:,})" for number, many in sorted(total.items()))


def _distance_row(spec: LocalizerSpec, found: SplitStatistics) -> str:
    least = "one source each" if found.least_distance_m is None else f"{found.least_distance_m:.2f} m or more"
    return f"{least}; asked: at least {spec.min_distance_m:g} m"


def _level_row(levels: NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(levels, (5, 50, 95))
    silent = int((levels < _INAUDIBLE_DB).sum())
    told = f"median {middle:.1f} dB, 90 % within {low:.1f} to {high:.1f} dB re 1; RMS of {len(levels):,} samples"
    return (told + (f"; {silent} of them are silent" if silent else "")).replace("-", "−")


def _requested_level(spec: LocalizerSpec) -> str:
    if isinstance(spec, RecordingsSpec):
        return f"{format_span(spec.level_db, 'dB')} a superposition, {format_span(spec.gain_db, 'dB')} a source, over the recordings'"
    return f"{format_span(spec.level_db, 'dB')} re a source with an RMS of {corpus.EXCERPT_RMS:g} at 1 m"


def _music_rows(material: Material, name: str, genres: dict[str, Counter[str]] | None) -> Iterable[tuple[str, str]]:
    if genres is None:
        return [("Excerpts", "not read: the music lies in the bucket")]
    own = genres[name]
    by_genre = ", ".join(f"{genre} {many:,}" for genre, many in sorted(own.items()))
    if isinstance(material.source.spec, RecordingsSpec):
        return [("Clips", f"{own.total():,}: {by_genre}")]
    spec = material.made.spec
    of = f" (the miniature has {spec.excerpts} a genre)" if isinstance(spec, MusicSpec) else ""
    return [("Audible excerpts", f"{own.total():,}: {by_genre}" + (of if material.state == "miniature" else ""))]


def _part_bytes(material: Material, name: str) -> str:
    folder = material.find_part(name).folder
    if material.state == "miniature":
        return f"about {format_bytes(blueprint.part_bytes(material.source)[folder])} when it is built"
    whole = sum(shard.bytes for shard in material.data.manifests[name].shards)
    note = " (first shard)" if material.state == "beginning" else ""
    return f"{format_bytes(whole)}{note} in {material.data.manifests[name].part}"
