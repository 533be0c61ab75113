"""`python -m datasets.tau2020.mixing ROOT`: augment the training recordings by mixtures of pairs without overlap.

Source: Adavanne, Politis and Virtanen, "Differentiable Tracking-Based Training of Deep Learning Sound Source Localizers"
(2021), where each recording without overlap is mixed with four others. The pairs and the names of the mixtures follow the
authors' published scripts, so that their tools can read the result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from datasets.tau2020.folds import plan_folds
from datasets.tau2020.labels import max_simultaneous
from datasets.tau2020.layout import (
    CHANNELS,
    FORMATS,
    SAMPLES,
    Format,
    Part,
    Recording,
    RecordingFolder,
    RecordingName,
    label_path,
    sound_folder,
    sound_path,
    write_recording,
)
from runtime.cli import Parser, run_command
from runtime.console import Console
from runtime.errors import InputError
from runtime.files import require_free_disk

TRAINING_FOLDS: Final = (3, 4, 5, 6)
PAIRS_PER_RECORDING: Final = 4

_BYTES_PER_SOUND: Final = SAMPLES * CHANNELS * 2

Pair = tuple[RecordingName, RecordingName]
Progress = Callable[[int, int], None]
"""Called with the number of finished pairs and their total."""


def plan_mixtures(
    names: Iterable[RecordingName], each: int = PAIRS_PER_RECORDING, folds: Collection[int] = TRAINING_FOLDS
) -> list[Pair]:
    """Choose the pairs to be mixed: within a fold and room, the first 4 n pairs of the n recordings without overlap.

    Pairs have the order of `itertools.combinations` over the sorted names. With many recordings, the first few therefore
    occur in most pairs, as in the authors' scripts.

    Args:
        names: Names of recordings; those of other folds, with overlap 2 or more, and mixtures are left out.
        each: Number of pairs per recording.
        folds: Folds of the training split.
    """
    eligible = sorted(n for n in names if n.fold in folds and n.overlap <= 1 and not n.augmented)
    pairs: list[Pair] = []
    for _, together in groupby(eligible, lambda name: (name.fold, name.room)):
        group = list(together)
        pairs += list(combinations(group, 2))[: each * len(group)]
    return pairs


def without_overlap(
    names: Iterable[RecordingName], read_labels: Callable[[RecordingName], NDArray[np.int64]]
) -> list[RecordingName]:
    """Return the recordings without overlap, by their names or, where these do not say it, by their labels.

    Args:
        names: Names of recordings.
        read_labels: Returns the label rows of a recording.
    """
    return [n for n in names if n.overlap == 1 or (not n.overlap and max_simultaneous(read_labels(n))[1] <= 1)]


def mixture_name(pair: Pair) -> RecordingName:
    """Return the name of a mixture: mix001 and mix002 become aug001002.

    The name keeps `_ov1`, as in the authors' scripts, although two events may be simultaneous.
    """
    first, second = pair
    return RecordingName(first.fold, first.room, first.mix + second.mix, first.overlap, augmented=True)


def mix_audio(first: Recording, second: Recording, name: RecordingName) -> Recording:
    """Mix two recordings of the same format.

    Args:
        first: Recording whose events come first in each frame and occupy the first slot.
        second: Other recording; its tracks continue the numbering of the first one, so that no track has two events.
        name: Name of the mixture.

    Returns:
        The mean of the samples, which cannot clip, with the length of the longer recording; and the labels of both.
    """
    audio = np.zeros((CHANNELS, max(first.audio.shape[1], second.audio.shape[1])), np.float32)
    for part in (first, second):
        audio[:, : part.audio.shape[1]] += 0.5 * part.audio
    return Recording(name, audio, join_labels(first.rows, second.rows))


def join_labels(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join the labels of two recordings.

    Args:
        first: Label rows whose events come first in each frame, shape (lines, 5).
        second: Label rows of the other recording; its tracks continue the numbering of the first one.

    Returns:
        Label rows of both, shape (lines, 5), sorted by frame.
    """
    moved = second.copy()
    moved[:, 2] += first[:, 2].max(initial=-1) + 1
    rows = np.concatenate([first, moved])
    return rows[np.argsort(rows[:, 0], kind="stable")]


def augment_folder(root: Path, part: Part = "dev", progress: Progress = lambda *_: None) -> int:
    """Mix all planned pairs in every format whose folder exists; complete mixtures are kept.

    Args:
        root: Folder of the data set.
        part: Part of the data set, usually `dev`.
        progress: Called after every pair.

    Returns:
        Number of mixtures.

    Raises:
        InputError: If the recordings are incomplete or corrupt, or the disk has too little space for the mixtures.
    """
    formats = [fmt for fmt in FORMATS if sound_folder(root, fmt, part).is_dir()]
    if not formats:
        raise InputError(
            str(root),
            f"the folder must hold {' or '.join(f'{fmt}_{part}' for fmt in FORMATS)}",
            remedy="name the folder that the data set was unpacked to",
        )
    sources = {fmt: RecordingFolder(root, fmt, part, augmented=False) for fmt in formats}
    names = sources[formats[0]].list_names()
    folds = plan_folds(names, None, str(root)).folds["train"] if part == "dev" else TRAINING_FOLDS
    pairs = plan_mixtures(without_overlap(names, sources[formats[0]].read_labels), folds=folds)
    missing = {pair: _missing_mixtures(root, part, formats, mixture_name(pair)) for pair in pairs}
    require_free_disk(root, _BYTES_PER_SOUND * sum(map(len, missing.values())))
    for done, pair in enumerate(pairs, 1):
        if missing[pair]:
            _mix_pair(root, part, pair, {fmt: sources[fmt] for fmt in missing[pair]})
        progress(done, len(pairs))
    return len(pairs)


def _missing_mixtures(root: Path, part: Part, formats: Sequence[Format], name: RecordingName) -> list[Format]:
    """Return the missing formats of a mixture; all of them until its labels exist, which are written last."""
    complete = label_path(root, part, name).is_file()
    return [fmt for fmt in formats if not (complete and sound_path(root, fmt, part, name).is_file())]


def _mix_pair(root: Path, part: Part, pair: Pair, sources: dict[Format, RecordingFolder]) -> None:
    name = mixture_name(pair)
    mixed = {
        fmt: mix_audio(source.read_recording(pair[0]), source.read_recording(pair[1]), name)
        for fmt, source in sources.items()
    }
    sounds = {fmt: mixture.audio for fmt, mixture in mixed.items()}
    rows = next(iter(mixed.values())).rows
    write_recording(root, name, rows=rows, foa=sounds.get("foa"), mic=sounds.get("mic"), part=part)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = Parser(
        prog="python -m datasets.tau2020.mixing",
        description="Mix pairs of training recordings without overlap; the mixtures are written to the same folders as aug….",
        allow_abbrev=False,
    )
    result.add_argument("root", type=Path, help="folder that contains foa_dev, mic_dev and metadata_dev")
    result.add_argument("--part", choices=get_args(Part), default="dev", help="default: dev")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: _run_mixing(arguments))


def _run_mixing(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    line = Console(sys.stdout)

    def progress(done: int, total: int) -> None:
        line.update_progress(f"mixtures {done:,} of {total:,}", final=done == total)

    count = augment_folder(options.root, options.part, progress)
    line.print_line(f"mixtures in {options.root}: {count:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
