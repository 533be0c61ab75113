"""Samples of a dataset for the 2D localizer: the built dataset, or a miniature of the same specification."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from datasets.building.builder import Builder
from datasets.building.manifest import MANIFEST, Manifest
from datasets.building.plan import missing_parts
from datasets.preview import miniature
from datasets.rooms.dataset import Dataset, find_dataset
from datasets.rooms.plan import SamplePart, SamplePlan
from runtime.errors import InputError
from runtime.storage import Storage, storage_at

State = Literal["built", "first_shards", "miniature"]
"""The complete dataset, the first shard of each part (of a dataset in a bucket), or a generated miniature."""


@dataclass(frozen=True, eq=False)
class Material:
    """Samples to be shown, and the dataset that they represent.

    Attributes:
        plan: Plan of the complete dataset.
        data_plan: Plan that `data` was built from; differs from `plan` for a miniature.
        data: Samples in local storage.
        state: Relation of `data` to the complete dataset.
        notes: Differences between a miniature and the complete dataset, one sentence each.
    """

    plan: SamplePlan
    data_plan: SamplePlan
    data: Dataset
    state: State
    notes: tuple[str, ...] = ()

    def list_splits(self) -> list[str]:
        """Return the names of the splits that the dataset has, training first."""
        return [part.split for part in self.plan.list_parts() if part.split is not None]

    def find_part(self, split: str) -> SamplePart:
        """Return the part of the complete dataset that holds a split."""
        return next(part for part in self.plan.list_parts() if part.split == split)


@contextmanager
def gather_material(plan: SamplePlan, store: Storage) -> Iterator[Material]:
    """Open a built dataset, or generate a miniature of it that is deleted when the block ends.

    Args:
        plan: Plan of the dataset.
        store: Storage in which the dataset is looked up.

    Raises:
        InputError: If sound files cannot be decoded, a split has no audible excerpt, or a manifest is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        if missing_parts(plan, store):
            small, notes = miniature.make_miniature(plan)
            scratch = storage_at(f"{folder}/datasets")
            Builder(scratch).build(small)
            yield Material(plan, small, _require_dataset(find_dataset(small, scratch), scratch), "miniature", notes)
        elif store.is_local:
            yield Material(plan, plan, _require_dataset(find_dataset(plan, store), store), "built")
        else:
            yield Material(plan, plan, _first_shards(plan, store, storage_at(folder)), "first_shards")


def _require_dataset(dataset: Dataset | None, store: Storage) -> Dataset:
    if dataset is None:
        raise InputError(
            store.name, "the dataset must not be moved or deleted while it is read", remedy="run the command again"
        )
    return dataset


def _first_shards(plan: SamplePlan, store: Storage, scratch: Storage) -> Dataset:
    """Copy the first shard of every split and of the impulse responses; a complete download would take too long."""
    manifests = {}
    for part in plan.list_parts():
        manifest = Manifest.read(store, part.folder)
        if part.kind == "music" or manifest is None:
            continue
        first = manifest.shards[0]
        store.fetch_verified(first.name, first.sha256, scratch.local_path(first.name))
        scratch.write_file(f"{part.folder}/{MANIFEST}", store.read_file(f"{part.folder}/{MANIFEST}"))
        if part.split is not None:
            manifests[part.split] = replace(manifest, shards=(first,))
    return Dataset(scratch, plan.fingerprint, plan.spec, plan.microphones_m, manifests)
