"""Interface between the kinds of data and their users: searches, `datasets.generate` and the trainables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.errors import InputError
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder


@dataclass(frozen=True)
class SplitEntry:
    """Identity of a split, for the records of a search.

    Attributes:
        name: `train`, `validate`, or the name of a test split.
        digest: Hash of all values and sound files that the split depends on.
        samples: Number of samples; 0 if the trainable determines it.
        folder: Folder in the store; empty if the split is never stored.
    """

    name: str
    digest: str
    samples: int
    folder: str


def require_kind(source: DatasetProvider, *kinds: str) -> None:
    """Check that a trainable accepts the kind of a dataset.

    Args:
        source: Dataset to be trained on.
        kinds: Kinds that the trainable accepts.

    Raises:
        InputError: If the dataset is of another kind.
    """
    if source.spec.kind not in kinds:
        raise InputError(
            "dataset.kind",
            f"the trainable learns from data of the kind {' or '.join(kinds)}",
            value=source.spec.kind,
            remedy="write another dataset: {kind: …}, or name another trainable:",
        )


class DatasetProvider(ABC):
    """Dataset that can be built and opened; its sound files, if any, have been checked.

    Attributes:
        spec: Description of the dataset.
        unit: Plural noun for the elements of a split, for messages.
        ready: Message of a plan in which nothing has to be built.
    """

    spec: Any
    unit: ClassVar[str] = "samples"
    ready: ClassVar[str] = "already built"

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identity of the dataset."""

    @abstractmethod
    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first."""

    def describe_notes(self) -> list[str]:
        """Return lines of text about the content of the dataset, for the plan of a search; none by default."""
        return []

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text per part: its folder, its size, and whether it is built."""
        del store
        return [self.ready]

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return the approximate size of each part to be built, in bytes by folder; empty if the dataset is complete.

        By default nothing is built.
        """
        del store
        return {}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Build the missing parts; see `Builder.build`. By default nothing is built.

        Args:
            builder: Builder with the store and the executor.
            verify: Whether to read every byte of the finished parts.

        Returns:
            Names of the damaged shards, which have been rebuilt.
        """
        del builder, verify
        return ()

    @abstractmethod
    def open_dataset(self, store: Storage, cache: Path) -> Any:
        """Open the finished dataset in the form that its trainables accept.

        Args:
            store: Location of the dataset.
            cache: Local folder for copies from a remote store, and for files that can be computed from the dataset.

        Raises:
            InputError: If the dataset is incomplete.
        """

    def estimate_seconds(self, workers: int) -> float:
        """Estimate the duration of a complete build on a number of worker processes, in seconds."""
        del workers
        return 0.0

    def with_spec(self, spec: Any) -> DatasetProvider:
        """Return a provider of the same sound files for another description.

        Raises:
            TypeError: If this kind of data has no variants.
        """
        raise TypeError(f"data of kind {self.spec.kind!r} has no variants, not even {spec!r}")
