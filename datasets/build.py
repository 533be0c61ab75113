"""Build a dataset once: content-addressed by its fingerprint, shard by shard, each a function of spec, split and number alone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch

from datasets import library, render, scenes
from datasets.atomic import write_text
from datasets.blueprint import Shard, Source, shards_of
from datasets.errors import InputError
from datasets.library import Music
from datasets.shards import MANIFEST, Batch, Dataset, ShardEntry, checksum, holds, open_dataset, write_shard
from datasets.spec import RoomSpec, TestSpec

_CHUNK: Final = 32
"""Samples rendered at once; small enough for the spectra to stay in a core's cache."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the total."""


def find(root: Path, fingerprint: str) -> Dataset | None:
    """A finished dataset with all its shards in place, if there is one under `root`."""
    folder = root / fingerprint
    if not (folder / MANIFEST).is_file():
        return None
    dataset = open_dataset(folder)
    return None if dataset.incomplete() else dataset


def build(source: Source, root: Path, progress: Progress) -> Dataset:
    """Return the dataset of a spec, making what is missing of it.

    Args:
        source: From `prepare`.
        root: Folder of all datasets.
        progress: Told what goes on.

    Raises:
        InputError: If music cannot be decoded, or leaves a split without an audible start.
    """
    existing = find(root, source.fingerprint)
    if existing is not None:
        return existing
    folder = root / source.fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    known = _known_checksums(folder)
    music = library.gather(source.spec, source.pieces, lambda done, total: progress("music", done, total))
    maker = ShardMaker(source.spec, music)
    total = sum(split.samples for split in source.spec.splits().values())
    entries: list[ShardEntry] = []
    for shard in shards_of(source.spec):
        path = folder / shard.name
        sha256 = _checksum_if_good(path, shard, known.get(shard.name)) or write_shard(path, maker.make(shard))
        entries.append(ShardEntry(shard.name, shard.split, shard.samples, path.stat().st_size, sha256))
        progress("samples", sum(entry.samples for entry in entries), total)
    manifest = {
        "fingerprint": source.fingerprint,
        "spec": source.spec.model_dump(mode="json", by_alias=True),
        "sound_files": source.sound_files,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "shards": [asdict(entry) for entry in entries],
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))
    return open_dataset(folder)


def _known_checksums(folder: Path) -> dict[str, str]:
    """What the shards should be, if the dataset was once finished."""
    if not (folder / MANIFEST).is_file():
        return {}
    return {shard.name: shard.sha256 for shard in open_dataset(folder).shards}


def _checksum_if_good(path: Path, shard: Shard, expected: str | None) -> str | None:
    """The checksum of a shard that an earlier build left, or None if it is missing, damaged or not whole."""
    if not path.is_file() or not holds(path, shard.samples):
        return None
    found = checksum(path)
    return found if expected in (None, found) else None


class ShardMaker:
    """Renders shards from music in memory."""

    def __init__(self, spec: RoomSpec, music: Music) -> None:
        self._spec = spec
        self._music = music
        self._microphones = spec.microphones_m()
        self._window = render.window(spec.size_m, self._microphones)
        self._starts = {
            name: scenes.audible_starts(
                music, music.of_split[name], heard=self._window.length, lead=self._window.lead, gate=spec.gate
            )
            for name in spec.splits()
        }
        for name, starts in self._starts.items():
            if len(starts) == 0:
                raise InputError(
                    f"dataset.music, split {name!r}",
                    "every split needs at least one audible passage",
                    value=f"{len(music.of_split[name])} excerpts, gate {spec.gate}",
                    remedy="add music, or lower dataset.gate",
                )

    def make(self, shard: Shard) -> Batch:
        """Render one shard."""
        split: TestSpec = self._spec.splits()[shard.split]
        generator = np.random.default_rng([self._spec.seed, zlib.crc32(shard.split.encode()), shard.number])
        drawn = scenes.draw(
            generator, shard.samples, self._spec, split, self._starts[shard.split], self._spec.max_sources()
        )
        waves = torch.cat(list(self._render(drawn)))
        return Batch(waves, torch.from_numpy(drawn.positions_m), torch.from_numpy(drawn.counts))

    def _render(self, drawn: scenes.Scenes) -> Iterator[torch.Tensor]:
        microphones = torch.from_numpy(self._microphones)
        heard = np.arange(self._window.length)
        slots = int(drawn.counts.max())  # nobody plays in the slots beyond
        for first in range(0, len(drawn.counts), _CHUNK):
            rows = slice(first, first + _CHUNK)
            places = np.nan_to_num(drawn.positions_m[rows, :slots], nan=self._spec.size_m[0] / 2)
            played = self._music.waves[drawn.excerpts[rows, :slots, None], drawn.starts[rows, :slots, None] + heard]
            sources = torch.from_numpy((played * drawn.gains[rows, :slots, None]).astype(np.float32))
            yield render.free_field(sources, torch.from_numpy(places), microphones, self._window.lead)
