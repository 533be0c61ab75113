"""Description of a dataset whose splits come from several datasets with the same arrays and area."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from datasets.building.spec import PROCEDURAL
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import LocalizerSpec, MeasuredSpec, MusicSpec, RoomSpec, SampleSpec

_KIND_RULE: Final = "each member of a mixed dataset has its own kind: room, measured or recordings"


def _kind_of(value: object) -> str:
    return str(value.get("kind", "room") if isinstance(value, dict) else getattr(value, "kind", "room"))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict | LocalizerSpec) else value


Member = Annotated[
    Annotated[RoomSpec, Tag("room")]
    | Annotated[MeasuredSpec, Tag("measured")]
    | Annotated[RecordingsSpec, Tag("recordings")],
    Discriminator(
        _kind_of,
        custom_error_type="member_kind",
        custom_error_message=_KIND_RULE,
    ),
]
"""Complete description of a dataset, of which some splits are used."""

Members = Annotated[tuple[Member, ...], BeforeValidator(_as_list), Field(min_length=1)]


class MixedSpec(SampleSpec):
    """Dataset of several kinds: what a model learns from need not be what it is chosen and tested on.

    Attributes:
        train: Descriptions whose training splits are concatenated.
        validate_: Description whose validation split is used.
        tests: Descriptions whose test splits are used, under their names.
    """

    kind: Literal["mixed"] = "mixed"
    train: Members = Field(
        description="datasets whose training samples are used, all of them together; each with a `kind`"
    )
    validate_: Member = Field(alias="validate", description="dataset whose validation samples are used; with a `kind`")
    tests: Members = Field(description="datasets whose test splits are used; each with a `kind`")

    @model_validator(mode="after")
    def _check_splits(self) -> Self:
        count = Counter(name for member in self.tests for name in member.test_names())
        twice = [name for name, number in count.items() if number > 1]
        if twice:
            raise ValueError(f"two datasets of tests have a split {twice[0]!r}; give one of them another name")
        sizes = {member.size_m for member in self.list_members()}
        if len(sizes) > 1:
            areas = ", ".join(f"{x:g} × {y:g} m" for x, y in sorted(sizes))
            raise ValueError(f"all members of a mixed dataset have the same area, size_m; they have {areas}")
        players = [member for member in self.list_members() if isinstance(member, MusicSpec)]
        for one, other in itertools.combinations(players, 2):
            _require_same_division(one, other)
        return self

    def area_m(self) -> tuple[float, float]:
        """Return the size of the area, x and y, in metres."""
        return self.validate_.size_m

    @property
    def has_own_arrays(self) -> bool:
        """Whether any member describes the arrays itself."""
        return any(member.has_own_arrays for member in self.list_members())

    def list_members(self) -> tuple[LocalizerSpec, ...]:
        """Return the descriptions of all members: training, validation, tests."""
        return (*self.train, self.validate_, *self.tests)

    def list_origins(self) -> Iterator[tuple[str, tuple[LocalizerSpec, ...]]]:
        """Yield the name of each split with the descriptions that its samples come from."""
        yield "train", self.train
        yield "validate", (self.validate_,)
        for member in self.tests:
            yield from ((name, (member,)) for name in member.test_names())

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return tuple(name for member in self.tests for name in member.test_names())

    def microphones_m(self) -> NDArray[np.float64]:
        """Return the positions of the microphones of the first member that describes them itself."""
        members = self.list_members()
        return next((member for member in members if member.has_own_arrays), members[0]).microphones_m()

    def max_sources(self) -> int:
        """Return the largest number of sources in any split."""
        return max(member.max_sources() for member in self.list_members())

    def require_feasible(self) -> None:
        """Check the rooms of every member.

        Raises:
            InputError: If a simulated room is impossible.
        """
        for member in self.list_members():
            member.require_feasible()

    def with_train_seed(self, seed: int) -> Self:
        """Return the description with training samples of another seed; recordings have none."""
        return self.model_copy(update={"train": tuple(member.with_train_seed(seed) for member in self.train)})

    def write_out(self) -> dict[str, Any]:
        """Return the description as plain values, with the training split of the first member as `train`."""
        return self.model_dump(mode="json", by_alias=True) | {"train": self.train[0].write_out()["train"]}

    def with_changes(self, values: Mapping[str, Any]) -> Self:
        """Return a description in which the first dataset of the training is changed; see `SampleSpec.with_changes`."""
        return self.model_copy(update={"train": (self.train[0].with_changes(values), *self.train[1:])})

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the sound files."""
        members = dict(self.list_origins())[split]
        if len(members) == 1:
            return members[0].split_identity(split)
        return {"parts": [member.split_identity(split) for member in members]}


def _require_same_division(one: MusicSpec, other: MusicSpec) -> None:
    """Check that two members that play the same music divide it alike, so that no split plays what another one plays."""
    first, second = _describe_division(one), _describe_division(other)
    is_other_band = one.music == PROCEDURAL and one.seed != other.seed  # each seed composes other pieces
    if one.music != other.music or is_other_band:
        return
    differing = [name for name in first if first[name] != second[name]]
    if differing:
        raise ValueError(
            f"members that play the same music divide it alike: write the same {', '.join(differing)} in each of them"
            + (", or another seed" if one.music == PROCEDURAL else "")
        )


def _describe_division(spec: MusicSpec) -> dict[str, Any]:
    tests = sorted((name, test.genres) for name, test in spec.tests.items())
    names = ("seed", "excerpts", "excerpt_s", "genres", "held_out", "split_by")
    return {name: getattr(spec, name) for name in names} | {"tests (names and genres)": tests}
