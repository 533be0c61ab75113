"""What a dataset is: a frozen description. Read without torch, so that mistakes are answered at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from datasets.acoustics import arrays as geometry

PROCEDURAL: Final = "procedural"
PROCEDURAL_GENRES: Final = ("classical", "funk", "jazz")
_RANGE: Final = re.compile(r"(-?[\d.]+)(?:\s*-\s*(-?[\d.]+))?")


class Frozen(BaseModel):
    """A value: immutable, complete, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def parse_range(value: object) -> tuple[Any, Any] | None:
    """Read `1-2` as (1, 2) and `2` as (2, 2); None for what is no such thing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, str) and (found := _RANGE.fullmatch(value.strip())):
        return (found[1], found[2] or found[1])
    return None


def _parse_range(value: object) -> object:
    read = parse_range(value)
    return value if read is None else read


Count = Annotated[int, Field(ge=1, le=4)]
SourceRange = Annotated[tuple[Count, Count], BeforeValidator(_parse_range)]
Range = Annotated[tuple[float, float], BeforeValidator(_parse_range)]
"""Drawn uniformly between two numbers; written [low, high], `low-high` or one number."""
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class ArraySpec(Frozen):
    """One linear microphone array."""

    centre_m: tuple[float, float] = Field(description="centre of the bar, m")
    direction_deg: float = Field(description="direction of the bar, degrees counter-clockwise from x")
    offsets_m: tuple[float, ...] = Field(
        geometry.KINECT_OFFSETS_M, min_length=2, description="microphones along the bar, m"
    )


class Acoustics(Frozen):
    """Shoebox rooms that echo, by the image source method (Allen and Berkley 1979). Ranges are drawn room by room."""

    rt60_s: Range | None = Field(None, description="reverberation time after Sabine, s; 0 for no echo at all")
    absorption: Range | None = Field(None, description="energy absorption of all surfaces, instead of rt60_s")
    margin_m: Range = Field((0.5, 1.5), description="from the area to each wall, m")
    height_m: Range = Field((2.5, 3.0), description="height of the room, m")
    array_height_m: Range = Field((1.2, 1.2), description="height of the arrays, m")
    source_height_m: Range = Field((1.2, 1.2), description="height of the sources, drawn place by place, m")
    max_order: int | None = Field(None, ge=0, le=200, description="reflections; as many as the RT60 needs if absent")
    rooms: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="how many rooms")
    positions: Annotated[int, Field(ge=4, le=20_000)] = Field(100, description="places of sources in each room")

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
        """Whether there is any reflection."""
        return self.rt60_s != (0.0, 0.0) and self.max_order != 0


def _require_ordered(name: str, value: tuple[float, float], *, least: float | None = None) -> None:
    low, high = value
    if low > high:
        raise ValueError(f"{name} is reversed: {[low, high]}; write the smaller number first")
    if least is not None and low < least:
        raise ValueError(f"{name} starts at {least:g} or above, got {low:g}")


class SplitSpec(Frozen):
    """One split; what is left out, the dataset says."""

    samples: PositiveInt
    sources: SourceRange | None = Field(None, description="sources in a sample, equal shares")
    genres: Literal["seen", "held_out"] = "seen"
    acoustics: Acoustics | None = None
    snr_db: Range | None = None


def _parse_split(value: object) -> object:
    """Read `4000` as `{samples: 4000}`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"samples": value}
    if not isinstance(value, Mapping | SplitSpec):  # pydantic would name our class
        raise ValueError("a split is a number of samples, an integer, or a mapping such as {samples: 4000, snr_db: 20}")
    return value


Split = Annotated[SplitSpec, BeforeValidator(_parse_split)]

PAPER_TESTS: Final = {
    "S0": SplitSpec(samples=5000, sources=(1, 2)),
    "S1": SplitSpec(samples=2500, sources=(3, 3)),
    "S2": SplitSpec(samples=5000, sources=(1, 2), genres="held_out"),
}
"""Table I, synthetic."""


