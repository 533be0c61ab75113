"""Manifests of finished parts: their identity, and the checksums of their shards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from runtime.errors import InputError
from runtime.machines import machine
from runtime.storage import Storage

MANIFEST: Final = "manifest.json"
_VERSIONS: Final = ("torch", "numpy", "scipy", "pyroomacoustics")


@dataclass(frozen=True)
class ShardEntry:
    """Shard as listed in a manifest.

    Attributes:
        name: Path relative to the store.
        samples: Number of rows.
        bytes: Size on disk.
        sha256: Checksum of the content.
    """

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Content of `manifest.json`, the last file that is written to a part's folder.

    Attributes:
        part: Name of the folder, e.g. `train-0123456789abcdef`.
        identity: All values that the content depends on, except for the sound files.
        sound_files: SHA-256 of each sound file by relative path; None if the content depends on none.
        versions: Versions of the packages that computed the content.
        shards: All shards of the part.
    """

    part: str
    identity: dict[str, Any]
    sound_files: dict[str, str] | None
    versions: dict[str, str]
    shards: tuple[ShardEntry, ...]

    @classmethod
    def read(cls, store: Storage, part: str) -> Manifest | None:
        """Read the manifest of a part; return None if the part is not finished.

        Raises:
            InputError: If the manifest is unreadable.
        """
        name = f"{part}/{MANIFEST}"
        content = store.read_file(name)
        if content is None:
            return None
        try:
            values = json.loads(content)
            shards = tuple(ShardEntry(**shard) for shard in values.pop("shards"))
            return cls(**values, shards=shards)
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
        store: Storage,
        part: str,
        identity: dict[str, Any],
        sound_files: dict[str, str] | None,
        shards: Iterable[ShardEntry],
    ) -> None:
        """Mark a part as finished: write its manifest, with the versions of the packages in use."""
        versions = {name: machine.package_version(name) for name in _VERSIONS}
        manifest = cls(part, identity, sound_files, versions, tuple(shards))
        store.write_file(f"{part}/{MANIFEST}", json.dumps(asdict(manifest), indent=1).encode())

    def list_incomplete(self, store: Storage) -> tuple[str, ...]:
        """Return the names of shards that are missing or have another size; reads no content."""
        return tuple(shard.name for shard in self.shards if store.file_size(shard.name) != shard.bytes)

    def find_damaged(self, store: Storage) -> tuple[str, ...]:
        """Return the names of shards that are missing or whose checksum differs; reads every byte."""
        return tuple(
            shard.name
            for shard in self.shards
            if store.file_size(shard.name) != shard.bytes or store.compute_checksum(shard.name) != shard.sha256
        )
