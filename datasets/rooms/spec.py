"""Descriptions of datasets for the 2D localizer: geometry, rooms and music. Imports neither torch nor scipy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from datasets.acoustics import arrays as geometry
from datasets.building.spec import PROCEDURAL, DatasetSpec, Range, require_ordered
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.array_spec import ArraySpec
from datasets.rooms.split_spec import (
    PAPER_TESTS,
    FileName,
    Noise,
    SourceRange,
    Split,
    SplitSpec,
    source_range,
    with_paper_values,
)
from runtime.uris import expand_home

PROCEDURAL_GENRES: Final = ("classical", "funk", "jazz")

Side = Annotated[float, Field(gt=0, le=1000)]


class SampleSpec(DatasetSpec):
    """Description of a dataset of 160 ms mixtures, whose training split a search may vary."""

    @abstractmethod
    def area_m(self) -> tuple[float, float]:
        """Return the size of the area, x and y, in metres."""

    @abstractmethod
    def microphones_m(self) -> NDArray[np.float64]:
        """Return the positions of the microphones in metres, shape (arrays, microphones, 2).

        The last axis has a third value, the height above the sources, if any microphone has one.
        """

    @property
    def has_own_arrays(self) -> bool:
        """Whether the description has the arrays; otherwise a file of the dataset has them."""
        return True

    @abstractmethod
    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the sound files."""

    @abstractmethod
    def require_feasible(self) -> None:
        """Check that the rooms can hold the sources.

        Raises:
            InputError: If a simulated room is impossible.
        """

    @abstractmethod
    def write_out(self) -> dict[str, Any]:
        """Return the description as plain values, with absent fields of the training split taken from the dataset."""

    @abstractmethod
    def with_changes(self, values: Mapping[str, Any]) -> Self:
        """Return a description with changed fields.

        Args:
            values: New values by dotted name, e.g. `train.snr_db`.

        Raises:
            ValidationError: If a value is out of its bounds.
        """


