"""Recordings as sequences: features and labels of a split, cut into stretches of some seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.tau2020.labels import FRAMES, max_simultaneous, track_slots
from datasets.tau2020.layout import RecordingName, RecordingFolder, label_path
from datasets.tau2020.mixing import Pair, join_labels, mix_audio, mixture_name, plan_mixtures
from datasets.tau2020.provider import RecordingSet
from runtime.cli import require_free_disk
from runtime.files import atomic_write
from trainables.doanet.config import Format
from trainables.doanet.features import (
    BANDS,
    FEATURE_CHANNELS,
    FRAMES_PER_LABEL,
    FeatureScaler,
    extract_features,
    fit_scaler,
)
from trainables.doanet.targets import ReferenceTracks, track_identities

_VERSION: Final = 1
"""Raised whenever the same recording would give other features."""

_Heard = tuple[RecordingName] | Pair
"""A recording, or two that are mixed."""


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """The recordings of a split.

    Attributes:
        features: A file a recording, of shape (channels, 3000, 64), unscaled. They are opened when they are read: a process
            may not hold as many open files as there are recordings.
        directions: Unit vectors in slots, NaN where empty; shape (recordings, 600, sources, 3).
        active: Which slots hold an event, shape (recordings, 600, sources).
        ids: The event in each slot, shape (recordings, 600, sources).
    """

    features: tuple[Path, ...]
    directions: NDArray[np.float32]
    active: NDArray[np.bool_]
    ids: NDArray[np.int64]

    def read_batch(
        self, chosen: Sequence[tuple[int, int]], frames: int, scaler: FeatureScaler
    ) -> tuple[Tensor, ReferenceTracks]:
        """Sequences by recording and first label frame.

        Args:
            chosen: Which.
            frames: Label frames of each.
            scaler: Applied to the features.

        Returns:
            Features, shape (batch, channels, 5 · frames, 64), and labels.
        """
        ratio = FRAMES_PER_LABEL
        opened = {r: np.load(self.features[r], mmap_mode="r") for r in {r for r, _ in chosen}}
        heard = np.stack([opened[r][:, start * ratio : (start + frames) * ratio] for r, start in chosen])
        cut = [(r, slice(start, start + frames)) for r, start in chosen]
        reference = ReferenceTracks(
            torch.from_numpy(np.stack([self.directions[r, span] for r, span in cut])),
            torch.from_numpy(np.stack([self.active[r, span] for r, span in cut])),
            torch.from_numpy(np.stack([self.ids[r, span] for r, span in cut])),
        )
        return scaler.scale_features(torch.from_numpy(heard)), reference


def load_split(data: RecordingSet, split: str, fmt: Format, sources: int, mixing: int = 0) -> LabelledSequences:
    """Features and labels of a split; features are computed once for all trials, and kept.

    Args:
        data: The recordings.
        split: Name of the split.
        fmt: The format that is heard.
        sources: How many events may sound at once.
        mixing: How many mixtures there are for each training recording without overlap; see `datasets.tau2020.mixing.plan`.
            Those with more events at once than `sources` are left out. They come after the recordings.

    Raises:
        InputError: If a recording is spoilt, more events sound at once than there are sources, or the disk is full.
    """
    recordings = data.open_recordings(fmt)
    names = data.recording_names(recordings, split)
    rows: dict[_Heard, NDArray[np.int64]] = {(name,): recordings.read_labels(name) for name in names}
    placed = [track_slots(rows[name,], sources, str(label_path(data.root, "dev", name))) for name in names]
    for pair in plan_mixtures(names, mixing):
        joined = join_labels(*(rows[name,] for name in pair))
        if max_simultaneous(joined)[1] <= sources:
            rows[pair] = joined
            placed.append(track_slots(joined, sources))
    return LabelledSequences(
        _load_features(recordings, rows, data.cache / f"features-{data.fingerprint}-{fmt}-{_VERSION}"),
        np.stack([directions for directions, _ in placed]).astype(np.float32),
        np.stack([active for _, active in placed]),
        np.stack([track_identities(found, sources) for found in rows.values()]),
    )


def _load_features(recordings: RecordingFolder, wanted: Iterable[_Heard], folder: Path) -> tuple[Path, ...]:
    """Files with the features of recordings and of pairs that are heard together, each named after what it is of."""
    paths = {
        heard: folder / f"{(heard[0] if len(heard) == 1 else mixture_name(heard)).file_stem}.npy" for heard in wanted
    }
    missing = {heard: path for heard, path in paths.items() if not path.is_file()}
    require_free_disk(folder, len(missing) * FEATURE_CHANNELS[recordings.fmt] * FRAMES * FRAMES_PER_LABEL * BANDS * 4)
    folder.mkdir(parents=True, exist_ok=True)
    for heard, path in missing.items():
        found = extract_features(torch.from_numpy(_load_audio(recordings, heard))[None], recordings.fmt)[0].numpy()
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    return tuple(paths.values())


def _load_audio(recordings: RecordingFolder, heard: _Heard) -> NDArray[np.float32]:
    if len(heard) == 1:
        return recordings.read_audio(heard[0])
    first, second = (recordings.read_recording(name) for name in heard)
    return mix_audio(first, second, mixture_name(heard)).audio


def fit_split_scaler(train: LabelledSequences) -> FeatureScaler:
    """Mean and deviation of the training recordings alone."""
    return fit_scaler(torch.from_numpy(np.load(path)) for path in train.features)


def cut_sequences(recordings: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """All sequences of some recordings, in order: recording and first label frame."""
    return [(r, start) for r in recordings for start in range(0, FRAMES - frames + 1, frames)]
