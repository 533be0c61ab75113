"""The absence of data, for trainables that need none or that load their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.building.spec import DatasetSpec
from runtime.storage import Storage


class NoneSpec(DatasetSpec):
    """No data: the trainable needs none, or loads its own, of which Soundsweep then has no record."""

    kind: Literal["none"] = "none"
    tests: tuple[str, ...] = Field((), description="test splits that the trainable evaluates without a dataset")

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return self.tests


@dataclass(frozen=True)
class NoneProvider(DatasetProvider):
    """Provider of no data.

    Attributes:
        spec: Description without content.
    """

    ready: ClassVar[str] = "the trainable gets no data"

    spec: NoneSpec

    @classmethod
    def from_spec(cls, spec: NoneSpec, location: str) -> NoneProvider:
        """Return the provider; there is nothing to be checked."""
        del location
        return cls(spec)

    @property
    def fingerprint(self) -> str:
        """Identity of no data."""
        return "none"

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return no splits."""
        return ()

    def open_dataset(self, store: Storage, cache: Path) -> None:
        """Return None."""
        del store, cache
