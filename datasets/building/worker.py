"""What makes the shards: set up once in whichever process, then shard after shard, each written with its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import rirs, shoebox
from datasets.acoustics.shoebox import Pool
from datasets.audio import corpus
from datasets.audio.corpus import Music
from datasets.building.arrow import encode, read_columns
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Kind, Part, Shard, Source
from datasets.recordings.clips import Clip
from datasets.recordings.sounds import gather
from datasets.recordings.spec import RecordingsSpec
from datasets.recordings.synthesis import RecordingsMaker
from datasets.rooms import synthesis
from datasets.rooms.spec import Acoustics, MeasuredSpec, MusicSpec, RoomSpec
from runtime.storage import Store

Make = Callable[[Shard], ShardEntry]
"""Makes and writes one shard."""


def sidecar(shard: Shard) -> str:
    """A shard's checksum, in the form that `sha256sum --check` reads; written before the shard."""
    return f"{shard.name}.sha256"


@dataclass(frozen=True)
class Workshop:
    """Everything a process needs to make shards: calling it sets up."""

    source: Source
    store: Store
    cache: Path

    def __call__(self) -> Make:
        """A function that makes and writes one shard; it keeps the maker of the last part."""
        current: dict[str, Any] = {}
        parts = {part.folder: part for part in self.source.parts()}

        def make(shard: Shard) -> ShardEntry:
            if shard.part not in current:
                current.clear()
                current[shard.part] = self._maker(parts[shard.part])
            return self._write(shard, encode(current[shard.part].columns(shard)))

        return make

    def _write(self, shard: Shard, content: Any) -> ShardEntry:
        sha256 = hashlib.sha256(content).hexdigest()
        self.store.write(sidecar(shard), f"{sha256}  {shard.name.partition('/')[2]}\n".encode())
        self.store.write(shard.name, content, keep_cached=False)
        return ShardEntry(shard.name, shard.samples, content.size, sha256)

    def _maker(self, part: Part) -> Any:
        spec = self.source.spec
        if part.kind == "music" and isinstance(spec, MusicSpec):
            return synthesis.ExcerptMaker(spec, self.source.pieces)
        if isinstance(spec, RecordingsSpec):
            return RecordingsMaker(spec, str(part.split), gather(spec, self._clips(part), lambda *_: None))
        if isinstance(spec, MeasuredSpec):
            return self._measured(spec, part)
        if not isinstance(spec, RoomSpec):
            raise TypeError(f"nothing makes data of kind {spec.kind!r}")
        if part.kind == "responses" and part.acoustics is not None:
            return synthesis.ResponseMaker(spec, part, part.acoustics)
        if part.acoustics is None:
            return synthesis.free_field(spec, part, self._music(spec))
        return synthesis.by_responses(spec, part, self._music(spec), *self._rooms(part, part.acoustics))

    def _clips(self, part: Part) -> list[Clip]:
        return [clip for clip in self.source.clips if part.split in clip.splits]

    def _measured(self, spec: MeasuredSpec, part: Part) -> synthesis.MusicMaker:
        bank = rirs.read_bank(Path(spec.bank), "dataset.bank", arrays=spec.bank_arrays, size_m=spec.size_m)
        rows = shoebox.places_of(spec, str(part.split), len(bank.positions_m))
        pool = Pool(bank.positions_m[rows], np.array([0, len(rows)]))
        responses = bank.responses[rows]
        return synthesis.by_responses(spec, part, self._music(spec), responses.shape[-1], lambda _: (pool, responses))

    def _part(self, folder: str | None, kind: Kind) -> Part:
        return next(p for p in self.source.parts() if p.kind == kind and folder in (None, p.folder))

    def _local(self, shard: Shard) -> Path:
        """A shard on this machine; what lies in a bucket is copied once."""
        if self.store.is_local:
            return self.store.path(shard.name)
        path = self.cache / shard.name
        written = self.store.read(sidecar(shard)) or b"?"
        self.store.fetch(shard.name, written.split()[0].decode(), path)
        return path

    def _music(self, spec: MusicSpec) -> Music:
        blocks = self._part(None, "music").shards()
        shards = [read_columns(self._local(block), ("wave", "level")) for block in blocks]
        waves = [wave for shard, _ in shards for wave in shard]
        return corpus.assemble(
            spec, corpus.excerpts(spec, self.source.pieces), waves, [float(v) for _, levels in shards for v in levels]
        )

    def _rooms(self, part: Part, acoustics: Acoustics) -> tuple[int, synthesis.Rooms]:
        """Taps of the longest impulse response of a split's rooms, and the rooms of each shard."""
        blocks = self._part(part.responses, "responses").shards()
        paths = [self._local(block) for block in blocks]
        a_room = len(blocks) // acoustics.rooms
        shards = len(part.shards())

        def rooms(number: int) -> tuple[Pool, NDArray[np.float32]]:
            chosen = shoebox.rooms_of_shard(number, shards, acoustics.rooms)
            read = [
                read_columns(path, ("responses", "place"))
                for room in chosen
                for path in paths[room * a_room : (room + 1) * a_room]
            ]
            responses = np.zeros((sum(len(block) for block, _ in read), *read[0][0].shape[1:-1], taps), np.float32)
            first = 0
            for block, _ in read:
                responses[first : first + len(block), ..., : block.shape[-1]] = block
                first += len(block)
            bounds = np.arange(len(chosen) + 1) * acoustics.positions
            return Pool(np.concatenate([place for _, place in read])[:, :2].astype(np.float64), bounds), responses

        taps = max(read_columns(path, ("responses",))[0].shape[-1] for path in paths)
        return taps, rooms
