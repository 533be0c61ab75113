"""Writing of Arrow shards in any process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.building.arrow import encode_table
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard, checksum_path
from datasets.building.plan import Synthesizer, TablePlan, WriteShard
from datasets.building.reader import PartReader
from runtime.storage import Storage


@dataclass(frozen=True)
class TableWriter:
    """Picklable factory of Arrow shard writers.

    Attributes:
        plan: Plan of the dataset.
        store: Location of the dataset.
        cache: Local folder for copies of shards from a remote store.
    """

    plan: TablePlan
    store: Storage
    cache: Path

    def __call__(self) -> WriteShard:
        """Return a function that builds and writes a shard; it keeps the synthesizer of the last part."""
        synthesizers: dict[str, Synthesizer] = {}
        parts = {part.folder: part for part in self.plan.list_parts()}

        def write_shard(shard: Shard) -> ShardEntry:
            if shard.part not in synthesizers:
                synthesizers.clear()
                reader = PartReader(self.store, self.cache)
                synthesizers[shard.part] = self.plan.make_synthesizer(parts[shard.part], reader)
            return self._write_content(shard, encode_table(synthesizers[shard.part].make_columns(shard)))

        return write_shard

    def _write_content(self, shard: Shard, content: Any) -> ShardEntry:
        sha256 = hashlib.sha256(content).hexdigest()
        self.store.write_file(checksum_path(shard), f"{sha256}  {shard.name.partition('/')[2]}\n".encode())
        self.store.write_file(shard.name, content, keep_cached=False)
        return ShardEntry(shard.name, shard.samples, content.size, sha256)
