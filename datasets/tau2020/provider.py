"""Provider of recordings in the layout of TAU-NIGENS 2020, and their form for the trainables."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.tau2020.spec import GROUPS, FolderSpec
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder
    from datasets.tau2020.layout import Format, RecordingFolder, RecordingName


@dataclass(frozen=True)
class RecordingSet:
    """Recordings in local storage.

    Attributes:
        root: Folder that contains `foa_dev/`, `metadata_dev/` and so on.
        folds: Folds of each split.
        fingerprint: Identity of the content.
        cache: Folder for files that can be computed from the recordings, such as features.
    """

    root: Path
    folds: Mapping[str, tuple[int, ...]]
    fingerprint: str
    cache: Path

    def open_recordings(self, fmt: Format) -> RecordingFolder:
        """Open the recordings in one format, without augmented ones.

        Raises:
            InputError: If a file is missing or invalid.
        """
        from datasets.tau2020.layout import RecordingFolder

        return RecordingFolder(self.root, fmt, augmented=False)

    def recording_names(self, recordings: RecordingFolder, split: str) -> tuple[RecordingName, ...]:
        """Return the names of the recordings of a split.

        Raises:
            KeyError: If there is no such split.
        """
        if split not in self.folds:
            raise KeyError(f"no split {split!r}; there are {sorted(self.folds)}")
        return recordings.list_names(self.folds[split])


class RecordingProvider(DatasetProvider):
    """Provider of recordings in this layout, existing or to be simulated."""

    unit: ClassVar[str] = "recordings of 60 s"

    @abstractmethod
    def require_split(self, fmt: Format, sources: int) -> None:
        """Check that the recordings can be trained on.

        Args:
            fmt: Format of the network's input.
            sources: Maximum number of simultaneous events of the network.

        Raises:
            InputError: If the format is missing, or a recording has more simultaneous events.
        """


@dataclass(frozen=True)
class FolderProvider(RecordingProvider):
    """Provider of an existing folder of recordings.

    Attributes:
        spec: Description of the dataset.
        formats: Formats that are present.
        counts: Number of recordings of each split.
        busiest: Path of each label file, its frame with the most events, and their number.
        digest: Value of `fingerprint`.
    """

    ready: ClassVar[str] = "there"

    spec: FolderSpec
    formats: tuple[Format, ...]
    counts: Mapping[str, int]
    busiest: tuple[tuple[str, int, int], ...]
    digest: str

    @classmethod
    def from_spec(cls, spec: FolderSpec, location: str) -> FolderProvider:
        """Check a folder: all three splits need recordings, and every recording its labels.

        Args:
            spec: Description of the dataset.
            location: Option or key that names the folder, for errors.

        Raises:
            InputError: If a file is missing or corrupt.
        """
        from datasets.tau2020.labels import max_simultaneous
        from datasets.tau2020.layout import RecordingFolder, label_path

        root = Path(spec.folder)
        if not root.is_dir():
            raise InputError(
                location,
                "the folder of recordings must exist",
                value=spec.folder,
                remedy="download them: python -m datasets.fetch --to data/tau2020; or name another folder",
            )
        formats: tuple[Format, ...] = tuple(fmt for fmt in ("foa", "mic") if (root / f"{fmt}_dev").is_dir())
        if not formats:
            raise InputError(
                str(root), "the folder needs foa_dev or mic_dev", remedy="unpack the archives into this folder"
            )
        recordings, *_ = [
            RecordingFolder(root, fmt, augmented=False) for fmt in formats
        ]  # all formats have the same recordings
        names = {split: recordings.list_names(folds) for split, folds in GROUPS.items()}
        for split, folds in GROUPS.items():
            if not names[split]:
                raise InputError(
                    str(root / f"{formats[0]}_dev"),
                    f"{split} needs recordings called {' or '.join(f'fold{fold}_…' for fold in folds)}",
                    value="none",
                    remedy="unpack all archives of the development set",
                )
        everything = [name for split in GROUPS for name in names[split]]
        # All lines are read once, so that no training fails on an invalid one.
        peaks = tuple(
            (str(label_path(root, "dev", name)), *max_simultaneous(recordings.read_labels(name))) for name in everything
        )
        digest = hashlib.sha256()
        for fmt in formats:
            for name in everything:
                digest.update(f"{fmt} {name.file_stem} {_folder_bytes(root, fmt, name)}".encode())
        return cls(spec, formats, {split: len(names[split]) for split in GROUPS}, peaks, digest.hexdigest()[:16])

    def require_split(self, fmt: Format, sources: int) -> None:
        """Check that the recordings can be trained on; see the Args of `RecordingProvider.require_split`.

        Raises:
            InputError: If the format is missing, or a recording has more simultaneous events.
        """
        from datasets.tau2020.labels import require_slots

        if fmt not in self.formats:
            raise InputError(
                f"{self.spec.folder}/{fmt}_dev",
                "the folder of the network's input format must exist",
                value=f"format: {fmt}",
                remedy=f"unpack {fmt}_dev too, or train with  format: {self.formats[0]}",
            )
        for path, frame, events in self.busiest:
            require_slots(frame, events, sources, path)

    @property
    def fingerprint(self) -> str:
        """Identity of the names and sizes of the files; hashing 20 GB of content would delay the training."""
        return self.digest

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""
        return tuple(
            SplitEntry(name, f"{self.digest}-{name}", count, self.spec.folder) for name, count in self.counts.items()
        )

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text."""
        del store
        return [f"{self.spec.folder:<28} {sum(self.counts.values()):>9,} recordings {format_bytes(0)} to be made"]

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return an empty dictionary: nothing is built."""
        del store
        return {}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Build nothing."""
        del builder, verify
        return ()

    def open_dataset(self, store: Storage, cache: Path) -> RecordingSet:
        """Open the recordings."""
        del store
        return RecordingSet(Path(self.spec.folder), dict(GROUPS), self.digest, cache)


def _folder_bytes(root: Path, fmt: Format, name: RecordingName) -> int:
    from datasets.tau2020.layout import sound_path

    return sound_path(root, fmt, "dev", name).stat().st_size
