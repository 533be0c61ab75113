"""Descriptions of datasets for the 2D localizer: arrays, splits, rooms and music. Imports neither torch nor scipy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from datasets.acoustics import arrays as geometry
from datasets.building.spec import PROCEDURAL, DatasetSpec, Frozen, Range, validate_range
from runtime.uris import expand_home

_LEAST_APART_M: Final = 1e-4
"""Distance of two microphones of an array below which they are at the same place."""
PROCEDURAL_GENRES: Final = ("classical", "funk", "jazz")

Count = Annotated[int, Field(ge=1, le=4)]
SourceRange = Annotated[tuple[Count, Count], BeforeValidator(validate_range)]
Side = Annotated[float, Field(gt=0, le=1000)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


Place = tuple[float, float] | tuple[float, float, float]


class ArraySpec(Frozen):
    """Microphone array: on a bar, of a common model, or with any positions."""

    centre_m: tuple[float, float] = Field(description="centre of the array, m")
    direction_deg: float = Field(
        0.0, description="direction of the bar, or of the array's x axis, degrees counter-clockwise from x"
    )
    offsets_m: tuple[float, ...] = Field(
        geometry.KINECT_OFFSETS_M, min_length=1, description="microphones along the bar, m"
    )
    model: str | None = Field(
        None, description=f"common array, instead of a bar: {', '.join(geometry.MICROPHONE_ARRAYS)}"
    )
    mics_m: tuple[Place, ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="microphones relative to the centre, instead of a bar: [x, y], or [x, y, height above the sources], m",
    )

    @model_validator(mode="after")
    def _check_microphones(self) -> Self:
        given = [name for name in ("offsets_m", "model", "mics_m") if name in self.model_fields_set]
        if len(given) > 1:
            raise ValueError(f"an array has one of offsets_m, model and mics_m, got {' and '.join(given)}")
        if self.model is not None and self.model not in geometry.MICROPHONE_ARRAYS:
            raise ValueError(
                f"model {self.model!r} is unknown; known models: {', '.join(geometry.MICROPHONE_ARRAYS)}; "
                "write other arrays as mics_m"
            )
        positions = self.positions_m()
        apart = np.linalg.norm(positions[:, None] - positions, axis=-1) + np.where(
            np.eye(len(positions)) > 0, np.inf, 0
        )
        if apart.min() < _LEAST_APART_M:
            first, second = sorted(np.unravel_index(int(apart.argmin()), apart.shape))
            raise ValueError(f"microphones {first} and {second} are at the same place, {positions[first].tolist()} m")
        return self

    @model_serializer(mode="wrap")
    def _omit_unused_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields without effect, as in the descriptions of versions that lack them."""
        described: dict[str, Any] = serialize(self)
        is_bar = self.model is None and self.mics_m is None
        unused = (
            {"model", "mics_m"} if is_bar else {"offsets_m"} | {n for n in ("model", "mics_m") if described[n] is None}
        )
        return {name: value for name, value in described.items() if name not in unused}

    def positions_m(self) -> NDArray[np.float64]:
        """Return the positions of the microphones and their heights above the sources in metres, shape (microphones, 3)."""
        if self.model is None and self.mics_m is None:
            bar = geometry.linear_array(self.centre_m, self.direction_deg, self.offsets_m)
            return np.column_stack([bar, np.zeros(len(bar))])
        places = self.mics_m if self.model is None else geometry.MICROPHONE_ARRAYS[self.model]
        return geometry.place_array(self.centre_m, self.direction_deg, places or ())


class Acoustics(Frozen):
    """Reverberant shoebox rooms, by the image source method (Allen and Berkley 1979); ranges are drawn per room."""

    rt60_s: Range | None = Field(
        None,
        description="reverberation time after Sabine, s; 0 for anechoic rooms",
        json_schema_extra={"bounds": "≥ 0"},
    )
    absorption: Range | None = Field(
        None,
        description="energy absorption of all surfaces, instead of rt60_s",
        json_schema_extra={"bounds": "> 0, ≤ 1"},
    )
    margin_m: Range = Field(
        (0.5, 1.5), description="distance from the area to each wall, m", json_schema_extra={"bounds": "≥ 0"}
    )
    height_m: Range = Field(
        (2.5, 3.0),
        description="height of the room, m",
        json_schema_extra={"bounds": "≥ 0"},
    )
    array_height_m: Range = Field(
        (1.2, 1.2), description="height of the arrays, m", json_schema_extra={"bounds": "≥ 0, below height_m"}
    )
    source_height_m: Range = Field(
        (1.2, 1.2),
        description="height of the sources, drawn per position, m",
        json_schema_extra={"bounds": "≥ 0, below height_m"},
    )
    max_order: int | None = Field(
        None, ge=0, le=200, description="order of reflections; as high as the RT60 needs if absent"
    )
    rooms: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="number of rooms")
    positions: Annotated[int, Field(ge=4, le=20_000)] = Field(100, description="number of source positions per room")

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (self.rt60_s is None) == (self.absorption is None):
            raise ValueError("acoustics takes rt60_s or absorption, one of them")
        for name in ("rt60_s", "absorption", "margin_m", "height_m", "array_height_m", "source_height_m"):
            _require_ordered(name, getattr(self, name) or (0.0, 0.0), least=0.0)
        if self.rt60_s is not None and self.rt60_s[0] == 0 < self.rt60_s[1]:
            raise ValueError("rt60_s is 0 or above 0, not a range from one to the other")
        if self.absorption is not None and not 0 < self.absorption[0] <= self.absorption[1] <= 1:
            raise ValueError(f"absorption lies above 0 and at most at 1, got {list(self.absorption)}")
        if self.absorption is not None and self.max_order is None:
            raise ValueError("absorption needs max_order, the number of reflections to follow")
        highest = max(self.array_height_m[1], self.source_height_m[1])
        if highest >= self.height_m[0]:
            raise ValueError(f"arrays and sources stand below the ceiling: {highest} m in {self.height_m[0]} m")
        return self

    @property
    def is_reverberant(self) -> bool:
        """Whether the rooms have reflections."""
        return self.rt60_s != (0.0, 0.0) and self.max_order != 0


