"""Features and labels of the recordings of a split, cut into sequences of a few seconds."""

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
from datasets.tau2020.layout import RecordingFolder, RecordingName
from datasets.tau2020.mixing import Pair, join_labels, mix_audio, mixture_name, plan_mixtures, without_overlap
from datasets.tau2020.provider import RecordingSet
from runtime.files import atomic_write, require_free_disk
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
"""Version of the features; raised whenever the same recording would give different ones."""

_Recording = tuple[RecordingName] | Pair
"""One recording, or two that are mixed."""


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """Recordings of a split with features and labels.

    Attributes:
        features: One file of unscaled features per recording, shape (channels, 3000, 64). Files are opened only while being
            read, since a process may not be allowed as many open files as there are recordings.
        directions: Unit vectors in slots, NaN in empty ones, shape (recordings, 600, sources, 3).
        active: Whether each slot contains an event, shape (recordings, 600, sources).
        ids: Number of the event in each slot, shape (recordings, 600, sources).
    """

    features: tuple[Path, ...]
    directions: NDArray[np.float32]
    active: NDArray[np.bool_]
    ids: NDArray[np.int64]

    def read_batch(
        self, chosen: Sequence[tuple[int, int]], frames: int, scaler: FeatureScaler
    ) -> tuple[Tensor, ReferenceTracks]:
        """Read a batch of sequences.

        Args:
            chosen: Recording and first label frame of each sequence.
            frames: Number of label frames per sequence.
            scaler: Scaling of the features.

        Returns:
            Scaled features, shape (batch, channels, 5 · frames, 64), and labels.
        """
        ratio = FRAMES_PER_LABEL
        opened = {r: np.load(self.features[r], mmap_mode="r") for r in {r for r, _ in chosen}}
        features = np.stack([opened[r][:, start * ratio : (start + frames) * ratio] for r, start in chosen])
        spans = [(r, slice(start, start + frames)) for r, start in chosen]
        reference = ReferenceTracks(
            torch.from_numpy(np.stack([self.directions[r, span] for r, span in spans])),
            torch.from_numpy(np.stack([self.active[r, span] for r, span in spans])),
            torch.from_numpy(np.stack([self.ids[r, span] for r, span in spans])),
        )
        return scaler.scale_features(torch.from_numpy(features)), reference


def load_split(data: RecordingSet, split: str, fmt: Format, sources: int, mixing: int = 0) -> LabelledSequences:
    """Load features and labels of a split; features are computed once for all trials and stored in the cache.

    Args:
        data: Recordings of the dataset.
        split: Name of the split.
        fmt: Format of the recordings.
        sources: Largest number of simultaneous events.
        mixing: Number of mixtures per training recording without overlap; see `datasets.tau2020.mixing.plan_mixtures`.
            Mixtures with more simultaneous events than `sources` are left out. They follow the recordings.

    Raises:
        InputError: If a recording is corrupt, has more than `sources` simultaneous events, or the disk is full.
    """
    recordings = data.open_recordings(fmt)
    names = data.recording_names(recordings, split)
    rows: dict[_Recording, NDArray[np.int64]] = {(name,): recordings.read_labels(name) for name in names}
    slots = [track_slots(rows[name,], sources, str(recordings.label_path(name))) for name in names]
    for pair in plan_mixtures(without_overlap(names, lambda name: rows[name,]), mixing, data.folds.get("train", ())):
        joined = join_labels(*(rows[name,] for name in pair))
        if max_simultaneous(joined)[1] <= sources:
            rows[pair] = joined
            slots.append(track_slots(joined, sources))
    return LabelledSequences(
        _load_features(recordings, rows, data.cache / f"features-{data.fingerprint}-{fmt}-{_VERSION}"),
        np.stack([directions for directions, _ in slots]).astype(np.float32),
        np.stack([active for _, active in slots]),
        np.stack([track_identities(labels, sources) for labels in rows.values()]),
    )


def _load_features(recordings: RecordingFolder, wanted: Iterable[_Recording], folder: Path) -> tuple[Path, ...]:
    """Return the feature files of recordings and mixtures, named after them, and compute missing ones."""
    paths = {
        recording: folder / f"{(recording[0] if len(recording) == 1 else mixture_name(recording)).file_stem}.npy"
        for recording in wanted
    }
    missing = {recording: path for recording, path in paths.items() if not path.is_file()}
    require_free_disk(folder, len(missing) * FEATURE_CHANNELS[recordings.fmt] * FRAMES * FRAMES_PER_LABEL * BANDS * 4)
    folder.mkdir(parents=True, exist_ok=True)
    for recording, path in missing.items():
        audio = torch.from_numpy(_load_audio(recordings, recording))
        features = extract_features(audio[None], recordings.fmt)[0].numpy()
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, features)
    return tuple(paths.values())


def _load_audio(recordings: RecordingFolder, recording: _Recording) -> NDArray[np.float32]:
    if len(recording) == 1:
        return recordings.read_audio(recording[0])
    first, second = (recordings.read_recording(name) for name in recording)
    return mix_audio(first, second, mixture_name(recording)).audio


def fit_split_scaler(train: LabelledSequences) -> FeatureScaler:
    """Fit the scaling of features to the recordings of a split."""
    return fit_scaler(torch.from_numpy(np.load(path)) for path in train.features)


def cut_sequences(recordings: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """Return recording and first label frame of all sequences of recordings, in order.

    Args:
        recordings: Indices of the recordings.
        frames: Number of label frames per sequence; a shorter rest of a recording is left out.
    """
    return [(r, start) for r in recordings for start in range(0, FRAMES - frames + 1, frames)]
