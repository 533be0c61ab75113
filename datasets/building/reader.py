"""Access to the finished parts of a dataset while others are built from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.building.parts import DatasetPart, Shard, checksum_path
from runtime.storage import Storage


@dataclass(frozen=True)
class PartReader:
    """Access to the finished parts of a dataset that is being built.

    Attributes:
        store: Location of the dataset.
        cache: Local folder for copies of shards from a remote store.
    """

    store: Storage
    cache: Path

    def local_shards(self, part: DatasetPart) -> list[Path]:
        """Return the local paths of all shards of a part; shards in a bucket are copied once."""
        return [self._copy_locally(shard) for shard in part.list_shards()]

    def _copy_locally(self, shard: Shard) -> Path:
        if self.store.is_local:
            return self.store.local_path(shard.name)
        path = self.cache / shard.name
        checksum = self.store.read_file(checksum_path(shard)) or b"?"
        self.store.fetch_verified(shard.name, checksum.split()[0].decode(), path)
        return path