class LocalizerSpec(SampleSpec):
    """Common fields of the datasets for the 2D localizer of one kind: geometry and splits.

    Attributes:
        papers: Test splits of the paper by name.
        can_echo: Whether the splits may have `acoustics`.
    """

    papers: ClassVar[Mapping[str, SplitSpec]] = PAPER_TESTS
    can_echo: ClassVar[bool] = False

    kind: str
    layout: str = Field("kinect_corners", description="named layout of the arrays; ignored if `arrays` is given")
    arrays: tuple[ArraySpec, ...] | None = Field(None, min_length=1, description="arrays, in place of a named layout")
    size_m: tuple[Side, Side] = Field((6.0, 6.0), description="size of the area, x and y, m")
    min_distance_m: float = Field(2.0, ge=0, description="minimum distance between sources, m")
    sources: SourceRange = Field((1, 2), description="number of sources per sample, in equal shares")
    train: Split = Field(SplitSpec(samples=100_000), description="training samples")
    validate_: Split = Field(SplitSpec(samples=5_000), alias="validate", description="validation samples")
    tests: dict[FileName, Split] = Field(
        default_factory=lambda: dict(PAPER_TESTS), min_length=1, description="test splits by name"
    )
    gate: float = Field(0.02, ge=0, lt=0.2, description="minimum mean |x| of a source whose excerpt has an RMS of 0.1")
    level_db: Range = Field((-20.0, 0.0), description="level of each sample, drawn uniformly, dB")
    snr_db: Range | None = Field(None, description="signal-to-noise ratio, dB; no noise if absent")
    noise: Noise = Field(
        "white",
        description="kind of the noise: `white` or `pink` of each microphone alone, or `diffuse`: pink, from all directions at "
        "once, as of ventilation; `recorded`: sections of `noise_file`",
    )
    noise_file: str | None = Field(
        None,
        description="sound file with the noise at the microphones, a channel per microphone in the order of the arrays, for "
        "`noise: recorded`; training, validation and tests draw from the first 60 %, the next 20 % and the last 20 %",
    )
    seed: int = Field(0, ge=0, description="seed of the samples")
    train_seed: int | None = Field(
        None, ge=0, description="seed of the training samples, drawn from the same sound and rooms; `seed` if absent"
    )

    @model_validator(mode="before")
    @classmethod
    def _tests_by_name(cls, data: object) -> object:
        """Read `tests: [S0, S1]` as test splits of the paper, and `S0: 500` as the paper's S0 with another size."""
        if not isinstance(data, dict) or "tests" not in data:
            return data
        tests = data["tests"]
        if isinstance(tests, list):
            unknown = [name for name in tests if not isinstance(name, str) or name not in cls.papers]
            if unknown:
                raise ValueError(f"tests names {unknown[0]!r}; the paper's test sets are {', '.join(cls.papers)}")
            tests = {name: cls.papers[name] for name in tests}
        elif isinstance(tests, dict):
            tests = {name: with_paper_values(cls.papers.get(str(name)), test) for name, test in tests.items()}
        return data | {"tests": tests}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.arrays is None and self.layout not in geometry.ARRAY_LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is unknown; known layouts: {', '.join(geometry.ARRAY_LAYOUTS)}")
        counts = [len(array.positions_m()) for array in self.arrays or ()]
        if len(set(counts)) > 1:
            numbers = ", ".join(map(str, counts))
            raise ValueError(
                f"all arrays need the same number of microphones, since they share one encoder, got {numbers}; for unequal "
                "ones, write each microphone as an array (mics_m: [[0, 0]]) and encoder: single"
            )
        require_ordered("level_db", self.level_db)
        if "train" in self.tests or "validate" in self.tests:
            raise ValueError("a test set cannot be called train or validate")
        for name, split in self.resolve_splits().items():
            low, high = split.sources or self.sources
            if low > high:
                raise ValueError(f"sources of {name} are reversed: {low}-{high}; write the smaller number first")
            require_ordered(f"snr_db of {name}", split.snr_db or (0.0, 0.0))
            self._check_noise(name, split)
            if split.acoustics is not None and not self.can_echo:
                raise ValueError(f"{name} asks for acoustics, which only simulated rooms have; remove it")
        return self

    def _check_noise(self, name: str, split: SplitSpec) -> None:
        """Require a level and, for recorded noise, the recording."""
        if split.noise != "white" and split.snr_db is None:
            raise ValueError(f"{name} asks for {split.noise} noise without snr_db, its level; add snr_db")
        if split.noise == "recorded" and self.noise_file is None:
            raise ValueError(f"{name} asks for recorded noise without noise_file; add the recording")

    @model_serializer(mode="wrap")
    def _omit_unused_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields without effect, as in the descriptions of versions that lack them."""
        described: dict[str, Any] = serialize(self)
        return {name: value for name, value in described.items() if name not in self._unused_fields()}

    def _unused_fields(self) -> set[str]:
        usual = {"train_seed": None, "noise": "white", "noise_file": None}
        return {name for name, value in usual.items() if getattr(self, name) == value}

    def with_train_seed(self, seed: int) -> Self:
        """Return the description with training samples of another seed and the same other splits."""
        return self.model_copy(update={"train_seed": seed})

    def seed_of_split(self, split: str) -> int:
        """Return the seed of the samples of a split."""
        return self.train_seed if split == "train" and self.train_seed is not None else self.seed

    def area_m(self) -> tuple[float, float]:
        """Return the size of the area, x and y, in metres."""
        return self.size_m

    def microphones_m(self) -> NDArray[np.float64]:
        """Return the positions of the microphones; see `SampleSpec.microphones_m`."""
        arrays = self.arrays or tuple(
            ArraySpec(centre_m=centre, direction_deg=direction)
            for centre, direction in geometry.ARRAY_LAYOUTS[self.layout]
        )
        positions = np.stack([array.positions_m() for array in arrays])
        return positions if positions[..., 2].any() else positions[..., :2]

    def resolve_splits(self) -> dict[str, SplitSpec]:
        """Return all splits by name, training first, with absent fields taken from the dataset."""
        return {
            name: split.model_copy(update=self._split_defaults(split))
            for name, split in {"train": self.train, "validate": self.validate_, **self.tests}.items()
        }

    def _split_defaults(self, split: SplitSpec) -> dict[str, Any]:
        return {
            "sources": split.sources or self.sources,
            "snr_db": split.snr_db or self.snr_db,
            "noise": split.noise or self.noise,
        }

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return tuple(self.tests)

    def max_sources(self) -> int:
        """Return the largest number of sources in any split."""
        return max(source_range(split)[1] for split in self.resolve_splits().values())

    def require_feasible(self) -> None:
        """Accept the rooms, which exist; only simulated ones may be impossible."""

    def write_out(self) -> dict[str, Any]:
        """Return the description as plain values; see `SampleSpec.write_out`."""
        described = self.model_dump(mode="json", by_alias=True)
        left_out = {
            name: field for name, field in type(self).model_fields.items() if (field.alias or name) not in described
        }
        described |= {name: getattr(self, name) for name in left_out}
        return described | {"train": self.resolve_splits()["train"].model_dump(mode="json")}

    def with_changes(self, values: Mapping[str, Any]) -> Self:
        """Return a description with changed fields; see `SampleSpec.with_changes`."""
        described = self.write_out()
        for name, value in values.items():
            *parents, last = name.split(".")
            group = described
            for parent in parents:
                group[parent] = group.get(parent) or {}
                group = group[parent]
            group[last] = value
        return type(self).model_validate(described)

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the sound files.

        The sizes of the other splits are not among them, nor is the path of the recorded noise.
        """
        excluded = {"train", "validate_", "tests", "snr_db", "noise", "noise_file", "sources"}
        excluded |= {"train_seed"} if split != "train" else set()
        described = self.model_dump(mode="json", exclude=excluded)
        resolved = self.resolve_splits()[split].model_dump(mode="json")
        if resolved["noise"] == "white":  # as in the descriptions of versions that lack the field
            del resolved["noise"]
        return described | {"split": split, "of_split": resolved}


