"""Build a dataset once: content-addressed folders, shard by shard, each a function of its part and number alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from datasets.building.arrow import Dataset
from datasets.building.manifest import MANIFEST, Manifest, ShardEntry, missing_parts
from datasets.building.parts import Kind, DatasetPart, Shard, DatasetPlan
from datasets.building.worker import WriteShard, ShardWriter, checksum_path
from datasets.rooms.spec import LocalizerSpec, MusicSpec, RoomSpec
from runtime.errors import InputError
from runtime.storage import Store

_CALLED: Final[dict[Kind, str]] = {"music": "excerpts", "responses": "places", "split": "samples"}

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the total."""

ShardExecutor = Callable[[Callable[[], WriteShard], Sequence[Shard]], Iterator[ShardEntry]]
"""Makes shards, in any order and place: given how to get a `Make` in whichever process it runs."""


def build_in_process(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
    """Make shards in this process, one after the other."""
    make = factory()
    for shard in shards:
        yield make(shard)


def find_dataset(source: DatasetPlan, store: Store) -> Dataset | None:
    """The finished dataset of a source, if all its shards are in a local store."""
    manifests = {}
    for part in source.list_parts():
        if part.split is not None:
            manifest = Manifest.read(store, part.folder)
            if manifest is None or manifest.is_incomplete(store):
                return None
            manifests[part.split] = manifest
    return Dataset(store, source.fingerprint, source.spec, source.microphones_m, manifests)


@dataclass(frozen=True)
class PartBuild:
    """A part in the making: its shards that are there and whole, by name, and those to be made."""

    part: DatasetPart
    good: dict[str, ShardEntry]
    shards: list[Shard]


@dataclass(frozen=True)
class Builder:
    """Makes what is missing of datasets.

    Attributes:
        store: Where datasets lie.
        progress: Told what goes on.
        over: Who makes the shards.
        cache: Local folder for what is needed of a bucket to make the rest.
    """

    store: Store
    progress: Progress = lambda *_: None
    over: ShardExecutor = build_in_process
    cache: Path = Path(tempfile.gettempdir()) / "soundsweep"

    def build(self, source: DatasetPlan, *, verify: bool = False) -> tuple[str, ...]:
        """Make what is missing of a dataset.

        Args:
            source: From `blueprint.prepare`.
            verify: Whether to read every byte of what is there.

        Returns:
            Names of shards that were there and had to be made again.

        Raises:
            InputError: If sound files cannot be decoded, a split has nothing to play, or the disk is full.
        """
        with self.store.build_lock():
            return self._build(source, verify=verify)

    def _build(self, source: DatasetPlan, *, verify: bool) -> tuple[str, ...]:
        lacking = {part.folder for part in missing_parts(source, self.store)}
        damaged: list[str] = []
        todo: list[PartBuild] = []
        needed: set[str] = set()
        for part in reversed(source.list_parts()):  # splits first: they say which music and responses are needed
            manifest = Manifest.read(self.store, part.folder)
            if part.folder not in lacking | needed and not (verify and manifest is not None):
                continue
            good, spoilt = self._verify_shards(part, manifest)
            damaged += spoilt
            work = PartBuild(part, good, [shard for shard in part.list_shards() if shard.name not in good])
            if work.shards:
                needed |= {other.folder for other in source.dependencies(part)}
            todo.append(work)
        for kind in ("music", "responses", "split"):
            self._make_shards(source, [work for work in todo if work.part.kind == kind])
        for work in todo:
            if work.shards or work.part.folder in lacking:  # what was found whole keeps the word of who made it
                self._finish_part(source, work)
        return tuple(sorted(damaged))

    def _verify_shards(self, part: DatasetPart, manifest: Manifest | None) -> tuple[dict[str, ShardEntry], list[str]]:
        """Shards of a part that are there and whole, and those that are there and are not."""
        known = {} if manifest is None else {shard.name: shard.sha256 for shard in manifest.shards}
        good: dict[str, ShardEntry] = {}
        spoilt = []
        for shard in part.list_shards():
            size = self.store.file_size(shard.name)
            beside = self.store.read_file(checksum_path(shard))
            expected = known.get(shard.name) or (None if beside is None else beside.split()[0].decode())
            if size is None or expected is None:
                spoilt += [shard.name] * (shard.name in known)
                continue
            if self.store.compute_checksum(shard.name) == expected:
                good[shard.name] = ShardEntry(shard.name, shard.samples, size, expected)
            else:
                spoilt.append(shard.name)
        return good, spoilt

    def _make_shards(self, source: DatasetPlan, works: list[PartBuild]) -> None:
        shards = [shard for work in reversed(works) for shard in work.shards]
        if not shards:
            return
        what = _CALLED[works[0].part.kind]
        total = sum(work.part.samples for work in works)
        done = total - sum(shard.samples for shard in shards)
        folders = {work.part.folder: work.good for work in works}
        self.progress(what, done, total)
        for entry in self.over(ShardWriter(source, self.store, self.cache), shards):
            folders[entry.name.partition("/")[0]][entry.name] = entry
            done += entry.samples
            self.progress(what, done, total)

    def _finish_part(self, source: DatasetPlan, work: PartBuild) -> None:
        part = work.part
        self.store.remove_partials(part.folder)
        Manifest.write(
            self.store,
            part.folder,
            part.identity,
            None if part.kind == "responses" else source.sound_files,
            (work.good[shard.name] for shard in part.list_shards()),
        )


def open_dataset(source: DatasetPlan, store: Store, cache: Path) -> Dataset:
    """A finished dataset on this machine; what lies in a bucket is copied once.

    Args:
        source: What it was made from.
        store: Where it lies.
        cache: Local folder for what does not lie on this machine.

    Raises:
        InputError: If it is not there, or arrives damaged.
    """
    here = store if store.is_local else Store(str(cache))
    if not store.is_local and (copy := find_dataset(source, here)) is not None:
        return copy  # a part's manifest is copied after all its shards, so nothing is asked of the bucket
    if not store.is_local:
        for part in source.list_parts():
            if part.kind == "split" and (manifest := Manifest.read(store, part.folder)) is not None:
                for shard in manifest.shards:
                    store.fetch_verified(shard.name, shard.sha256, here.local_path(shard.name))
                here.write_file(f"{part.folder}/{MANIFEST}", store.read_file(f"{part.folder}/{MANIFEST}"))
    found = find_dataset(source, here)
    if found is None:
        raise InputError(
            f"{store.name}: dataset {source.fingerprint}",
            "the dataset must be there, with all its shards",
            remedy="build it with  python -m datasets.generate",
        )
    return found


def build_dataset(source: DatasetPlan, root: Path, progress: Progress = lambda *_: None) -> Dataset:
    """Return the dataset of a source, made in this process where it is missing."""
    store = Store(str(root))
    Builder(store, progress).build(source)
    return open_dataset(source, store, root)


def estimate_seconds(source: DatasetPlan, workers: int) -> float:
    """How long a dataset will take to build, from building a miniature of it right now."""
    small = _miniature(source.spec)
    began: dict[str, tuple[float, int]] = {}
    spent: dict[str, tuple[float, int]] = {}

    def mark(what: str, done: int, _total: int) -> None:
        now = time.perf_counter()
        first, _ = began.setdefault(what, (now, done))
        spent[what] = (now - first, done)

    with tempfile.TemporaryDirectory() as folder:
        Builder(Store(f"{folder}/datasets"), mark).build(source.with_spec(small))
    total = 0.0
    for kind, what in _CALLED.items():
        rows = sum(part.samples for part in source.list_parts() if part.kind == kind)
        if what in spent:
            total += spent[what][0] / spent[what][1] * rows / workers
    return total


def _miniature(spec: LocalizerSpec) -> LocalizerSpec:
    """Enough of a dataset to see what each part of it costs."""
    small: dict[str, Any] = {"samples": 8}
    if isinstance(spec, RoomSpec) and spec.acoustics is not None:
        small["acoustics"] = spec.acoustics.model_copy(update={"rooms": 1, "positions": 8})
    changed: dict[str, Any] = {
        "train": spec.train.model_copy(update=small | {"samples": 500}),
        "validate_": spec.validate_.model_copy(update=small),
        "tests": {name: test.model_copy(update=small) for name, test in spec.tests.items()},
    }
    return spec.model_copy(update=changed | ({"excerpts": 8} if isinstance(spec, MusicSpec) else {}))
