"""Provider of simulated scenes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.audio.summary import summarise_corpus
from datasets.building.manifest import Manifest
from datasets.building.parts import Shard
from datasets.building.provider import SplitEntry
from datasets.scenes.plan import RECORDING_BYTES, ScenePlan, recording_files
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.provider import RecordingProvider, RecordingSet
from datasets.tau2020.spec import GROUPS
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.storage import Storage, storage_at

if TYPE_CHECKING:
    from datasets.building.builder import Builder
    from datasets.tau2020.layout import Format


@dataclass(frozen=True)
class SceneProvider(RecordingProvider):
    """Provider of simulated scenes.

    Attributes:
        plan: Plan of the scenes.
    """

    plan: ScenePlan

    @classmethod
    def from_spec(cls, spec: SceneSpec, location: str) -> SceneProvider:
        """Check and hash the event sounds of a description; see `ScenePlan.from_spec`."""
        return cls(ScenePlan.from_spec(spec, location))

    @property
    def spec(self) -> SceneSpec:
        """Description of the scenes."""
        return self.plan.spec

    @property
    def fingerprint(self) -> str:
        """Identity of the recordings."""
        return self.plan.fingerprint

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits that have recordings, training first."""
        counts = {name: sum(self.spec.folds.get(fold, 0) for fold in folds) for name, folds in GROUPS.items()}
        return tuple(
            SplitEntry(name, f"{self.fingerprint}-{name}", count, self.plan.folder_name)
            for name, count in counts.items()
            if count
        )

    def require_split(self, fmt: Format, sources: int) -> None:
        """Check that scenes can be trained on; they have both formats.

        Args:
            fmt: Format of the network's input.
            sources: Maximum number of simultaneous events of the network.

        Raises:
            InputError: If training or validation has no recordings, or more events may sound at once.
        """
        del fmt
        for split in ("train", "validate"):
            if not self._has_recordings(GROUPS[split]):
                raise InputError(
                    "dataset.folds",
                    f"{split} needs recordings in fold {' or '.join(map(str, GROUPS[split]))}",
                    value=dict(self.spec.folds),
                    remedy=f"--set dataset.folds.{GROUPS[split][0]}=10",
                )
        max_events = self.spec.max_simultaneous()
        if max_events > sources:
            raise InputError(
                "dataset.max_overlap",
                f"at most {sources} events may sound at once where max_sources is {sources}",
                value=max_events,
                remedy=f"--set dataset.max_overlap={sources}, or raise max_sources",
            )

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text: the folder, its size, and whether it is built."""
        count = sum(self.spec.folds.values())
        built = "" if self.missing_bytes(store) else "  (there)"
        size = format_bytes(count * RECORDING_BYTES)
        return [f"{self.plan.folder_name:<28} {count:>9,} recordings of 60 s in FOA and MIC {size}{built}"]

    def describe_notes(self) -> list[str]:
        """Return the classes, files and minutes of the folder of events, and what is left out, line by line."""
        return [] if self.plan.corpus is None else summarise_corpus(self.plan.corpus)

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return the size of the recordings to be made, in bytes by folder; empty if the dataset is complete."""
        folder = self.plan.folder_name
        missing = self.plan.count_missing(store)
        if missing == 0 and Manifest.read(store, folder) is not None:
            return {}
        return {folder: missing * RECORDING_BYTES or RECORDING_BYTES}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Build the missing recordings; return the names of the damaged ones, which have been rebuilt."""
        return builder.build(self.plan, verify=verify)

    def estimate_seconds(self, workers: int) -> float:
        """Estimate the duration of a complete build, in seconds, by rendering one recording in this process."""
        with tempfile.TemporaryDirectory() as folder:
            write_recording = self.plan.writer_factory(storage_at(f"{folder}/datasets"), Path(folder))()
            started = time.perf_counter()
            write_recording(Shard(self.plan.folder_name, 0, 1))
            return (time.perf_counter() - started) * sum(self.spec.folds.values()) / workers

    def open_dataset(self, store: Storage, cache: Path) -> RecordingSet:
        """Open the recordings; those in a bucket are copied to the cache once.

        Raises:
            InputError: If the recordings have not been made.
        """
        folder = self.plan.folder_name
        if Manifest.read(store, folder) is None:
            raise InputError(
                f"{store.name}/{folder}",
                "the recordings must be there",
                remedy="make them: python -m datasets.generate",
            )
        if not store.is_local:
            for _, name in self.plan.list_recordings():
                for path in recording_files(name):
                    store.copy_to(f"{folder}/{path}", cache / folder / path)
        root = store.local_path(folder) if store.is_local else cache / folder
        folds = {name: folds for name, folds in GROUPS.items() if self._has_recordings(folds)}
        return RecordingSet(root, folds, self.fingerprint, cache)

    def _has_recordings(self, folds: Sequence[int]) -> bool:
        return any(self.spec.folds.get(fold, 0) for fold in folds)
