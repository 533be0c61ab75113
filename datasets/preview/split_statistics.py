"""Statistics of a split for the 2D localizer: measured values alongside the requested ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import corpus
from datasets.building.arrow import read_columns
from datasets.building.plan import part_bytes
from datasets.preview import playback
from datasets.preview.material import Material
from datasets.recordings.plan import RecordingsPlan
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.dataset import Split
from datasets.rooms.music import assemble_excerpts, list_excerpts
from datasets.rooms.plan import MusicPlan
from datasets.rooms.spec import LocalizerSpec, MusicSpec, RoomSpec
from datasets.rooms.split_spec import SplitSpec
from runtime.console import format_bytes

LEVEL_SAMPLES: Final = 2_000
"""Maximum number of samples whose levels are measured; reading all of a large split would take minutes."""

_BATCH_ROWS: Final = 100
_INAUDIBLE_DB: Final = -100.0


@dataclass(frozen=True, eq=False)
class SplitStatistics:
    """Measured properties of the samples of a split.

    Attributes:
        counts: Number of sources of each sample, shape (samples,).
        positions_m: Positions of all sources, shape (sources, 2).
        levels_db: RMS levels over all microphones of evenly spaced samples, dB re 1, shape (at most 2000,).
        least_distance_m: Smallest distance between two sources of a sample; None if each sample has a single source.
    """

    counts: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    levels_db: NDArray[np.float64]
    least_distance_m: float | None


def measure_split(split: Split) -> SplitStatistics:
    """Measure a split: positions and numbers of sources of all samples, and levels of some."""
    counts = split.counts.numpy()
    positions = split.positions_m.numpy().astype(np.float64)
    rows = evenly_spaced_rows(len(split), LEVEL_SAMPLES)
    levels = [playback.level_db(split.read_batch(batch).waves.numpy()) for batch in _split_rows(rows)]
    apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    apart[:, np.arange(positions.shape[1]), np.arange(positions.shape[1])] = np.nan
    pairs = apart[np.isfinite(apart)]
    present = positions[np.isfinite(positions).all(axis=-1)]
    return SplitStatistics(counts, present, np.concatenate(levels), float(pairs.min()) if len(pairs) else None)


def evenly_spaced_rows(length: int, count: int) -> NDArray[np.int64]:
    """Return at most `count` distinct row indices, evenly spaced over `length` rows; shape (rows,)."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(np.int64))


def _split_rows(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[first : first + _BATCH_ROWS] for first in range(0, len(rows), _BATCH_ROWS)]


def count_genres(material: Material) -> dict[str, Counter[str]] | None:
    """Count the audible excerpts of each split by genre.

    For recordings, clips are counted, silent ones included.

    Returns:
        Counts by genre for each split; None if the music is not in local storage.
    """
    plan, made = material.plan, material.data_plan
    if isinstance(plan, RecordingsPlan):
        splits = plan.spec.resolve_splits()
        return {name: Counter(c.genre or "no genre" for c in plan.clips if name in c.splits) for name in splits}
    if not isinstance(made, MusicPlan):
        return None
    paths = [material.data.store.local_path(shard.name) for shard in made.music_part.list_shards()]
    if not all(path.is_file() for path in paths):
        return None
    levels = np.concatenate([read_columns(path, ("level",))[0] for path in paths]).tolist()
    chosen = list_excerpts(made.spec, made.pieces)
    # The assignment of excerpts to splits depends on the levels, not on the waveforms.
    no_waves = [np.empty(0, np.float32)] * len(chosen)
    music = assemble_excerpts(made.spec, chosen, no_waves, levels)
    audible = [excerpt for excerpt, level in zip(chosen, levels, strict=True) if level > corpus.SILENT_RMS]
    return {name: Counter(audible[row].genre for row in rows) for name, rows in music.rows_by_split.items()}


def statistics_rows(
    material: Material, name: str, measured: SplitStatistics, genres: dict[str, Counter[str]] | None
) -> list[tuple[str, str]]:
    """Build the rows of the statistics table of a split.

    Args:
        material: Samples of the dataset.
        name: Name of the split.
        measured: Result of `measure_split`.
        genres: Result of `count_genres`.

    Returns:
        Names and values.
    """
    spec = material.plan.spec
    split = spec.resolve_splits()[name]
    return [
        ("Samples", _describe_samples(material, split, len(measured.counts))),
        (
            "Sources per sample",
            f"{measured.counts.mean():.2f} on average; requested: {format_span(split.sources, '', 0)}",
        ),
        ("Numbers of sources", _format_shares(measured.counts.tolist())),
        ("Source distance", _describe_distances(spec, measured)),
        ("Level", _describe_levels(measured.levels_db)),
        ("Level requested", _describe_requested_level(spec)),
        (
            "SNR requested",
            f"{format_span(split.snr_db, 'dB')}, {split.noise} noise" if split.snr_db is not None else "no noise",
        ),
        ("Reverberation requested", describe_reverberation(split) if isinstance(spec, RoomSpec) else "as recorded"),
        *_music_rows(material, name, genres),
        ("Size on disk", _describe_size(material, name)),
    ]