def _require_ordered(name: str, value: tuple[float, float], *, least: float | None = None) -> None:
    low, high = value
    if low > high:
        raise ValueError(f"{name} is reversed: {[low, high]}; write the smaller number first")
    if least is not None and low < least:
        raise ValueError(f"{name} starts at {least:g} or above, got {low:g}")


class SplitSpec(Frozen):
    """Split of a dataset; absent fields have the values of the dataset."""

    samples: int = Field(gt=0, le=10**9, description="number of samples")
    sources: SourceRange | None = Field(None, description="number of sources per sample, in equal shares")
    genres: Literal["seen", "held_out"] = Field(
        "seen", description="genres of the music: those of the training, or the held-out one"
    )
    acoustics: Acoustics | None = Field(None, description="reverberant rooms; those of the dataset if absent")
    snr_db: Range | None = Field(None, description="signal-to-noise ratio, dB; that of the dataset if absent")


def _parse_split(value: object) -> object:
    """Read `4000` as `{samples: 4000}`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"samples": value}
    if not isinstance(value, Mapping | SplitSpec):  # pydantic's message would name the class
        raise ValueError("a split is a number of samples, an integer, or a mapping such as {samples: 4000, snr_db: 20}")
    return value


Split = Annotated[SplitSpec, BeforeValidator(_parse_split)]

PAPER_TESTS: Final = {
    "S0": SplitSpec(samples=5000, sources=(1, 2)),
    "S1": SplitSpec(samples=2500, sources=(3, 3)),
    "S2": SplitSpec(samples=5000, sources=(1, 2), genres="held_out"),
}
"""Table I, synthetic."""


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
    snr_db: Range | None = Field(None, description="signal-to-noise ratio of the sensor noise, dB; no noise if absent")
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
            tests = {name: _with_paper_values(cls.papers.get(str(name)), test) for name, test in tests.items()}
        return data | {"tests": tests}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.arrays is None and self.layout not in geometry.ARRAY_LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is unknown; known layouts: {', '.join(geometry.ARRAY_LAYOUTS)}")
        counts = [len(array.positions_m()) for array in self.arrays or ()]
        if len(set(counts)) > 1:
            numbers = ", ".join(map(str, counts))
            raise ValueError(
                f"all arrays need the same number of microphones, since they share one encoder, got {numbers}"
            )
        _require_ordered("level_db", self.level_db)
        if "train" in self.tests or "validate" in self.tests:
            raise ValueError("a test set cannot be called train or validate")
        for name, split in self.resolve_splits().items():
            low, high = split.sources or self.sources
            if low > high:
                raise ValueError(f"sources of {name} are reversed: {low}-{high}; write the smaller number first")
            _require_ordered(f"snr_db of {name}", split.snr_db or (0.0, 0.0))
            if split.acoustics is not None and not self.can_echo:
                raise ValueError(f"{name} asks for acoustics, which only simulated rooms have; remove it")
        return self

    @model_serializer(mode="wrap")
    def _omit_unused_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields without effect, as in the descriptions of versions that lack them."""
        described: dict[str, Any] = serialize(self)
        return {name: value for name, value in described.items() if name not in self._unused_fields()}

    def _unused_fields(self) -> set[str]:
        return {"train_seed"} if self.train_seed is None else set()

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
        return {"sources": split.sources or self.sources, "snr_db": split.snr_db or self.snr_db}

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

        The sizes of the other splits are not among them.
        """
        excluded = {"train", "validate_", "tests", "snr_db", "sources"}
        excluded |= {"train_seed"} if split != "train" else set()
        described = self.model_dump(mode="json", exclude=excluded)
        return described | {"split": split, "of_split": self.resolve_splits()[split].model_dump(mode="json")}


def source_range(split: SplitSpec) -> tuple[int, int]:
    """Return the range of the number of sources of a split from `LocalizerSpec.resolve_splits`."""
    if split.sources is None:
        raise ValueError("the split has not been filled in by its dataset")
    return split.sources


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


def _with_paper_values(paper: SplitSpec | None, test: object) -> object:
    """Fill absent fields of a test split with the values of the paper's split of the same name."""
    test = _parse_split(test)
    if paper is not None and isinstance(test, dict):
        return paper.model_dump(exclude_none=True) | test
    return test
