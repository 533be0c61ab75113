"""What there is to show of a dataset for the 2D localizer: itself where it is built, or a miniature of the same spec."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from datasets.building import builder
from datasets.building.arrow import Dataset
from datasets.building.builder import Builder
from datasets.building.manifest import MANIFEST, Manifest, missing_parts
from datasets.building.parts import DatasetPart, DatasetPlan
from datasets.preview import miniature
from runtime.errors import InputError
from runtime.storage import Store

State = Literal["built", "beginning", "miniature"]
"""Everything of it, the first shard of each part (in a bucket), or a likeness made just now."""


@dataclass(frozen=True, eq=False)
class Material:
    """A dataset to be shown.

    Attributes:
        source: All of the dataset that was asked for.
        made: What `data` was made from.
        data: The samples on this machine.
        state: What part of the whole they are.
        notes: What a miniature does differently, in words.
    """

    source: DatasetPlan
    made: DatasetPlan
    data: Dataset
    state: State
    notes: tuple[str, ...] = ()

    def find_part(self, split: str) -> DatasetPart:
        """The part of the whole dataset that holds a split."""
        return next(part for part in self.source.list_parts() if part.split == split)


@contextmanager
def gather_material(source: DatasetPlan, store: Store) -> Iterator[Material]:
    """Read a dataset where it is built; make a miniature of it elsewhere, which goes when the block ends.

    Args:
        source: What is wanted.
        store: Where it would lie.

    Raises:
        InputError: If sound files cannot be decoded, a split has nothing to play, or a manifest is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        if missing_parts(source, store):
            small, notes = miniature.make_miniature(source)
            here = Store(f"{folder}/datasets")
            Builder(here).build(small)
            yield Material(source, small, _require_part(builder.find_dataset(small, here), here), "miniature", notes)
        elif store.is_local:
            yield Material(source, source, _require_part(builder.find_dataset(source, store), store), "built")
        else:
            yield Material(source, source, _first_shards(source, store, Store(folder)), "beginning")


def _require_part(found: Dataset | None, store: Store) -> Dataset:
    if found is None:
        raise InputError(
            store.name, "the dataset must stay where it is while it is shown", remedy="start the command again"
        )
    return found


def _first_shards(source: DatasetPlan, store: Store, here: Store) -> Dataset:
    """Copy the first shard of every split and of the impulse responses: a bucket holds more than anyone waits for."""
    manifests = {}
    for part in source.list_parts():
        manifest = Manifest.read(store, part.folder)
        if part.kind == "music" or manifest is None:
            continue
        first = manifest.shards[0]
        store.fetch_verified(first.name, first.sha256, here.local_path(first.name))
        here.write_file(f"{part.folder}/{MANIFEST}", store.read_file(f"{part.folder}/{MANIFEST}"))
        if part.split is not None:
            manifests[part.split] = replace(manifest, shards=(first,))
    return Dataset(here, source.fingerprint, source.spec, source.microphones_m, manifests)
