"""Distance matrices for the Hungarian network; the trainable draws them within seconds, so that nothing is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.building.spec import DatasetSpec
from runtime.storage import Storage

SPLITS = ("train", "validate", "test")


class MatricesSpec(DatasetSpec):
    """Description of distance matrices; the Config of the Hungarian network determines their number and size."""

    kind: Literal["matrices"] = "matrices"
    seed: int = Field(0, ge=0, description="seed of all splits, which are drawn independently")

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return ("test",)


@dataclass(frozen=True)
class MatricesProvider(DatasetProvider):
    """Provider of distance matrices.

    Attributes:
        spec: Description of the matrices.
    """

    ready: ClassVar[str] = "drawn when a training begins"

    spec: MatricesSpec

    @classmethod
    def from_spec(cls, spec: MatricesSpec, location: str) -> MatricesProvider:
        """Return the provider of a description; there are no sound files to be checked."""
        del location
        return cls(spec)

    @property
    def fingerprint(self) -> str:
        """Identity of the matrices."""
        return hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()[:16]

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first; their sizes are 0, since the Config determines them."""
        return tuple(SplitEntry(name, f"{self.fingerprint}-{name}", 0, "") for name in SPLITS)

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text."""
        del store
        return ["matrices are drawn when a training begins"]

    def open_dataset(self, store: Storage, cache: Path) -> MatricesSpec:
        """Return the description, from which a trainable draws the matrices."""
        del store, cache
        return self.spec
