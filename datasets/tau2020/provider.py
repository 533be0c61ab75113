"""Recordings in the layout of TAU-NIGENS 2020 as data to train on: a folder of one's own, or what was simulated."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.tau2020.spec import GROUPS, FolderSpec
from runtime.cli import format_bytes
from runtime.errors import InputError
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder
    from datasets.tau2020.layout import Format, RecordingFolder, RecordingName


@dataclass(frozen=True)
class RecordingSet:
    """Recordings that lie on this machine.

    Attributes:
        root: The folder that holds `foa_dev/`, `metadata_dev/` and so on.
        folds: Folds of each split.
        fingerprint: Of their content.
        cache: Folder for what can be computed from them again, such as features.
    """

    root: Path
    folds: Mapping[str, tuple[int, ...]]
    fingerprint: str
    cache: Path

    def open_recordings(self, fmt: Format) -> RecordingFolder:
        """All of them in one format, without mixtures that were added later.

        Raises:
            InputError: If a file is missing, or is not what it should be.
        """
        from datasets.tau2020.layout import RecordingFolder

        return RecordingFolder(self.root, fmt, augmented=False)

    def recording_names(self, recordings: RecordingFolder, split: str) -> tuple[RecordingName, ...]:
        """Names of a split's recordings.

        Raises:
            KeyError: If there is no such split.
        """
        if split not in self.folds:
            raise KeyError(f"no split {split!r}; there are {sorted(self.folds)}")
        return recordings.list_names(self.folds[split])


class RecordingProvider(DatasetProvider):
    """Recordings in this layout, lying there already or to be made."""

    unit: ClassVar[str] = "recordings of 60 s"

    @abstractmethod
    def require_split(self, fmt: Format, sources: int) -> None:
        """Refuse what cannot be trained on.

        Args:
            fmt: The format that is wanted.
            sources: How many simultaneous events can be held.

        Raises:
            InputError: If recordings lack the format, or in one of them more events sound at once.
        """


@dataclass(frozen=True)
class FolderProvider(RecordingProvider):
    """A folder of recordings; nothing is made.

    Attributes:
        spec: Names it.
        formats: Those it has.
        counts: Recordings of each split.
        busiest: Each csv with its busiest frame and the events in that.
        digest: See `fingerprint`.
    """

    ready: ClassVar[str] = "there"

    spec: FolderSpec
    formats: tuple[Format, ...]
    counts: Mapping[str, int]
    busiest: tuple[tuple[str, int, int], ...]
    digest: str

    @classmethod
    def from_spec(cls, spec: FolderSpec, place: str) -> FolderProvider:
        """Look at the folder: all three splits need recordings, and every recording its labels.

        Raises:
            InputError: If anything is missing or spoilt.
        """
        from datasets.tau2020.labels import max_simultaneous
        from datasets.tau2020.layout import RecordingFolder, label_path

        root = Path(spec.folder)
        if not root.is_dir():
            raise InputError(
                place,
                "the folder of recordings must exist",
                value=spec.folder,
                remedy="download them: python -m datasets.fetch --to data/tau2020; or name another folder",
            )
        formats: tuple[Format, ...] = tuple(fmt for fmt in ("foa", "mic") if (root / f"{fmt}_dev").is_dir())
        if not formats:
            raise InputError(
                str(root), "the folder needs foa_dev or mic_dev", remedy="unpack the archives into this folder"
            )
        found, *_ = [RecordingFolder(root, fmt, augmented=False) for fmt in formats]  # each holds the same recordings
        names = {split: found.list_names(folds) for split, folds in GROUPS.items()}
        for split, folds in GROUPS.items():
            if not names[split]:
                raise InputError(
                    str(root / f"{formats[0]}_dev"),
                    f"{split} needs recordings called {' or '.join(f'fold{fold}_…' for fold in folds)}",
                    value="none",
                    remedy="unpack all archives of the development set",
                )
        everything = [name for split in GROUPS for name in names[split]]
        # Every line is read once, so that no training meets a wrong one.
        peaks = tuple(
            (str(label_path(root, "dev", name)), *max_simultaneous(found.read_labels(name))) for name in everything
        )
        digest = hashlib.sha256()
        for fmt in formats:
            for name in everything:
                digest.update(f"{fmt} {name.file_stem} {_folder_bytes(root, fmt, name)}".encode())
        return cls(spec, formats, {split: len(names[split]) for split in GROUPS}, peaks, digest.hexdigest()[:16])

    def require_split(self, fmt: Format, sources: int) -> None:
        """See the base class."""
        from datasets.tau2020.labels import require_slots

        if fmt not in self.formats:
            raise InputError(
                f"{self.spec.folder}/{fmt}_dev",
                "the folder must exist where a network hears this format",
                value=f"format: {fmt}",
                remedy=f"unpack {fmt}_dev too, or train with  format: {self.formats[0]}",
            )
        for place, frame, events in self.busiest:
            require_slots(frame, events, sources, place)

    @property
    def fingerprint(self) -> str:
        """Of the files' names and sizes: hashing 20 GB would take longer than training begins."""
        return self.digest

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """See the base class."""
        return tuple(
            SplitEntry(name, f"{self.digest}-{name}", count, self.spec.folder) for name, count in self.counts.items()
        )

    def describe_parts(self, store: Storage) -> list[str]:
        """See the base class."""
        del store
        return [f"{self.spec.folder:<28} {sum(self.counts.values()):>9,} recordings {format_bytes(0)} to be made"]

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """See the base class."""
        del store
        return {}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """See the base class."""
        del builder, verify
        return ()

    def open_dataset(self, store: Storage, cache: Path) -> RecordingSet:
        """See the base class."""
        del store
        return RecordingSet(Path(self.spec.folder), dict(GROUPS), self.digest, cache)


def _folder_bytes(root: Path, fmt: Format, name: RecordingName) -> int:
    from datasets.tau2020.layout import sound_path

    return sound_path(root, fmt, "dev", name).stat().st_size
