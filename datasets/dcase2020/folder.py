"""Recordings in the layout of TAU-NIGENS 2020 as data to train on: a folder of one's own, or what was simulated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from datasets.command import size
from datasets.datasource import DataSource, SplitEntry
from datasets.dcase2020.spec import GROUPS
from datasets.errors import InputError
from datasets.spec import Frozen
from datasets.store import Store

if TYPE_CHECKING:
    from datasets.build import Builder
    from datasets.dcase2020.layout import Format, RecordingName, Recordings


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

    def recordings(self, fmt: Format) -> Recordings:
        """All of them in one format, without mixtures that were added later.

        Raises:
            InputError: If a file is missing, or is not what it should be.
        """
        from datasets.dcase2020.layout import Recordings

        return Recordings(self.root, fmt, augmented=False)

    def names(self, recordings: Recordings, split: str) -> tuple[RecordingName, ...]:
        """Names of a split's recordings.

        Raises:
            KeyError: If there is no such split.
        """
        if split not in self.folds:
            raise KeyError(f"no split {split!r}; there are {sorted(self.folds)}")
        return recordings.names(self.folds[split])


class FolderSpec(Frozen):
    """Recordings that are there already: the real data set, unpacked, or others in its layout."""

    kind: Literal["tau2020"] = "tau2020"
    folder: str = Field("data/tau2020", min_length=1, description="holds foa_dev, mic_dev and metadata_dev")

    def test_names(self) -> tuple[str, ...]:
        """Splits that are tests."""
        return ("test",)


@dataclass(frozen=True)
class FolderRecordings(DataSource):
    """A folder of recordings; nothing is made."""

    unit: ClassVar[str] = "recordings of 60 s"
    ready: ClassVar[str] = "there"

    spec: FolderSpec
    counts: Mapping[str, int]
    digest: str

    @classmethod
    def prepare(cls, spec: FolderSpec, place: str) -> FolderRecordings:
        """Look at the folder: all three splits need recordings, and every recording its labels.

        Raises:
            InputError: If anything is missing or spoilt.
        """
        from datasets.dcase2020.layout import Recordings

        root = Path(spec.folder)
        if not root.is_dir():
            raise InputError(
                place,
                "the folder of recordings must exist",
                value=spec.folder,
                remedy="download them: python -m datasets.fetch --to data/tau2020; or name another folder",
            )
        formats: list[Format] = [fmt for fmt in ("foa", "mic") if (root / f"{fmt}_dev").is_dir()]
        if not formats:
            raise InputError(
                str(root), "the folder needs foa_dev or mic_dev", remedy="unpack the archives into this folder"
            )
        digest = hashlib.sha256()
        counts = dict.fromkeys(GROUPS, 0)
        for fmt in formats:
            found = Recordings(root, fmt, augmented=False)
            for split, folds in GROUPS.items():
                names = found.names(folds)
                counts[split] = len(names)
                if not names:
                    raise InputError(
                        str(root / f"{fmt}_dev"),
                        f"{split} needs recordings of the folds {', '.join(map(str, folds))}",
                        value="none",
                        remedy="unpack all archives of the development set",
                    )
                for name in names:
                    found.labels(name)  # every line is read once, so that no training meets a wrong one
                    digest.update(f"{fmt} {name.stem} {_size(root, fmt, name)}".encode())
        return cls(spec, counts, digest.hexdigest()[:16])

    @property
    def fingerprint(self) -> str:
        """Of the files' names and sizes: hashing 20 GB would take longer than training begins."""
        return self.digest

    def splits(self) -> tuple[SplitEntry, ...]:
        """See the base class."""
        return tuple(
            SplitEntry(name, f"{self.digest}-{name}", count, self.spec.folder) for name, count in self.counts.items()
        )

    def describe(self, store: Store) -> list[str]:
        """See the base class."""
        del store
        return [f"{self.spec.folder:<28} {sum(self.counts.values()):>9,} recordings {size(0)} to be made"]

    def bytes_missing(self, store: Store) -> dict[str, int]:
        """See the base class."""
        del store
        return {}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """See the base class."""
        del builder, verify
        return ()

    def opened(self, store: Store, cache: Path) -> RecordingSet:
        """See the base class."""
        del store
        return RecordingSet(Path(self.spec.folder), dict(GROUPS), self.digest, cache)


def _size(root: Path, fmt: Format, name: RecordingName) -> int:
    from datasets.dcase2020.layout import sound_path

    return sound_path(root, fmt, "dev", name).stat().st_size
