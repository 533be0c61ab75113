"""Distance matrices for the Hungarian network: drawn by the trainable itself, in seconds, so that nothing is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.rooms.spec import Frozen
from runtime.storage import Store

if TYPE_CHECKING:
    from datasets.building.builder import Builder

SPLITS = ("train", "validate", "test")


class MatricesSpec(Frozen):
    """How the matrices are drawn; how many, and of what size, the Hungarian network's Config says."""

    kind: Literal["matrices"] = "matrices"
    seed: int = Field(0, ge=0, description="of all splits, which are drawn independently")

    def test_names(self) -> tuple[str, ...]:
        """Splits that are tests."""
        return ("test",)


@dataclass(frozen=True)
class MatricesProvider(DatasetProvider):
    """Matrices that are drawn where they are needed."""

    ready: ClassVar[str] = "drawn when a training begins"

    spec: MatricesSpec

    @property
    def fingerprint(self) -> str:
        """See the base class."""
        return hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()[:16]

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """See the base class; sizes are the Config's."""
        return tuple(SplitEntry(name, f"{self.fingerprint}-{name}", 0, "") for name in SPLITS)

    def describe_parts(self, store: Store) -> list[str]:
        """See the base class."""
        del store
        return ["matrices are drawn when a training begins"]

    def missing_bytes(self, store: Store) -> dict[str, int]:
        """See the base class."""
        del store
        return {}

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """See the base class."""
        del builder, verify
        return ()

    def open_dataset(self, store: Store, cache: Path) -> MatricesSpec:
        """See the base class: what a trainable draws them from."""
        del store, cache
        return self.spec
