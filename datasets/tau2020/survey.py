"""Check of all files of a folder of recordings, with all problems reported at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.tau2020.folds import FoldPlan, plan_folds, select_names
from datasets.tau2020.labels import FRAMES, LabelFile, max_simultaneous, read_label_file, require_slots
from datasets.tau2020.layout import (
    FORMATS,
    SAMPLE_RATE_HZ,
    SAMPLES,
    Format,
    RecordingFiles,
    RecordingName,
    scan_recordings,
)
from datasets.tau2020.spec import GROUPS
from runtime.error_list import raise_problems
from runtime.errors import InputError

_FRAME_SAMPLES = SAMPLES // FRAMES
_MARGIN_FRAMES = 10
"""Number of frames by which labels may exceed the sound, as in some published recordings."""

_Files = Mapping[Format, Mapping[RecordingName, RecordingFiles]]


@dataclass(frozen=True)
class FolderSurvey:
    """Content of a folder of recordings.

    Attributes:
        formats: Formats that are present.
        fold_plan: Folds of each split.
        names: Recordings of each split.
        busiest: Path of each label file, its frame with the most events, and their number.
        digest: Identity of the names and sizes of the files.
        notes: Lines of text about what is not used.
    """

    formats: tuple[Format, ...]
    fold_plan: FoldPlan
    names: Mapping[str, tuple[RecordingName, ...]]
    busiest: tuple[tuple[str, int, int], ...]
    digest: str
    notes: tuple[str, ...]


def survey_folder(root: Path, folds: Mapping[str, tuple[int, ...]] | None) -> FolderSurvey:
    """Check all recordings and read all labels once, so that no training fails on an invalid one.

    Args:
        root: Folder that contains `foa_dev/`, `metadata_dev/` and so on.
        folds: Folds of each split; None for the convention that the names follow.

    Raises:
        InputError: If files are missing or corrupt, or a split has no recordings.
    """
    formats = tuple(fmt for fmt in FORMATS if (root / f"{fmt}_dev").is_dir())
    if not formats:
        raise InputError(
            str(root), "the folder needs foa_dev or mic_dev", remedy="unpack the archives into this folder"
        )
    problems: list[InputError] = []
    files: dict[Format, dict[RecordingName, RecordingFiles]] = {}
    for fmt in formats:
        files[fmt], found = scan_recordings(root, fmt, augmented=False)
        problems += found
    found_names = files[formats[0]]
    labels = _read_all_labels(found_names, problems)
    raise_problems(str(root), list({str(problem): problem for problem in problems}.values()))
    plan = plan_folds(found_names.keys(), folds, str(root))
    names = {split: select_names(found_names, split, plan.folds, plan.held_out) for split in GROUPS}
    _require_splits(root / f"{formats[0]}_dev", plan, names)
    used = [name for split in GROUPS for name in names[split]]
    busiest = tuple((str(found_names[name].labels), *max_simultaneous(labels[name].rows)) for name in used)
    notes = (*_describe_rest(found_names, used), *_describe_labels([labels[name] for name in used]))
    return FolderSurvey(formats, plan, names, busiest, _digest(files, plan, names), notes)


def require_all_slots(folder: str, busiest: Sequence[tuple[str, int, int]], sources: int) -> None:
    """Check that there are enough slots for the simultaneous events of all recordings.

    Args:
        folder: Folder of the recordings, for the error.
        busiest: Path of each label file, its frame with the most events, and their number.
        sources: Number of slots.

    Raises:
        InputError: If recordings have more events than slots; all of them are listed.
    """
    problems = []
    for path, frame, events in busiest:
        try:
            require_slots(frame, events, sources, path)
        except InputError as error:
            problems.append(error)
    raise_problems(folder, problems)


def _read_all_labels(
    files: Mapping[RecordingName, RecordingFiles], problems: list[InputError]
) -> dict[RecordingName, LabelFile]:
    labels = {}
    for name, recording in files.items():
        try:
            labels[name] = read_label_file(recording.labels)
        except InputError as error:
            problems.append(error)
            continue
        frames = -(-recording.frames // _FRAME_SAMPLES)
        if labels[name].last_frame >= frames + _MARGIN_FRAMES:
            problems.append(_late_label_error(recording.labels, labels[name].last_frame, frames))
    return labels


def _late_label_error(path: Path, last: int, frames: int) -> InputError:
    return InputError(
        str(path),
        f"labels lie within the recording, which has {frames} frames of 100 ms",
        value=f"frame {last}",
        remedy="replace the sound file, which may be truncated, or correct the labels",
    )


def _require_splits(folder: Path, plan: FoldPlan, names: Mapping[str, Collection[RecordingName]]) -> None:
    for split, folds in plan.folds.items():
        if not names[split]:
            raise InputError(
                str(folder),
                f"{split} needs recordings called {' or '.join(f'fold{fold}_…' for fold in folds)}",
                value="none",
                remedy="unpack all archives of the development set, or list the folds of each split in dataset.folds",
            )


def _describe_rest(files: Mapping[RecordingName, RecordingFiles], used: Collection[RecordingName]) -> list[str]:
    notes = []
    longer = [name for name in used if files[name].frames > SAMPLES]
    if longer:
        rest = sum(files[name].frames - SAMPLES for name in longer) / SAMPLE_RATE_HZ / 60
        notes.append(
            f"{len(longer)} recordings are longer than 60 s; the rest of them, {rest:.1f} min in total, is not used"
        )
    if unused := sorted(set(files) - set(used)):
        folds = sorted({name.fold for name in unused})
        notes.append(f"{len(unused)} recordings belong to no split: fold {', '.join(map(str, folds))}")
    return notes


def _describe_labels(labels: Sequence[LabelFile]) -> list[str]:
    notes = []
    if any(file.has_distance for file in labels):
        notes.append("the distance in the labels is not used")
    if repeated := sum(file.repeated for file in labels):
        notes.append(f"{repeated} lines of labels repeat another line and are left out")
    return notes


def _digest(files: _Files, plan: FoldPlan, names: Mapping[str, Sequence[RecordingName]]) -> str:
    digest = hashlib.sha256()
    for fmt, recordings in files.items():
        for split in GROUPS:
            for name in names[split]:
                size = recordings[name].sound.stat().st_size
                digest.update(f"{fmt} {name.file_stem} {size}".encode())
    if dict(plan.folds) != GROUPS:
        digest.update(repr({split: len(names[split]) for split in GROUPS}).encode())
    return digest.hexdigest()[:16]
