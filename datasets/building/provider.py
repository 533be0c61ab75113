"""What a search, and `datasets.generate`, ask of every kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.errors import InputError
from runtime.storage import Store

if TYPE_CHECKING:
    from datasets.building.builder import Builder


@dataclass(frozen=True)
class SplitEntry:
    """A split as a record of it names it.

    Attributes:
        name: `train`, `validate`, or a test's.
        digest: Of all that it depends on.
        samples: How many.
        folder: Where in the store; empty if it is never stored.
    """

    name: str
    digest: str
    samples: int
    folder: str


def require_kind(source: DatasetProvider, *kinds: str) -> None:
    """Refuse data of a kind that a trainable does not take.

    Args:
        source: What is to be trained on.
        kinds: What it takes.

    Raises:
        InputError: If the data is of no such kind.
    """
    if source.spec.kind not in kinds:
        raise InputError(
            "dataset.kind",
            f"the trainable learns from data of the kind {' or '.join(kinds)}",
            value=source.spec.kind,
            remedy="write another dataset: {kind: …}, or name another trainable:",
        )


class DatasetProvider(ABC):
    """Data that can be made and opened; its sound files, if any, are checked.

    Attributes:
        spec: What it is.
        unit: What its splits are made of.
        ready: What a plan says where nothing is to be made.
    """

    spec: Any
    unit: ClassVar[str] = "samples"
    ready: ClassVar[str] = "already built"

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identity of the whole."""

    @abstractmethod
    def list_splits(self) -> tuple[SplitEntry, ...]:
        """All splits, training first."""

    @abstractmethod
    def describe_parts(self, store: Store) -> list[str]:
        """What is to be made, in words, a line each."""

    @abstractmethod
    def missing_bytes(self, store: Store) -> dict[str, int]:
        """What is still to be made, by folder; empty if it can be opened."""

    @abstractmethod
    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Make what is missing; returns names of what was there and had to be made again."""

    @abstractmethod
    def open_dataset(self, store: Store, cache: Path) -> Any:
        """The finished data, as its trainable takes it.

        Raises:
            InputError: If it is not there.
        """

    def estimate_seconds(self, workers: int) -> float:
        """About how long making all of it takes."""
        del workers
        return 0.0

    def with_spec(self, spec: Any) -> DatasetProvider:
        """The same sound files for another spec.

        Raises:
            TypeError: If this kind of data has no variants.
        """
        raise TypeError(f"data of kind {self.spec.kind!r} has no variants, not even {spec!r}")
