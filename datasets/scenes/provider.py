"""Builds simulated recordings in the layout of TAU-NIGENS 2020: recording by recording, wherever it is made the same bytes."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from datasets.audio import corpus
from datasets.audio.corpus import MusicFile
from datasets.building.manifest import Manifest, ShardEntry
from datasets.building.parts import Shard
from datasets.building.provider import SplitEntry
from datasets.scenes.spec import GROUPS, SceneSpec
from datasets.tau2020 import layout
from datasets.tau2020.layout import RecordingName
from datasets.tau2020.provider import RecordingSet, RecordingProvider
from runtime.cli import format_bytes
from runtime.errors import InputError
from runtime.storage import Store

if TYPE_CHECKING:
    from datasets.building.builder import Builder
    from datasets.tau2020.layout import Format

BYTES: Final = 2 * layout.CHANNELS * layout.SAMPLES * 2
"""Of a recording in both formats."""


@dataclass(frozen=True)
class ScenePlan:
    """Recordings that can be made: what is wanted, and the event sounds, already checked."""

    spec: SceneSpec
    pieces: tuple[MusicFile, ...] | None = None
    sound_files: dict[str, str] | None = None

    @classmethod
    def from_spec(cls, spec: SceneSpec, place: str) -> ScenePlan:
        """Check and hash the event sounds of a spec.

        Raises:
            InputError: If the folder or a sound is missing or unreadable.
        """
        folder = spec.events_folder()
        if folder is None:
            return cls(spec)
        from datasets.scenes import events

        pieces = events.scan_events(folder, place)
        return cls(spec, pieces, corpus.hash_files(pieces, folder))

    @property
    def folder_name(self) -> str:
        """Where in the store: the root of the layout."""
        return f"scenes-{self.spec.fingerprint(self.sound_files)}"

    def list_recordings(self) -> tuple[tuple[int, RecordingName], ...]:
        """Number and name of every recording."""
        from datasets.scenes.synthesis import recordings_of  # loads torch and scipy

        return recordings_of(self.spec)


@dataclass(frozen=True)
class SceneWriter:
    """Everything a process needs to make recordings: calling it sets up."""

    source: ScenePlan
    store: Store

    def __call__(self) -> Callable[[Shard], ShardEntry]:
        """A function that makes and writes one recording."""
        from datasets.scenes import events, synthesis

        sounds = events.gather_events(self.source.spec, self.source.pieces, lambda *_: None)

        def make(shard: Shard) -> ShardEntry:
            name, foa, mic, rows = synthesis.make_recording(self.source.spec, sounds, shard.number)
            with tempfile.TemporaryDirectory() as folder:
                layout.write_recording(Path(folder), name, foa=foa, mic=mic, rows=rows)
                for path in recording_files(name):  # the labels last: where they lie, the recording is whole
                    self.store.write_file(f"{self.source.folder_name}/{path}", (Path(folder) / path).read_bytes())
            return shard_entry(self.store, self.source.folder_name, name)

        return make


def recording_files(name: RecordingName) -> tuple[str, ...]:
    """The files of a recording, relative to the layout's root, its labels last."""
    root = Path()
    sounds = [layout.sound_path(root, fmt, "dev", name) for fmt in layout.FORMATS]
    return tuple(str(path) for path in (*sounds, layout.label_path(root, "dev", name)))


def shard_entry(store: Store, folder: str, name: RecordingName) -> ShardEntry:
    """A recording as the manifest lists it: by its labels, with the size and one checksum of all its files."""
    paths = [f"{folder}/{path}" for path in recording_files(name)]
    digest = hashlib.sha256("".join(store.compute_checksum(path) for path in paths).encode()).hexdigest()
    return ShardEntry(paths[-1], 1, sum(store.file_size(path) or 0 for path in paths), digest)


def is_complete(store: Store, folder: str, name: RecordingName) -> bool:
    """Whether all files of a recording are there."""
    return all(store.file_size(f"{folder}/{path}") is not None for path in recording_files(name))