class LocalizerSpec(Frozen):
    """What all data for the 2D localizer share: where arrays and sources are, and the splits."""

    papers: ClassVar[Mapping[str, SplitSpec]] = PAPER_TESTS
    can_echo: ClassVar[bool] = False

    kind: str
    layout: str = Field("kinect_corners", description="a named layout of arrays; ignored where `arrays` is given")
    arrays: tuple[ArraySpec, ...] | None = Field(None, min_length=1, description="arrays of one's own")
    size_m: tuple[PositiveFloat, PositiveFloat] = Field((6.0, 6.0), description="the area, m")
    min_distance_m: float = Field(2.0, ge=0, description="least distance between sources, m")
    sources: SourceRange = Field((1, 2), description="sources in a sample, equal shares")
    train: Split = Field(SplitSpec(samples=100_000), description="training samples")
    validate_: Split = Field(SplitSpec(samples=5_000), alias="validate", description="validation samples")
    tests: dict[FileName, Split] = Field(default_factory=lambda: dict(PAPER_TESTS), min_length=1)
    gate: float = Field(0.02, ge=0, lt=0.2, description="least mean |x| of a source, where its excerpt's RMS is 0.1")
    level_db: Range = Field((-20.0, 0.0), description="level of a sample, drawn uniformly, dB")
    snr_db: Range | None = Field(
        None, description="sensor noise: the sample's power over the noise's, dB; none if absent"
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _tests_by_name(cls, data: object) -> object:
        """Read `tests: [S0, S1]` as the paper's sets of these names, and `S0: 500` as the paper's S0 at another size."""
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
        if self.arrays is None and self.layout not in geometry.LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is unknown; known layouts: {', '.join(geometry.LAYOUTS)}")
        if len({len(array.offsets_m) for array in self.arrays or ()}) > 1:
            raise ValueError("all arrays need the same number of microphones, since they share one encoder")
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

    def microphones_m(self) -> NDArray[np.float64]:
        """Positions of the microphones, shape (arrays, microphones, 2), metres."""
        arrays = self.arrays or tuple(
            ArraySpec(centre_m=centre, direction_deg=direction) for centre, direction in geometry.LAYOUTS[self.layout]
        )
        return np.stack([geometry.linear_array(a.centre_m, a.direction_deg, a.offsets_m) for a in arrays])

    def resolve_splits(self) -> dict[str, SplitSpec]:
        """Every split by name, training first, with what it leaves to the dataset filled in."""
        return {
            name: split.model_copy(update=self._split_defaults(split))
            for name, split in {"train": self.train, "validate": self.validate_, **self.tests}.items()
        }

    def _split_defaults(self, split: SplitSpec) -> dict[str, Any]:
        return {"sources": split.sources or self.sources, "snr_db": split.snr_db or self.snr_db}

    def test_names(self) -> tuple[str, ...]:
        """Splits that are tests."""
        return tuple(self.tests)

    def max_sources(self) -> int:
        """The largest number of sources in any split."""
        return max(source_range(split)[1] for split in self.resolve_splits().values())

    def split_identity(self, split: str) -> dict[str, Any]:
        """All that the samples of a split depend on, sound files apart: other splits' sizes are not among it."""
        described = self.model_dump(mode="json", exclude={"train", "validate_", "tests", "snr_db", "sources"})
        return described | {"split": split, "of_split": self.resolve_splits()[split].model_dump(mode="json")}


def source_range(split: SplitSpec) -> tuple[int, int]:
    """The numbers of sources of a split that `LocalizerSpec.splits` has filled in."""
    if split.sources is None:
        raise ValueError("the split has not been filled in by its dataset")
    return split.sources


class MusicSpec(LocalizerSpec):
    """Data whose sources play music: a folder of it, or the procedural band."""

    music: str = Field(PROCEDURAL, description="`procedural`, or a folder with one sub-folder a genre")
    genres: tuple[str, ...] | None = Field(
        None, min_length=1, description="genres heard in training; all but `held_out` if absent"
    )
    held_out: str = Field("jazz", description="the genre that only tests with `genres: held_out` hear")
    excerpt_s: float = Field(6.0, ge=1, le=60, description="length of the excerpts that music is cut into, s")
    excerpts: int = Field(200, ge=8, le=20_000, description="at most so many excerpts a genre")

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

    def uses_held_out(self) -> bool:
        """Whether any test set plays the held-out genre."""
        return any(test.genres == "held_out" for test in self.tests.values())

    def music_folder(self) -> Path | None:
        """Where the music lies, or None for the procedural band."""
        return None if self.music == PROCEDURAL else Path(self.music)

    def split_identity(self, split: str) -> dict[str, Any]:
        """See the base class. Test sets share the excerpts, so their names count; where the folder lies does not."""
        shares = sorted((name, test.genres) for name, test in self.tests.items())
        band = {"music": PROCEDURAL} if self.music_folder() is None else {"music": "files"}
        return super().split_identity(split) | {"shares": shares} | band


class RoomSpec(MusicSpec):
    """Simulated recordings of a room, without echo (section III-A; Table I) or with it."""

    can_echo: ClassVar[bool] = True

    kind: Literal["room"] = "room"
    raster_m: float = Field(0.05, gt=0, le=1, description="sources stand on the centres of this raster, m")
    clearance_m: float = Field(0.3, gt=0, description="least distance between a source and a microphone, m")
    acoustics: Acoustics | None = Field(None, description="rooms that echo; none does if absent")

    def draw_positions(self, generator: np.random.Generator, samples: int, sources: int) -> NDArray[np.float64]:
        """Draw where sources stand; see `datasets.acoustics.arrays.draw_positions`."""
        return geometry.draw_positions(
            generator,
            samples,
            sources,
            size_m=self.size_m,
            raster_m=self.raster_m,
            min_distance_m=self.min_distance_m,
            microphones_m=self.microphones_m().reshape(-1, 2),
            clearance_m=self.clearance_m,
        )

    def _split_defaults(self, split: SplitSpec) -> dict[str, Any]:
        return super()._split_defaults(split) | {"acoustics": split.acoustics or self.acoustics}

    def split_identity(self, split: str) -> dict[str, Any]:
        """See the base class."""
        described = super().split_identity(split)
        described.pop("acoustics")
        return described


class MeasuredSpec(MusicSpec):
    """Music through measured impulse responses: sources stand where a response was measured."""

    kind: Literal["measured"] = "measured"
    bank: str = Field(description="impulse responses: a .sofa file, or .npz as docs/data.md describes")
    bank_arrays: int = Field(2, ge=1, description="arrays that a SOFA file's receivers belong to, one after the other")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="share of the places that only tests use")
    validate_share: float = Field(0.15, gt=0, lt=0.5, description="share of the places that only validation uses")

    def split_identity(self, split: str) -> dict[str, Any]:
        """See the base class; the bank counts by its content, whatever its path."""
        described = super().split_identity(split)
        described.pop("bank")
        return described


def _with_paper_values(paper: SplitSpec | None, test: object) -> object:
    """Fill a test set of one of the paper's names with the paper's values."""
    test = _parse_split(test)
    if paper is not None and isinstance(test, dict):
        return paper.model_dump(exclude_none=True) | test
    return test
