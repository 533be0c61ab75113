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
from datasets.acoustics.shoebox import PositionPool
from datasets.audio import corpus
from datasets.audio.corpus import MusicExcerpts
from datasets.building.arrow import encode_table, read_columns
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Kind, DatasetPart, Shard, DatasetPlan
from datasets.recordings.clips import Clip
from datasets.recordings.sounds import gather_sounds
from datasets.recordings.spec import RecordingsSpec
from datasets.recordings.synthesis import RecordingsSynthesizer
from datasets.rooms import synthesis
from datasets.rooms.spec import Acoustics, MeasuredSpec, MusicSpec, RoomSpec
from runtime.storage import Store

WriteShard = Callable[[Shard], ShardEntry]
"""Makes and writes one shard."""


def checksum_path(shard: Shard) -> str:
    """A shard's checksum, in the form that `sha256sum --check` reads; written before the shard."""
    return f"{shard.name}.sha256"


@dataclass(frozen=True)
class ShardWriter:
    """Everything a process needs to make shards: calling it sets up."""

    source: DatasetPlan
    store: Store
    cache: Path

    def __call__(self) -> WriteShard:
        """A function that makes and writes one shard; it keeps the maker of the last part."""
        current: dict[str, Any] = {}
        parts = {part.folder: part for part in self.source.list_parts()}

        def make(shard: Shard) -> ShardEntry:
            if shard.part not in current:
                current.clear()
                current[shard.part] = self._make_synthesizer(parts[shard.part])
            return self._write_shard(shard, encode_table(current[shard.part].make_columns(shard)))

        return make

    def _write_shard(self, shard: Shard, content: Any) -> ShardEntry:
        sha256 = hashlib.sha256(content).hexdigest()
        self.store.write_file(checksum_path(shard), f"{sha256}  {shard.name.partition('/')[2]}\n".encode())
        self.store.write_file(shard.name, content, keep_cached=False)
        return ShardEntry(shard.name, shard.samples, content.size, sha256)

    def _make_synthesizer(self, part: DatasetPart) -> Any:
        spec = self.source.spec
        if part.kind == "music" and isinstance(spec, MusicSpec):
            return synthesis.ExcerptSynthesizer(spec, self.source.pieces)
        if isinstance(spec, RecordingsSpec):
            return RecordingsSynthesizer(
                spec, str(part.split), gather_sounds(spec, self._open_clips(part), lambda *_: None)
            )
        if isinstance(spec, MeasuredSpec):
            return self._open_rir_bank(spec, part)
        if not isinstance(spec, RoomSpec):
            raise TypeError(f"nothing makes data of kind {spec.kind!r}")
        if part.kind == "responses" and part.acoustics is not None:
            return synthesis.RirSynthesizer(spec, part, part.acoustics)
        if part.acoustics is None:
            return synthesis.free_field_synthesizer(spec, part, self._open_music(spec))
        return synthesis.rir_synthesizer(spec, part, self._open_music(spec), *self._open_rooms(part, part.acoustics))

    def _open_clips(self, part: DatasetPart) -> list[Clip]:
        return [clip for clip in self.source.clips if part.split in clip.splits]

    def _open_rir_bank(self, spec: MeasuredSpec, part: DatasetPart) -> synthesis.MixtureSynthesizer:
        bank = rirs.read_rir_bank(Path(spec.bank), "dataset.bank", arrays=spec.bank_arrays, size_m=spec.size_m)
        rows = shoebox.positions_of_split(spec, str(part.split), len(bank.positions_m))
        pool = PositionPool(bank.positions_m[rows], np.array([0, len(rows)]))
        responses = bank.responses[rows]
        return synthesis.rir_synthesizer(
            spec, part, self._open_music(spec), responses.shape[-1], lambda _: (pool, responses)
        )

    def _open_part(self, folder: str | None, kind: Kind) -> DatasetPart:
        return next(p for p in self.source.list_parts() if p.kind == kind and folder in (None, p.folder))

    def _copy_locally(self, shard: Shard) -> Path:
        """A shard on this machine; what lies in a bucket is copied once."""
        if self.store.is_local:
            return self.store.local_path(shard.name)
        path = self.cache / shard.name
        written = self.store.read_file(checksum_path(shard)) or b"?"
        self.store.fetch_verified(shard.name, written.split()[0].decode(), path)
        return path

    def _open_music(self, spec: MusicSpec) -> MusicExcerpts:
        blocks = self._open_part(None, "music").list_shards()
        shards = [read_columns(self._copy_locally(block), ("wave", "level")) for block in blocks]
        waves = [wave for shard, _ in shards for wave in shard]
        return corpus.assemble_excerpts(
            spec,
            corpus.list_excerpts(spec, self.source.pieces),
            waves,
            [float(v) for _, levels in shards for v in levels],
        )

    def _open_rooms(self, part: DatasetPart, acoustics: Acoustics) -> tuple[int, synthesis.Rooms]:
        """Taps of the longest impulse response of a split's rooms, and the rooms of each shard."""
        blocks = self._open_part(part.responses, "responses").list_shards()
        paths = [self._copy_locally(block) for block in blocks]
        a_room = len(blocks) // acoustics.rooms
        shards = len(part.list_shards())

        def rooms(number: int) -> tuple[PositionPool, NDArray[np.float32]]:
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
            return PositionPool(
                np.concatenate([place for _, place in read])[:, :2].astype(np.float64), bounds
            ), responses

        taps = max(read_columns(path, ("responses",))[0].shape[-1] for path in paths)
        return taps, rooms
