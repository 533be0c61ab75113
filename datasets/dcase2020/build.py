"""Builds simulated recordings in the layout of TAU-NIGENS 2020: recording by recording, wherever it is made the same bytes."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from datasets import library
from datasets.blueprint import Shard
from datasets.command import size
from datasets.dcase2020 import layout
from datasets.dcase2020.layout import RecordingName
from datasets.dcase2020.spec import SceneSpec
from datasets.library import Piece
from datasets.manifest import MANIFEST, Manifest, ShardEntry
from datasets.store import Store

BYTES: Final = 2 * layout.CHANNELS * layout.SAMPLES * 2
"""Of a recording in both formats."""

Over = Callable[[Callable[[], Callable[[Shard], ShardEntry]], Sequence[Shard]], Iterator[ShardEntry]]


@dataclass(frozen=True)
class SceneSource:
    """Recordings that can be made: what is wanted, and the event sounds, already checked."""

    spec: SceneSpec
    pieces: tuple[Piece, ...] | None = None
    sound_files: dict[str, str] | None = None

    @classmethod
    def prepare(cls, spec: SceneSpec, place: str) -> SceneSource:
        """Check and hash the event sounds of a spec.

        Raises:
            InputError: If the folder or a sound is missing or unreadable.
        """
        folder = spec.events_folder()
        if folder is None:
            return cls(spec)
        from datasets.dcase2020 import events

        pieces = events.scan(folder, place)
        return cls(spec, pieces, library.hashes(pieces, folder))

    @property
    def folder(self) -> str:
        """Where in the store: the root of the layout."""
        return f"scenes-{self.spec.fingerprint(self.sound_files)}"

    def recordings(self) -> tuple[tuple[int, RecordingName], ...]:
        """Number and name of every recording."""
        from datasets.dcase2020.synthesis import recordings_of  # loads torch and scipy

        return recordings_of(self.spec)


@dataclass(frozen=True)
class SceneWorkshop:
    """Everything a process needs to make recordings: calling it sets up."""

    source: SceneSource
    store: Store

    def __call__(self) -> Callable[[Shard], ShardEntry]:
        """A function that makes and writes one recording."""
        from datasets.dcase2020 import events, synthesis

        sounds = events.gather(self.source.spec, self.source.pieces, lambda *_: None)

        def make(shard: Shard) -> ShardEntry:
            name, foa, mic, rows = synthesis.make_recording(self.source.spec, sounds, shard.number)
            with tempfile.TemporaryDirectory() as folder:
                layout.write_recording(Path(folder), name, foa=foa, mic=mic, rows=rows)
                for path in files_of(name):  # the labels last: where they lie, the recording is whole
                    self.store.write(f"{self.source.folder}/{path}", (Path(folder) / path).read_bytes())
            return entry_of(self.store, self.source.folder, name)

        return make


def files_of(name: RecordingName) -> tuple[str, ...]:
    """The files of a recording, relative to the layout's root, its labels last."""
    root = Path()
    sounds = [layout.sound_path(root, fmt, "dev", name) for fmt in layout.FORMATS]
    return tuple(str(path) for path in (*sounds, layout.label_path(root, "dev", name)))


def entry_of(store: Store, folder: str, name: RecordingName) -> ShardEntry:
    """A recording as the manifest lists it: by its labels, with the size and one checksum of all its files."""
    paths = [f"{folder}/{path}" for path in files_of(name)]
    digest = hashlib.sha256("".join(store.checksum(path) for path in paths).encode()).hexdigest()
    return ShardEntry(paths[-1], 1, sum(store.size(path) or 0 for path in paths), digest)


def whole(store: Store, folder: str, name: RecordingName) -> bool:
    """Whether all files of a recording are there."""
    return all(store.size(f"{folder}/{path}") is not None for path in files_of(name))


class SceneWork:
    """Recordings to be built, as `datasets.generate` handles every kind of data."""

    def __init__(self, source: SceneSource, store: Store) -> None:
        self._source = source
        self._store = store

    def describe(self) -> list[str]:
        """What they are, in words."""
        count = sum(self._source.spec.folds.values())
        there = "" if self.lacking() else "  (there)"
        return [
            f"data     {self._source.folder:<28} {count:>9,} recordings of 60 s in FOA and MIC {size(count * BYTES)}{there}"
        ]

    def lacking(self) -> bool:
        """Whether anything is to be made."""
        manifest = Manifest.read(self._store, self._source.folder)
        return manifest is None or not all(
            whole(self._store, self._source.folder, name) for _, name in self._source.recordings()
        )

    def bytes_missing(self) -> dict[str, int]:
        """What it will take on disk, by folder."""
        return {self._source.folder: sum(self._source.spec.folds.values()) * BYTES} if self.lacking() else {}

    def build(self, progress: Callable[[str, int, int], None], over: Over, *, verify: bool) -> tuple[str, ...]:
        """Make what is missing; returns what was damaged."""
        with self._store.building():
            return self._build(progress, over, verify=verify)

    def _build(self, progress: Callable[[str, int, int], None], over: Over, *, verify: bool) -> tuple[str, ...]:
        folder = self._source.folder
        names = dict(self._source.recordings())
        manifest = Manifest.read(self._store, folder)
        known = {} if manifest is None else {entry.name: entry.sha256 for entry in manifest.shards}
        entries: dict[str, ShardEntry] = {}
        damaged = []
        for name in names.values():
            label = f"{folder}/{files_of(name)[-1]}"
            there = whole(self._store, folder, name)
            if there and (manifest is None or verify):
                entry = entry_of(self._store, folder, name)
                there = known.get(label, entry.sha256) == entry.sha256
            elif there and manifest is not None:
                entry = next(entry for entry in manifest.shards if entry.name == label)
            if there:
                entries[label] = entry
            elif label in known:
                damaged.append(label)
        todo = [Shard(folder, n, 1) for n, name in names.items() if f"{folder}/{files_of(name)[-1]}" not in entries]
        for made in over(SceneWorkshop(self._source, self._store), todo) if todo else ():
            entries[made.name] = made
            progress("recordings", len(entries), len(names))
        self._finish(entries)
        return tuple(damaged)

    def _finish(self, entries: dict[str, ShardEntry]) -> None:
        described: dict[str, Any] = self._source.spec.model_dump(mode="json")
        manifest = Manifest(
            self._source.folder,
            described | {"events": "procedural" if self._source.pieces is None else "files"},
            self._source.sound_files,
            {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "pyroomacoustics")},
            tuple(entries[name] for name in sorted(entries)),
        )
        self._store.write(f"{self._source.folder}/{MANIFEST}", json.dumps(asdict(manifest), indent=1).encode())
