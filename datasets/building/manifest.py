"""What a finished part of a dataset says of itself, and which parts are still to be made. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from datasets.building.parts import DatasetPart, DatasetPlan
from runtime.errors import InputError
from runtime.storage import Store

MANIFEST: Final = "manifest.json"
_VERSIONS: Final = ("torch", "numpy", "scipy", "pyroomacoustics")


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the manifest lists it; its name is relative to the store."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A finished part, as its folder says: `manifest.json` is written last.

    Attributes:
        part: The folder's name, e.g. `train-0123456789abcdef`.
        identity: What it was made from.
        sound_files: SHA-256 of the sound files by relative path, or None.
        versions: Of what computed it.
        shards: All its shards.
    """

    part: str
    identity: dict[str, Any]
    sound_files: dict[str, str] | None
    versions: dict[str, str]
    shards: tuple[ShardEntry, ...]

    @classmethod
    def read(cls, store: Store, part: str) -> Manifest | None:
        """The manifest of a part, or None if it is not finished.

        Raises:
            InputError: If it is unreadable.
        """
        name = f"{part}/{MANIFEST}"
        content = store.read_file(name)
        if content is None:
            return None
        try:
            found = json.loads(content)
            shards = tuple(ShardEntry(**shard) for shard in found.pop("shards"))
            return cls(**found, shards=shards)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{store.name}/{name}",
                "a dataset needs a readable manifest",
                value=str(error),
                remedy="delete that folder; it is built again",
            ) from error

    @classmethod
    def write(
        cls,
        store: Store,
        part: str,
        identity: dict[str, Any],
        sound_files: dict[str, str] | None,
        shards: Iterable[ShardEntry],
    ) -> None:
        """Say that a part is finished, now that all its shards are there, and with which versions."""
        versions = {name: metadata.version(name) for name in _VERSIONS}
        manifest = cls(part, identity, sound_files, versions, tuple(shards))
        store.write_file(f"{part}/{MANIFEST}", json.dumps(asdict(manifest), indent=1).encode())

    def is_incomplete(self, store: Store) -> tuple[str, ...]:
        """Names of shards that are missing or have another length; reads no content."""
        return tuple(shard.name for shard in self.shards if store.file_size(shard.name) != shard.bytes)

    def find_damaged(self, store: Store) -> tuple[str, ...]:
        """Names of shards whose content is not what was written; reads every byte."""
        return tuple(
            shard.name
            for shard in self.shards
            if store.file_size(shard.name) != shard.bytes or store.compute_checksum(shard.name) != shard.sha256
        )


def missing_parts(source: DatasetPlan, store: Store) -> tuple[DatasetPart, ...]:
    """Parts to be made: splits that are not finished or have lost shards, and what these are made from; reads no content."""
    splits = [part for part in source.list_parts() if part.kind == "split" and not _is_whole(part, store)]
    needed = {other.folder for part in splits for other in source.dependencies(part) if not _is_whole(other, store)}
    return tuple(part for part in source.list_parts() if part in splits or part.folder in needed)


def _is_whole(part: DatasetPart, store: Store) -> bool:
    manifest = Manifest.read(store, part.folder)
    return manifest is not None and not manifest.is_incomplete(store)
