"""Provider of datasets whose splits come from several datasets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.mixed.spec import MixedSpec
from datasets.recordings.provider import RecordingsProvider
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.provider import ArrayProvider, MeasuredProvider, RoomProvider, SampleProvider
from datasets.rooms.spec import LocalizerSpec, MeasuredSpec, RoomSpec
from runtime import hashing
from runtime.errors import InputError
from runtime.storage import Storage

if TYPE_CHECKING:
    from datasets.building.builder import Builder

_TOLERANCE_M: Final = 1e-3
"""Distance of two positions of a microphone that are the same."""


@dataclass(frozen=True)
class _Member:
    """Dataset of which some splits are used.

    Attributes:
        place: Key of the mixed dataset, such as `train.0`.
        splits: Names of the splits that are used.
        provider: The dataset, restricted to these splits.
    """

    place: str
    splits: tuple[str, ...]
    provider: SampleProvider


@dataclass(frozen=True)
class MixedProvider(ArrayProvider):
    """Provider of a mixed dataset: each member is built and stored as a dataset of its own."""

    mixed: MixedSpec
    members: tuple[_Member, ...]

    @classmethod
    def from_spec(cls, spec: MixedSpec, location: str) -> MixedProvider:
        """Check and hash the sound files of all members, and check that their arrays agree.

        Args:
            spec: Description of the dataset.
            location: Option or key that names its files, for errors.

        Raises:
            InputError: If files are missing or unreadable, a room is impossible, or the arrays differ.
        """
        root = location.rpartition(".")[0] or location
        listed: list[tuple[str, tuple[str, ...], LocalizerSpec]] = []
        listed += [(f"train.{number}", ("train",), part) for number, part in enumerate(spec.train)]
        listed.append(("validate", ("validate",), spec.validate_))
        listed += [(f"tests.{number}", part.test_names(), part) for number, part in enumerate(spec.tests)]
        members = tuple(
            _Member(place, splits, _prepare(described, f"{root}.{place}", splits))
            for place, splits, described in listed
        )
        _require_same_arrays(members, root)
        return cls(spec, members)

    @property
    def spec(self) -> MixedSpec:
        """Description of the dataset."""
        return self.mixed

    @property
    def microphones_m(self) -> NDArray[np.float64]:
        """Positions of the microphones in metres, shape (arrays, microphones, 2 or 3)."""
        return self.members[0].provider.microphones_m

    @property
    def fingerprint(self) -> str:
        """Identity of the dataset."""
        return hashing.hash_values([[list(member.splits), member.provider.fingerprint] for member in self.members])

    def list_splits(self) -> tuple[SplitEntry, ...]:
        """Return all splits, training first; concatenated training splits have the folder of the first one."""
        listed = [entry for member in self.members for entry in member.provider.list_splits()]
        train = [entry for entry in listed if entry.name == "train"]
        if len(train) > 1:
            digest = hashing.hash_values([entry.digest for entry in train])
            whole = SplitEntry("train", digest, sum(entry.samples for entry in train), train[0].folder)
            return (whole, *(entry for entry in listed if entry.name != "train"))
        return tuple(listed)

    def describe_parts(self, store: Storage) -> list[str]:
        """Return one line of text per part, each part once."""
        lines = [line for member in self.members for line in member.provider.describe_parts(store)]
        return list(dict.fromkeys(lines))

    def describe_notes(self) -> list[str]:
        """Return which dataset each split comes from, and the notes on each."""
        lines = [f"{', '.join(member.splits)}: {member.provider.spec.kind}" for member in self.members]
        lines += [note for member in self.members for note in member.provider.describe_notes()]
        return list(dict.fromkeys(lines))

    def missing_bytes(self, store: Storage) -> dict[str, int]:
        """Return the approximate size of each part to be built, in bytes by folder."""
        missing: dict[str, int] = {}
        for member in self.members:
            missing |= member.provider.missing_bytes(store)
        return missing

    def build(self, builder: Builder, *, verify: bool = False) -> tuple[str, ...]:
        """Build the missing parts one dataset after the other; return the damaged shards, which have been rebuilt."""
        damaged = [name for member in self.members for name in member.provider.build(builder, verify=verify)]
        return tuple(dict.fromkeys(damaged))

    def open_dataset(self, store: Storage, cache: Path) -> Any:
        """Open the finished dataset as a `datasets.rooms.dataset.Dataset`.

        Raises:
            InputError: If a part is incomplete.
        """
        from datasets.rooms.dataset import Dataset, join_manifests  # loads torch

        opened = [member.provider.open_dataset(store, cache) for member in self.members]
        manifests: dict[str, Any] = {}
        for part in opened:
            for name, manifest in part.manifests.items():
                manifests[name] = join_manifests([manifests[name], manifest]) if name in manifests else manifest
        return Dataset(opened[0].store, self.fingerprint, self.mixed, self.microphones_m, manifests)

    def estimate_seconds(self, workers: int) -> float:
        """Estimate the duration of a complete build: the sum of those of the members."""
        return sum(member.provider.estimate_seconds(workers) for member in self.members)

    def with_spec(self, spec: Any) -> DatasetProvider:
        """Return a provider of the same sound files for another description, which differs in training splits only."""
        members = tuple(
            dataclasses.replace(member, provider=member.provider.with_spec(described))
            for member, described in zip(self.members, spec.list_members(), strict=True)
        )
        return dataclasses.replace(self, mixed=spec, members=members)


def _prepare(spec: LocalizerSpec, place: str, splits: tuple[str, ...]) -> SampleProvider:
    if isinstance(spec, RoomSpec):
        return RoomProvider.from_spec(spec, f"{place}.music", splits)
    if isinstance(spec, MeasuredSpec):
        return MeasuredProvider.from_spec(spec, f"{place}.music", splits)
    if isinstance(spec, RecordingsSpec):
        return RecordingsProvider.from_spec(spec, f"{place}.manifest", splits)
    raise TypeError(f"{spec.kind} is no member of a mixed dataset")


def _require_same_arrays(members: tuple[_Member, ...], root: str) -> None:
    """Check that the microphones of all members are at the same places."""
    first, *others = members
    expected = first.provider.microphones_m
    for member in others:
        found = member.provider.microphones_m
        if found.shape != expected.shape:
            value = f"{_count(found)} in {member.place}, {_count(expected)} in {first.place}"
        elif np.abs(found - expected).max() > _TOLERANCE_M:
            worst = np.unravel_index(np.abs(found - expected).max(axis=-1).argmax(), found.shape[:2])
            place, other = found[worst].round(3).tolist(), expected[worst].round(3).tolist()
            value = (
                f"microphone {worst[1]} of array {worst[0]} at {place} m in {member.place}, {other} m in {first.place}"
            )
        else:
            continue
        raise InputError(
            f"{root}.{member.place}",
            "all members of a mixed dataset must have the same microphones",
            value=value,
            remedy="write the same layout or arrays in every member; those of measured responses are in their file",
        )


def _count(microphones_m: NDArray[np.float64]) -> str:
    return f"{microphones_m.shape[0]} arrays of {microphones_m.shape[1]} microphones"
