"""Plans of simulated scenes: one part in the layout of TAU-NIGENS 2020, whose shards are recordings."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from datasets.audio.corpus import Corpus, MusicFile
from datasets.building.manifest import Manifest, ShardEntry
from datasets.building.parts import SPLIT, DatasetPart, Shard
from datasets.building.plan import DatasetPlan, ShardState, WriterFactory, WriteShard
from datasets.scenes.spec import SceneSpec
from datasets.tau2020 import layout
from datasets.tau2020.layout import RecordingName
from runtime.storage import Storage

RECORDING_BYTES: Final = 2 * layout.CHANNELS * layout.SAMPLES * 2
"""Size of a recording in both formats, in bytes."""


@dataclass(frozen=True)
class ScenePart(DatasetPart):
    """Folder of all recordings, one per shard.

    Attributes:
        recordings: Number and name of each recording.
    """

    recordings: tuple[tuple[int, RecordingName], ...] = ()

    def list_shards(self) -> tuple[Shard, ...]:
        """Return a shard per recording, named after its labels and sorted by name."""
        shards = [Shard(self.folder, number, 1, recording_files(name)[-1]) for number, name in self.recordings]
        return tuple(sorted(shards, key=lambda shard: shard.name))


@dataclass(frozen=True)
class ScenePlan(DatasetPlan):
    """Plan of simulated scenes; the event sounds have been checked.

    Attributes:
        spec: Description of the scenes.
        pieces: Sound files of the events; None for synthesised events.
        sound_files: SHA-256 of each sound file by relative path; None for synthesised events.
        corpus: Folder of the events, with what it contains besides; None for synthesised events.
    """

    spec: SceneSpec
    pieces: tuple[MusicFile, ...] | None = None
    sound_files: dict[str, str] | None = None
    corpus: Corpus | None = field(default=None, compare=False)

    @classmethod
    def from_spec(cls, spec: SceneSpec, location: str) -> ScenePlan:
        """Check and hash the event sounds of a description.

        Args:
            spec: Description of the scenes.
            location: Option or key that names the event sounds, for errors.

        Raises:
            InputError: If the folder or a sound is missing or unreadable.
        """
        folder = spec.events_folder()
        if folder is None:
            return cls(spec)
        from datasets.scenes import events

        found = events.scan_events(folder, location, skip_broken=spec.skip_broken)
        return cls(spec, found.pieces, found.hash_files(), found)

    @property
    def fingerprint(self) -> str:
        """Identity of the recordings."""
        return self.spec.fingerprint(self.sound_files)

    @property
    def folder_name(self) -> str:
        """Folder in the store: the root of the layout."""
        return f"scenes-{self.fingerprint}"

    def list_recordings(self) -> tuple[tuple[int, RecordingName], ...]:
        """Return the number and the name of every recording."""
        return self._recordings

    @cached_property
    def _recordings(self) -> tuple[tuple[int, RecordingName], ...]:
        from datasets.scenes.synthesis import recordings_of  # loads scipy

        return recordings_of(self.spec)

    def list_parts(self) -> tuple[ScenePart, ...]:
        """Return the single part with all recordings."""
        identity = self.spec.model_dump(mode="json") | {"events": "procedural" if self.pieces is None else "files"}
        recordings = self.list_recordings()
        return (
            ScenePart(
                SPLIT,
                self.folder_name,
                identity,
                len(recordings),
                unit="recordings",
                row_bytes=RECORDING_BYTES,
                recordings=recordings,
            ),
        )

    def writer_factory(self, store: Storage, cache: Path) -> WriterFactory:
        """Return a picklable function that loads the event sounds and returns a writer of recordings."""
        del cache
        return SceneWriter(self, store)

    def is_complete(self, part: DatasetPart, store: Storage) -> bool:
        """Return whether the manifest and all files of all recordings are present; reads no content."""
        return Manifest.read(store, part.folder) is not None and self.count_missing(store) == 0

    def count_missing(self, store: Storage) -> int:
        """Return the number of recordings of which a file is missing."""
        return sum(not is_complete(store, self.folder_name, name) for _, name in self.list_recordings())

    def verify_shard(self, store: Storage, shard: Shard, listed: ShardEntry | None, *, verify: bool) -> ShardState:
        """Compare a recording with the manifest; unless `verify` is set, only the presence of its files."""
        name = RecordingName.from_stem(Path(shard.file).stem, shard.name)
        if not is_complete(store, self.folder_name, name):
            return ShardState("missing" if listed is None else "damaged")
        if listed is not None and not verify:
            return ShardState("intact", listed)
        entry = shard_entry(store, self.folder_name, name)
        if listed is not None and listed.sha256 != entry.sha256:
            return ShardState("damaged")
        return ShardState("intact", entry)


@dataclass(frozen=True)
class SceneWriter:
    """Picklable factory of recording writers.

    Attributes:
        plan: Plan of the scenes.
        store: Location of the dataset.
    """

    plan: ScenePlan
    store: Storage

    def __call__(self) -> WriteShard:
        """Return a function that renders and writes a recording."""
        from datasets.scenes import events, synthesis

        sounds = events.gather_events(self.plan.spec, self.plan.pieces, lambda *_: None)
        root = self.plan.folder_name

        def write_recording(shard: Shard) -> ShardEntry:
            name, foa, mic, rows = synthesis.make_recording(self.plan.spec, sounds, shard.number)
            with tempfile.TemporaryDirectory() as folder:
                layout.write_recording(Path(folder), name, foa=foa, mic=mic, rows=rows)
                for path in recording_files(name):  # the labels last: their presence marks a complete recording
                    self.store.write_file(f"{root}/{path}", (Path(folder) / path).read_bytes())
            return shard_entry(self.store, root, name)

        return write_recording


def recording_files(name: RecordingName) -> tuple[str, ...]:
    """Return the files of a recording, relative to the root of the layout, the labels last."""
    root = Path()
    sounds = [layout.sound_path(root, fmt, "dev", name) for fmt in layout.FORMATS]
    return tuple(str(path) for path in (*sounds, layout.label_path(root, "dev", name)))


def shard_entry(store: Storage, folder: str, name: RecordingName) -> ShardEntry:
    """Return the manifest entry of a recording: the path of its labels, and the size and one checksum of all its files."""
    paths = [f"{folder}/{path}" for path in recording_files(name)]
    digest = hashlib.sha256("".join(store.compute_checksum(path) for path in paths).encode()).hexdigest()
    return ShardEntry(paths[-1], 1, sum(store.file_size(path) or 0 for path in paths), digest)


def is_complete(store: Storage, folder: str, name: RecordingName) -> bool:
    """Return whether all files of a recording are present."""
    return all(store.file_size(f"{folder}/{path}") is not None for path in recording_files(name))