def format_span(value: tuple[float, float] | None, unit: str, digits: int = 2) -> str:
    """Format a range, e.g. "5 to 20 dB"."""
    if value is None:
        return "not specified"
    low, high = (f"{round(end, digits):g}".replace("-", "−") for end in value)
    return (low if low == high else f"{low} to {high}") + (f" {unit}" if unit else "")


def describe_reverberation(split: SplitSpec) -> str:
    """Describe the requested reverberation of a split."""
    acoustics = split.acoustics
    if acoustics is None or not acoustics.is_reverberant:
        return "none (free field)"
    rooms = f"{acoustics.rooms:,} rooms with {acoustics.positions:,} source positions each"
    if acoustics.method == "hybrid":
        rooms += ", image sources until the mixing time and noise thereafter"
    if acoustics.rt60_s is not None:
        return f"RT60 {format_span(acoustics.rt60_s, 's')} (Sabine), {rooms}"
    order = "" if acoustics.max_order is None else f"reflections up to order {acoustics.max_order}, "
    if acoustics.materials is not None:
        names = sorted({name for surface in acoustics.materials.model_dump().values() for name in surface})
        return f"surfaces of {', '.join(names)}, {order}{rooms}"
    return f"absorption {format_span(acoustics.absorption, '')}, {order}{rooms}"


def _describe_samples(material: Material, split: SplitSpec, read: int) -> str:
    if material.state == "miniature":
        return f"{split.samples:,} requested; the statistics below refer to {read:,} samples of the miniature"
    if material.state == "first_shards":
        return f"{split.samples:,}; the statistics below refer to the first {read:,}"
    return f"{read:,}"


def _format_shares(counts: list[int]) -> str:
    samples = Counter(counts)
    return ", ".join(f"{number}: {count / len(counts):.1%} ({count:,})" for number, count in sorted(samples.items()))


def _describe_distances(spec: LocalizerSpec, measured: SplitStatistics) -> str:
    least = "single sources" if measured.least_distance_m is None else f"at least {measured.least_distance_m:.2f} m"
    return f"{least}; requested: at least {spec.min_distance_m:g} m"


def _describe_levels(levels: NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(levels, (5, 50, 95))
    silent = int((levels < _INAUDIBLE_DB).sum())
    text = f"median {middle:.1f} dB, 90 % within {low:.1f} to {high:.1f} dB re 1; RMS of {len(levels):,} samples"
    return (text + (f"; {silent} of them are silent" if silent else "")).replace("-", "−")


def _describe_requested_level(spec: LocalizerSpec) -> str:
    if isinstance(spec, RecordingsSpec):
        return (
            f"{format_span(spec.level_db, 'dB')} per superposition and {format_span(spec.gain_db, 'dB')} per source, "
            "relative to the recordings"
        )
    return f"{format_span(spec.level_db, 'dB')} re a source with an RMS of {corpus.EXCERPT_RMS:g} at 1 m"


def _music_rows(material: Material, name: str, genres: dict[str, Counter[str]] | None) -> Iterable[tuple[str, str]]:
    if genres is None:
        return [("Excerpts", "not read: the music is stored in the bucket")]
    counts = genres[name]
    by_genre = ", ".join(f"{genre} {count:,}" for genre, count in sorted(counts.items()))
    if isinstance(material.plan.spec, RecordingsSpec):
        return [("Clips", f"{counts.total():,}: {by_genre}")]
    spec = material.data_plan.spec
    note = f" (the miniature has {spec.excerpts} per genre)" if isinstance(spec, MusicSpec) else ""
    return [("Audible excerpts", f"{counts.total():,}: {by_genre}" + (note if material.state == "miniature" else ""))]


def _describe_size(material: Material, name: str) -> str:
    folder = material.find_part(name).folder
    if material.state == "miniature":
        return f"about {format_bytes(part_bytes(material.plan)[folder])} when built"
    total = sum(shard.bytes for shard in material.data.manifests[name].shards)
    note = " (first shard)" if material.state == "first_shards" else ""
    return f"{format_bytes(total)}{note} in {material.data.manifests[name].part}"
