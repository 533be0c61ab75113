"""Parts of a dataset and their shards: folders and files named after their content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

SHARD_SAMPLES: Final = 1_000
"""Number of rows per shard, where a kind of data does not set another one."""

SPLIT: Final = "split"
"""The `DatasetPart.kind` of the parts that are trained on or tested with; all other parts are made for these."""


@dataclass(frozen=True)
class Shard:
    """File to be written; its content depends on the part and the number alone.

    Attributes:
        part: Folder of the part.
        number: Number of the shard within the part.
        samples: Number of rows.
        file: Path relative to the folder; derived from the number if empty.
    """

    part: str
    number: int
    samples: int
    file: str = ""

    @property
    def name(self) -> str:
        """Path relative to the store."""
        return f"{self.part}/{self.file or f'{self.number:05d}.arrow'}"


@dataclass(frozen=True)
class DatasetPart:
    """Folder of shards, named after its content.

    Attributes:
        kind: `split`, or another name for parts that splits are made from; all parts of a kind are built together.
        folder: Name of the part followed by its fingerprint, e.g. `train-0123456789abcdef`.
        identity: All values that the content depends on, except for the sound files.
        samples: Number of rows.
        unit: Plural noun for the rows, for messages.
        split: Name of the split; None for a part of another kind.
        shard_sizes: Number of rows of each shard.
        row_bytes: Approximate size of a row on disk, in bytes.
        made_from: Folders of the parts that have to be built before.
        uses_sound_files: Whether the content depends on the sound files of the dataset.
        effort: Mean effort of a row relative to other parts with the same unit, for estimates of the duration.
    """

    kind: str
    folder: str
    identity: dict[str, Any]
    samples: int
    unit: str = "samples"
    split: str | None = None
    shard_sizes: tuple[int, ...] = ()
    row_bytes: int = 0
    made_from: tuple[str, ...] = ()
    uses_sound_files: bool = True
    effort: float = 1.0

    def list_shards(self) -> tuple[Shard, ...]:
        """Return all shards in order."""
        return tuple(Shard(self.folder, number, size) for number, size in enumerate(self.shard_sizes))


def checksum_path(shard: Shard) -> str:
    """Return the path of a shard's checksum, in the format of `sha256sum --check`; written before the shard."""
    return f"{shard.name}.sha256"


def split_evenly(total: int, size: int) -> tuple[int, ...]:
    """Return the sizes of consecutive blocks of at most `size` rows that add up to `total`."""
    return tuple(min(size, total - first) for first in range(0, total, size))