class MusicSpec(LocalizerSpec):
    """Dataset whose sources play music, from a folder or from the procedural band."""

    music: str = Field(PROCEDURAL, description="`procedural`, or a folder with one sub-folder per genre")
    genres: tuple[str, ...] | None = Field(
        None, min_length=1, description="genres of the training split; all but `held_out` if absent"
    )
    held_out: str = Field("jazz", description="genre of the test splits with `genres: held_out`")
    excerpt_s: float = Field(6.0, ge=1, le=60, description="length of the excerpts of music, s")
    excerpts: int = Field(200, ge=8, le=20_000, description="maximum number of excerpts per genre")
    split_by: Literal["auto", "recording", "time", "excerpts"] = Field(
        "auto",
        description="division of a music folder among the splits: whole recordings, or sections with gaps between them; "
        "`auto`: by recording where a genre has enough, else by time; `excerpts`: neighbouring excerpts in any split, as in "
        "searches of earlier versions",
    )
    # The files that remain identify the data, so the option itself is not part of any dump.
    skip_broken: bool = Field(
        False, exclude=True, description="leave out sound files that cannot be used, instead of refusing the folder"
    )

    @model_validator(mode="after")
    def _check_music(self) -> Self:
        if self.genres is not None and self.held_out in self.genres:
            raise ValueError(f"genre {self.held_out!r} cannot be held out and heard in training at once")
        unknown = {self.held_out, *(self.genres or ())} - set(PROCEDURAL_GENRES)
        if self.music == PROCEDURAL and unknown:
            raise ValueError(
                f"the procedural band plays {', '.join(PROCEDURAL_GENRES)}, not {', '.join(sorted(unknown))}"
            )
        return self

    def _unused_fields(self) -> set[str]:
        return super()._unused_fields() | (set() if self.divides_recordings() else {"split_by"})

    def divides_recordings(self) -> bool:
        """Return whether the splits share no neighbouring excerpts of a recording."""
        return self.music_folder() is not None and self.split_by != "excerpts"

    def uses_held_out(self) -> bool:
        """Return whether any test split plays the held-out genre."""
        return any(test.genres == "held_out" for test in self.tests.values())

    def music_folder(self) -> Path | None:
        """Return the folder of the music, or None for the procedural band."""
        return None if self.music == PROCEDURAL else expand_home(self.music)

    def music_identity(self) -> dict[str, Any]:
        """Return all values that the excerpts depend on, except for the sound files."""
        described = self.model_dump(mode="json", include={"genres", "held_out", "excerpt_s", "excerpts", "seed"})
        if self.divides_recordings():
            described |= {"split_by": self.split_by, "shares": self._list_shares()}
        return described

    def _list_shares(self) -> list[tuple[str, str]]:
        return sorted((name, test.genres) for name, test in self.tests.items())

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the sound files.

        Test splits share the excerpts, so their names are included; the path of the folder is not.
        """
        shares = self._list_shares()
        band = {"music": PROCEDURAL} if self.music_folder() is None else {"music": "files"}
        return super().split_identity(split) | {"shares": shares} | band


class RoomSpec(MusicSpec):
    """Dataset of simulated rooms, anechoic (section III-A; Table I) or reverberant."""

    can_echo: ClassVar[bool] = True

    kind: Literal["room"] = "room"
    raster_m: float = Field(0.05, gt=0, le=1, description="cell size of the raster of source positions, m")
    clearance_m: float = Field(0.3, gt=0, description="minimum distance between a source and a microphone, m")
    acoustics: Acoustics | None = Field(None, description="reverberant rooms; anechoic if absent")

    def draw_positions(self, generator: np.random.Generator, samples: int, sources: int) -> NDArray[np.float64]:
        """Draw source positions; see `datasets.acoustics.arrays.draw_positions`."""
        return geometry.draw_positions(
            generator,
            samples,
            sources,
            size_m=self.size_m,
            raster_m=self.raster_m,
            min_distance_m=self.min_distance_m,
            microphones_m=self.microphones_m()[..., :2].reshape(-1, 2),
            clearance_m=self.clearance_m,
        )

    def require_feasible(self) -> None:
        """Place the largest number of sources once, and draw all reverberant rooms.

        Raises:
            InputError: If a room is impossible.
        """
        from datasets.rooms import reverberation  # imports this module

        reverberation.require_rooms(self)

    def _split_defaults(self, split: SplitSpec) -> dict[str, Any]:
        return super()._split_defaults(split) | {"acoustics": split.acoustics or self.acoustics}

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the sound files."""
        described = super().split_identity(split)
        described.pop("acoustics")
        return described


class MeasuredSpec(MusicSpec):
    """Dataset of measured impulse responses; sources have the measured positions."""

    kind: Literal["measured"] = "measured"
    bank: str = Field(description="impulse responses: a .sofa file, or a .npz file as described in docs/data.md")
    bank_arrays: int = Field(
        2, ge=1, description="number of arrays that the receivers of a SOFA file are assigned to in order"
    )
    test_share: float = Field(0.15, gt=0, lt=0.5, description="share of the measured positions for the test splits")
    validate_share: float = Field(
        0.15, gt=0, lt=0.5, description="share of the measured positions for the validation split"
    )

    @property
    def has_own_arrays(self) -> bool:
        """Whether the description has the arrays: no, the bank has them."""
        return False

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the content of the bank and the music."""
        described = super().split_identity(split)
        described.pop("bank")
        return described
