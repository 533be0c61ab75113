"""Clips of a manifest: grouped rows and the headers of their sound files. Imports neither torch nor scipy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ
from datasets.audio import sound_files
from datasets.recordings import rules
from datasets.recordings.clips import ChannelFile, Clip
from datasets.recordings.spec import RecordingsSpec
from datasets.recordings.table import TableRow, read_rows
from runtime import hashing
from runtime.errors import InputError, suggest_name

_SEGMENT_S = MIXTURE_SAMPLES / SAMPLE_RATE_HZ


def read_clip_list(spec: RecordingsSpec, location: str, only: tuple[str, ...] | None = None) -> tuple[Clip, ...]:
    """Read the manifest and the headers of all sound files that it names.

    Args:
        spec: Description of the dataset.
        location: Option or key that names the manifest, for errors.
        only: Names of the splits that need clips; None for all.

    Raises:
        InputError: With file, row and column, for every mistake that is visible without decoding the files.
    """
    groups: dict[str, list[TableRow]] = {}
    for row in read_rows(spec.manifest_path(), location):
        groups.setdefault(row.cells["clip"], []).append(row)
    clips = tuple(_read_clip(spec, name, rows) for name, rows in groups.items())
    _require_own_files(clips)
    rules.require_separate(spec, clips)
    rules.require_splits(spec, clips, only or tuple(spec.resolve_splits()))
    return clips


def hash_clips(spec: RecordingsSpec, clips: Iterable[Clip]) -> dict[str, str]:
    """Return the SHA-256 of the manifest and of every sound file, by its name in the manifest."""
    paths = {"manifest": spec.manifest_path()}
    paths |= {track.file: track.path for clip in clips for track in clip.tracks}
    return {name: hashing.hash_file(path) for name, path in paths.items()}


def _read_clip(spec: RecordingsSpec, name: str, rows: list[TableRow]) -> Clip:
    first = rows[0]
    for row in rows[1:]:
        for column in ("x", "y", "split", "genre"):
            if row.cells[column] != first.cells[column]:
                raise row.value_error(
                    column,
                    f"all rows of clip {name!r} must agree; row {first.line} has {first.cells[column]!r}",
                    "correct one of them, or give another recording another clip name",
                )
    splits, positions = _read_splits(spec, first), _read_positions(spec, first)
    tracks = _require_order(spec, name, rows)
    _require_one_length(rows, tracks)
    return Clip(name, first, splits, first.cells["genre"], positions, tracks)


def _read_splits(spec: RecordingsSpec, row: TableRow) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(row.cells["split"].split()))
    for name in names:
        if name not in spec.resolve_splits():
            raise row.value_error(
                "split",
                "the split must be train, validate or a test set",
                suggest_name(name, spec.resolve_splits()),
                value=name,
            )
    if len(names) > 1 and {"train", "validate"} & set(names):
        raise row.value_error("split", "only test sets may share a clip", "give train and validate clips of their own")
    return names


def _read_positions(spec: RecordingsSpec, row: TableRow) -> tuple[tuple[float, float], ...]:
    across, along = row.parse_numbers("x"), row.parse_numbers("y")
    if len(across) != len(along):
        raise row.value_error(
            "y",
            f"x and y must hold equally many numbers; x has {len(across)}",
            "write one of each for every source",
        )
    for column, values, size in zip(("x", "y"), (across, along), spec.size_m, strict=True):
        for value in values:
            if not 0 <= value <= size:
                raise row.value_error(
                    column,
                    f"a source must stand in the area, between 0 and {size:g} m",
                    "correct the position, or dataset.size_m",
                    value=value,
                )
    return tuple(zip(across, along, strict=True))


def _require_order(spec: RecordingsSpec, name: str, rows: list[TableRow]) -> tuple[ChannelFile, ...]:
    """Return the channel files ordered by array; check that every array has one."""
    arrays = len(spec.microphones_m())
    files: dict[int | None, ChannelFile] = {}
    for row in rows:
        track = _read_channel_file(spec, row)
        if track.array in files or (files and None in (track.array, *files)):
            raise row.value_error(
                "array",
                f"clip {name!r} must have every array once",
                "number the arrays from 0, or leave the cell empty if one file holds them all",
                value=row.cells["array"] or "all arrays, in addition to another row",
            )
        files[track.array] = track
    missing = sorted(set(range(arrays)) - {array for array in files if array is not None})
    if None not in files and missing:
        raise rows[-1].value_error(
            "array",
            f"clip {name!r} must have a row for each of the {arrays} arrays",
            "add the row, or leave the cell empty if one file holds them all",
            value=f"no row for array {', '.join(map(str, missing))}",
        )
    return tuple(files[array] for array in sorted(files, key=lambda array: array or 0))


def _read_channel_file(spec: RecordingsSpec, row: TableRow) -> ChannelFile:
    arrays, microphones, _ = spec.microphones_m().shape
    numbers = row.parse_integers("array")
    if len(numbers) > 1 or any(number >= arrays for number in numbers):
        raise row.value_error("array", f"the array must be one number from 0 to {arrays - 1}, or empty", "correct it")
    array = numbers[0] if numbers else None
    path = row.path.parent / row.cells["file"]
    if not path.is_file():
        raise row.value_error("file", "the sound file must exist", "name it relative to the manifest's folder")
    try:
        header = sound_files.read_header(path)
    except InputError as error:
        raise row.value_error("file", error.rule, error.remedy, value=f"{row.cells['file']}: {error.value}") from error
    if header.frames / header.rate_hz < _SEGMENT_S:
        raise row.value_error(
            "file",
            f"a recording must last at least {_SEGMENT_S * 1000:g} ms",
            "remove the clip",
            value=f"{row.cells['file']}: {header.frames / header.rate_hz * 1000:.1f} ms",
        )
    channels = _read_channels(row, header, microphones if array is not None else arrays * microphones)
    return ChannelFile(row.location("file"), row.cells["file"], path, array, channels, header)


def _read_channels(row: TableRow, header: sound_files.SoundHeader, wanted: int) -> tuple[int, ...]:
    chosen = row.parse_integers("channels")
    if not chosen and header.channels != wanted:
        raise row.value_error(
            "file",
            f"the file must have the {wanted} channels of {'the array' if row.cells['array'] else 'all arrays'}",
            "record all microphones, or choose channels in the column channels",
            value=f"{row.cells['file']}: {header.channels} channels",
        )
    if chosen and (len(set(chosen)) != len(chosen) or len(chosen) != wanted or max(chosen) >= header.channels):
        raise row.value_error(
            "channels",
            f"the channels must be {wanted} different numbers below the file's {header.channels}, counted from 0",
            "name the file's channel of every microphone in turn",
        )
    return chosen or tuple(range(wanted))


def _require_one_length(rows: list[TableRow], tracks: tuple[ChannelFile, ...]) -> None:
    lengths = [track.duration_s() for track in tracks]
    if max(lengths) - min(lengths) > _SEGMENT_S:
        raise rows[-1].value_error(
            "file",
            f"the arrays of a clip must be equally long, to {_SEGMENT_S * 1000:g} ms",
            "record them at the same time, and cut them to the same length",
            value=", ".join(f"{track.file}: {track.duration_s():.2f} s" for track in tracks),
        )


def _require_own_files(clips: Iterable[Clip]) -> None:
    """Check that no sound file belongs to two clips, which would put the same sound at two positions or into two splits."""
    owner: dict[Path, Clip] = {}
    for clip in clips:
        for track in clip.tracks:
            other = owner.setdefault(track.path.resolve(), clip)
            if other is not clip:
                raise InputError(
                    track.place,
                    "a sound file must belong to one clip",
                    value=f"{track.file}, also in clip {other.name!r} (row {other.row.line})",
                    remedy="remove one of them",
                )
