"""Recordings as sequences: features and labels of a split, cut into stretches of some seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.atomic import replacing
from datasets.dcase2020.folder import RecordingSet
from datasets.dcase2020.labels import FRAMES, slots
from datasets.dcase2020.layout import RecordingName, Recordings, label_path
from trainables.doanet.config import Format
from trainables.doanet.features import FRAMES_PER_LABEL, Scaler, extract, fit_scaler
from trainables.doanet.targets import Reference, identities

_VERSION: Final = 1
"""Raised whenever the same recording would give other features."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """The recordings of a split.

    Attributes:
        features: One a recording, shape (channels, 3000, 64), memory-mapped, unscaled.
        directions: Unit vectors in slots, NaN where empty; shape (recordings, 600, sources, 3).
        active: Which slots hold an event, shape (recordings, 600, sources).
        ids: The event in each slot, shape (recordings, 600, sources).
    """

    features: tuple[NDArray[np.float32], ...]
    directions: NDArray[np.float32]
    active: NDArray[np.bool_]
    ids: NDArray[np.int64]

    def batch(self, chosen: Sequence[tuple[int, int]], frames: int, scaler: Scaler) -> tuple[Tensor, Reference]:
        """Sequences by recording and first label frame.

        Args:
            chosen: Which.
            frames: Label frames of each.
            scaler: Applied to the features.

        Returns:
            Features, shape (batch, channels, 5 · frames, 64), and labels.
        """
        ratio = FRAMES_PER_LABEL
        heard = np.stack([self.features[r][:, start * ratio : (start + frames) * ratio] for r, start in chosen])
        cut = [(r, slice(start, start + frames)) for r, start in chosen]
        reference = Reference(
            torch.from_numpy(np.stack([self.directions[r, span] for r, span in cut])),
            torch.from_numpy(np.stack([self.active[r, span] for r, span in cut])),
            torch.from_numpy(np.stack([self.ids[r, span] for r, span in cut])),
        )
        return scaler.scale(torch.from_numpy(heard)), reference


def load_split(data: RecordingSet, split: str, fmt: Format, sources: int) -> Labelled:
    """Features and labels of a split; features are computed once for all trials, and kept.

    Raises:
        InputError: If a recording is spoilt, or more events sound at once than there are sources.
    """
    recordings = data.recordings(fmt)
    names = data.names(recordings, split)
    folder = data.cache / f"features-{data.fingerprint}-{fmt}-{_VERSION}"
    labels = [recordings.labels(name) for name in names]
    placed = [
        slots(rows, sources, str(label_path(data.root, "dev", name))) for name, rows in zip(names, labels, strict=True)
    ]
    return Labelled(
        tuple(_features(recordings, name, folder, fmt) for name in names),
        np.stack([directions for directions, _ in placed]).astype(np.float32),
        np.stack([active for _, active in placed]),
        np.stack([identities(rows, sources) for rows in labels]),
    )


def _features(recordings: Recordings, name: RecordingName, folder: Path, fmt: Format) -> NDArray[np.float32]:
    path = folder / f"{name.stem}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found = extract(torch.from_numpy(recordings.audio(name))[None], fmt)[0].numpy()
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return mapped


def scaler_of(train: Labelled) -> Scaler:
    """Mean and deviation of the training recordings alone."""
    return fit_scaler(torch.from_numpy(np.array(features)) for features in train.features)


def cut(recordings: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """All sequences of some recordings, in order: recording and first label frame."""
    return [(r, start) for r in recordings for start in range(0, FRAMES - frames + 1, frames)]
