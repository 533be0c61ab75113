"""Distance matrices for the Hungarian network; the trainable draws them within seconds, so that nothing is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.building.spec import DatasetSpec
from runtime.storage import Storage

SPLITS = ("train", "validate", "test")


class MatricesSpec(DatasetSpec):
    """Description of distance matrices; the Config of the Hungarian network determines their number and size."""

    kind: Literal["matrices"] = "matrices"
    seed: int = Field(0, ge=0, description="seed of all splits, which are drawn independently")
    train_seed: int | None = Field(None, ge=0, description="seed of the training matrices; `seed` if absent")

    @model_serializer(mode="wrap")
    def _omit_train_seed(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an absent seed, as in the descriptions of versions that lack the field."""
        described: dict[str, Any] = serialize(self)
        return {name: value for name, value in described.items() if (name, value) != ("train_seed", None)}

    def with_train_seed(self, seed: int) -> Self:
        """Return the description with training matrices of another seed and the same other splits."""
        return self.model_copy(update={"train_seed": seed})

    def seed_of_split(self, split: str) -> int:
        """Return the seed of the matrices of a split."""
        return self.train_seed if split == "train" and self.train_seed is not None else self.seed

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
        own = hashlib.sha256(self.spec.model_copy(update={"train_seed": None}).model_dump_json().encode())
        digests = {name: self.fingerprint if name == "train" else own.hexdigest()[:16] for name in SPLITS}
        return tuple(SplitEntry(name, f"{digest}-{name}", 0, "") for name, digest in digests.items())

    def with_spec(self, spec: Any) -> MatricesProvider:
        """Return the provider of another description."""
        return replace(self, spec=spec)

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text."""
        del store
        return ["matrices are drawn when a training begins"]

    def open_dataset(self, store: Storage, cache: Path) -> MatricesSpec:
        """Return the description, from which a trainable draws the matrices."""
        del store, cache
        return self.spec