@dataclass(frozen=True)
class SceneProvider(RecordingProvider):
    """Simulated recordings, as a search and `datasets.generate` handle every kind of data."""

    source: ScenePlan

    @classmethod
    def from_spec(cls, spec: SceneSpec, place: str) -> SceneProvider:
        """See `SceneSource.prepare`."""
        return cls(ScenePlan.from_spec(spec, place))

    @property
    def spec(self) -> SceneSpec:
        """What they are."""
        return self.source.spec

    @property
    def fingerprint(self) -> str:
        """See the base class."""
        return self.source.folder_name.removeprefix("scenes-")

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """See the base class."""
        counts = {name: sum(self.spec.folds.get(fold, 0) for fold in folds) for name, folds in GROUPS.items()}
        return tuple(
            SplitEntry(name, f"{self.fingerprint}-{name}", count, self.source.folder_name)
            for name, count in counts.items()
            if count
        )

    def require_split(self, fmt: Format, sources: int) -> None:
        """See the base class; scenes are made in both formats."""
        del fmt
        for split in ("train", "validate"):
            if not self._has_recording(GROUPS[split]):
                raise InputError(
                    "dataset.folds",
                    f"{split} needs recordings in fold {' or '.join(map(str, GROUPS[split]))}",
                    value=dict(self.spec.folds),
                    remedy=f"--set dataset.folds.{GROUPS[split][0]}=10",
                )
        most = self.spec.max_simultaneous()
        if most > sources:
            raise InputError(
                "dataset.max_overlap",
                f"at most {sources} events may sound at once where max_sources is {sources}",
                value=most,
                remedy=f"--set dataset.max_overlap={sources}, or raise max_sources",
            )

    def describe_parts(self, store: Store) -> list[str]:
        """See the base class."""
        count = sum(self.spec.folds.values())
        there = "" if self.missing_bytes(store) else "  (there)"
        return [
            f"{self.source.folder_name:<28} {count:>9,} recordings of 60 s in FOA and MIC {format_bytes(count * BYTES)}{there}"
        ]

    def missing_bytes(self, store: Store) -> dict[str, int]:
        """See the base class."""
        folder = self.source.folder_name
        if Manifest.read(store, folder) is not None and self._missing_recordings(store) == 0:
            return {}
        return {folder: self._missing_recordings(store) * BYTES or BYTES}

    def _missing_recordings(self, store: Store) -> int:
        return sum(not is_complete(store, self.source.folder_name, name) for _, name in self.source.list_recordings())

    def estimate_seconds(self, workers: int) -> float:
        """See the base class; from making one recording right now."""
        with tempfile.TemporaryDirectory() as folder:
            make = SceneWriter(self.source, Store(f"{folder}/datasets"))()
            started = time.perf_counter()
            make(Shard(self.source.folder_name, 0, 1))
            return (time.perf_counter() - started) * sum(self.spec.folds.values()) / workers

    def open_dataset(self, store: Store, cache: Path) -> RecordingSet:
        """See the base class."""
        folder = self.source.folder_name
        manifest = Manifest.read(store, folder)
        if manifest is None:
            raise InputError(
                f"{store.name}/{folder}",
                "the recordings must be there",
                remedy="make them: python -m datasets.generate",
            )
        if not store.is_local:
            for _, name in self.source.list_recordings():
                for path in recording_files(name):
                    store.copy_to(f"{folder}/{path}", cache / folder / path)
        root = store.local_path(folder) if store.is_local else cache / folder
        folds = {name: folds for name, folds in GROUPS.items() if self._has_recording(folds)}
        return RecordingSet(root, folds, self.fingerprint, cache)

    def _has_recording(self, folds: Sequence[int]) -> bool:
        return any(self.spec.folds.get(fold, 0) for fold in folds)

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """See the base class."""
        with builder.store.build_lock():
            return self._build_missing(builder, verify=verify)

    def _build_missing(self, builder: Builder, *, verify: bool) -> tuple[str, ...]:
        store, folder = builder.store, self.source.folder_name
        names = {
            f"{folder}/{recording_files(name)[-1]}": (number, name) for number, name in self.source.list_recordings()
        }
        manifest = Manifest.read(store, folder)
        known = {} if manifest is None else {entry.name: entry for entry in manifest.shards}
        entries: dict[str, ShardEntry] = {}
        damaged = []
        for label, (_, name) in names.items():
            found = self._verify_recordings(store, name, known.get(label), verify=verify)
            if found is not None:
                entries[label] = found
            elif label in known:
                damaged.append(label)
        todo = [Shard(folder, number, 1) for label, (number, _) in names.items() if label not in entries]
        for made in builder.over(SceneWriter(self.source, store), todo) if todo else ():
            entries[made.name] = made
            builder.progress("recordings", len(entries), len(names))
        if todo or entries != known:  # what was found whole keeps the word of who made it
            described: dict[str, Any] = self.spec.model_dump(mode="json")
            described["events"] = "procedural" if self.source.pieces is None else "files"
            in_order = (entries[name] for name in sorted(entries))
            Manifest.write(store, folder, described, self.source.sound_files, in_order)
        return tuple(damaged)

    def _verify_recordings(
        self, store: Store, name: RecordingName, known: ShardEntry | None, *, verify: bool
    ) -> ShardEntry | None:
        """A recording that is there and is what it should be."""
        if not is_complete(store, self.source.folder_name, name):
            return None
        if known is not None and not verify:
            return known
        entry = shard_entry(store, self.source.folder_name, name)
        return entry if known is None or known.sha256 == entry.sha256 else None
