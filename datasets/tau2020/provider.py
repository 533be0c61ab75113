"""Provider of recordings in the layout of TAU-NIGENS 2020, and their form for the trainables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.tau2020.spec import FolderSpec
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.storage import Storage
from runtime.uris import expand_home

if TYPE_CHECKING:
    from datasets.tau2020.folds import FoldPlan
    from datasets.tau2020.layout import Format, RecordingFolder, RecordingName


@dataclass(frozen=True)
class RecordingSet:
    """Recordings in local storage.

    Attributes:
        root: Folder that contains `foa_dev/`, `metadata_dev/` and so on.
        folds: Folds of each split.
        fingerprint: Identity of the content.
        cache: Folder for files that can be computed from the recordings, such as features.
        held_out: Fold and room of validation recordings whose fold is also one of training.
    """

    root: Path
    folds: Mapping[str, tuple[int, ...]]
    fingerprint: str
    cache: Path
    held_out: tuple[tuple[int, int], ...] = ()

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
        from datasets.tau2020.folds import select_names

        return select_names(recordings.list_names(), split, self.folds, self.held_out)


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
        fold_plan: Folds of each split.
        notes: Lines of text about the recordings, for the plan.
    """

    ready: ClassVar[str] = "there"

    spec: FolderSpec
    formats: tuple[Format, ...]
    counts: Mapping[str, int]
    busiest: tuple[tuple[str, int, int], ...]
    digest: str
    fold_plan: FoldPlan
    notes: tuple[str, ...] = ()

    @classmethod
    def from_spec(cls, spec: FolderSpec, location: str) -> FolderProvider:
        """Check a folder: all three splits need recordings, and every recording its labels.

        Args:
            spec: Description of the dataset.
            location: Option or key that names the folder, for errors.

        Raises:
            InputError: If files are missing or corrupt; all of them are listed.
        """
        from datasets.tau2020.survey import survey_folder

        root = expand_home(spec.folder)
        if not root.is_dir():
            raise InputError(
                location,
                "the folder of recordings must exist",
                value=spec.folder,
                remedy="download them: python -m datasets.fetch --to data/tau2020; or name another folder",
            )
        survey = survey_folder(root, None if spec.folds is None else spec.folds.by_split())
        counts = {split: len(names) for split, names in survey.names.items()}
        return cls(spec, survey.formats, counts, survey.busiest, survey.digest, survey.fold_plan, survey.notes)

    def require_split(self, fmt: Format, sources: int) -> None:
        """Check that the recordings can be trained on; see the Args of `RecordingProvider.require_split`.

        Raises:
            InputError: If the format is missing, or recordings have more simultaneous events; all of them are listed.
        """
        from datasets.tau2020.survey import require_all_slots

        if fmt not in self.formats:
            raise InputError(
                f"{self.spec.folder}/{fmt}_dev",
                "the folder of the network's input format must exist",
                value=f"format: {fmt}",
                remedy=f"unpack {fmt}_dev too, or train with  format: {self.formats[0]}",
            )
        require_all_slots(self.spec.folder, self.busiest, sources)

    @property
    def fingerprint(self) -> str:
        """Identity of the names and sizes of the files; hashing 20 GB of content would delay the training."""
        return self.digest

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""
        return tuple(
            SplitEntry(name, f"{self.digest}-{name}", count, self.spec.folder) for name, count in self.counts.items()
        )

    def describe_notes(self) -> list[str]:
        """Return the folds of the splits, and what is left out of the recordings."""
        return [self.fold_plan.describe(), *self.notes]

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text."""
        del store
        return [f"{self.spec.folder:<28} {sum(self.counts.values()):>9,} recordings {format_bytes(0)} to be made"]

    def open_dataset(self, store: Storage, cache: Path) -> RecordingSet:
        """Open the recordings."""
        del store
        plan = self.fold_plan
        return RecordingSet(expand_home(self.spec.folder), dict(plan.folds), self.digest, cache, plan.held_out)
