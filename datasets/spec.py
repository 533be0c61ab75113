"""What a dataset is: a frozen description with a fingerprint. Read without torch, so that mistakes are answered at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from datasets import geometry

SIMULATOR_VERSION: Final = 1
"""Raised whenever the same spec would render to other samples; part of every fingerprint."""

PROCEDURAL: Final = "procedural"
PROCEDURAL_GENRES: Final = ("classical", "funk", "jazz")


class Frozen(BaseModel):
    """A value: immutable, complete, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _as_range(value: object) -> object:
    """Read `1-2` as (1, 2) and `2` as (2, 2)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, str):
        low, _, high = value.partition("-")
        if low.isdigit() and (high or low).isdigit():
            return (int(low), int(high or low))
    return value


Count = Annotated[int, Field(ge=1, le=4)]
SourceRange = Annotated[tuple[Count, Count], BeforeValidator(_as_range)]


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class ArraySpec(Frozen):
    """One linear microphone array."""

    centre_m: tuple[float, float] = Field(description="centre of the bar, m")
    direction_deg: float = Field(description="direction of the bar, degrees counter-clockwise from x")
    offsets_m: tuple[float, ...] = Field(
        geometry.KINECT_OFFSETS_M, min_length=2, description="microphones along the bar, m"
    )


class TestSpec(Frozen):
    """One test set."""

    __test__ = False  # not a test case, whatever its name says to pytest

    samples: PositiveInt
    sources: SourceRange = (1, 2)
    genres: Literal["seen", "held_out"] = "seen"


PAPER_TESTS: Final = {
    "S0": TestSpec(samples=5000, sources=(1, 2)),
    "S1": TestSpec(samples=2500, sources=(3, 3)),
    "S2": TestSpec(samples=5000, sources=(1, 2), genres="held_out"),
}
"""Table I, synthetic."""


class RoomSpec(Frozen):
    """Simulated recordings of a room without echo (section III-A; Table I)."""

    kind: Literal["room"] = "room"
    layout: str = Field("kinect_corners", description="a named layout of arrays; ignored where `arrays` is given")
    arrays: tuple[ArraySpec, ...] | None = Field(None, min_length=1, description="arrays of one's own")
    size_m: tuple[PositiveFloat, PositiveFloat] = Field((6.0, 6.0), description="the area, m")
    raster_m: float = Field(0.05, gt=0, le=1, description="sources stand on the centres of this raster, m")
    min_distance_m: float = Field(2.0, ge=0, description="least distance between sources, m")
    clearance_m: float = Field(0.3, gt=0, description="least distance between a source and a microphone, m")
    sources: SourceRange = Field((1, 2), description="sources in a sample, equal shares")
    train: PositiveInt = Field(100_000, description="training samples")
    validate_: PositiveInt = Field(5_000, alias="validate", description="validation samples")
    tests: dict[FileName, TestSpec] = Field(default_factory=lambda: dict(PAPER_TESTS), min_length=1)
    music: str = Field(PROCEDURAL, description="`procedural`, or a folder with one sub-folder a genre")
    genres: tuple[str, ...] | None = Field(
        None, min_length=1, description="genres heard in training; all but `held_out` if absent"
    )
    held_out: str = Field("jazz", description="the genre that only tests with `genres: held_out` hear")
    excerpt_s: float = Field(6.0, ge=1, le=60, description="length of the excerpts that music is cut into, s")
    excerpts: int = Field(200, ge=8, le=20_000, description="at most so many excerpts a genre")
    gate: float = Field(0.02, ge=0, lt=0.2, description="least mean |x| of a source, where its excerpt's RMS is 0.1")
    level_db: tuple[float, float] = Field((-20.0, 0.0), description="level of a sample, drawn uniformly, dB")
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _tests_by_name(cls, data: object) -> object:
        """Read `tests: [S0, S1]` as the paper's sets of these names, and `S0: 500` as the paper's S0 at another size."""
        if not isinstance(data, dict) or "tests" not in data:
            return data
        tests = data["tests"]
        if isinstance(tests, list):
            unknown = [name for name in tests if not isinstance(name, str) or name not in PAPER_TESTS]
            if unknown:
                raise ValueError(f"tests names {unknown[0]!r}; the paper's test sets are {', '.join(PAPER_TESTS)}")
            tests = {name: PAPER_TESTS[name] for name in tests}
        elif isinstance(tests, dict):
            tests = {name: _resized(name, test) for name, test in tests.items()}
        return data | {"tests": tests}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.arrays is None and self.layout not in geometry.LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is unknown; known layouts: {', '.join(geometry.LAYOUTS)}")
        if len({len(array.offsets_m) for array in self.arrays or ()}) > 1:
            raise ValueError("all arrays need the same number of microphones, since they share one encoder")
        if self.level_db[0] > self.level_db[1]:
            raise ValueError(f"level_db is reversed: {list(self.level_db)}; write the lower level first")
        for name, (low, high) in {"train": self.sources, **{n: t.sources for n, t in self.tests.items()}}.items():
            if low > high:
                raise ValueError(f"sources of {name} are reversed: {low}-{high}; write the smaller number first")
        if "train" in self.tests or "validate" in self.tests:
            raise ValueError("a test set cannot be called train or validate")
        return self

    @model_validator(mode="after")
    def _consistent_music(self) -> Self:
        if self.genres is not None and self.held_out in self.genres:
            raise ValueError(f"genre {self.held_out!r} cannot be held out and heard in training at once")
        unknown = {self.held_out, *(self.genres or ())} - set(PROCEDURAL_GENRES)
        if self.music == PROCEDURAL and unknown:
            raise ValueError(
                f"the procedural band plays {', '.join(PROCEDURAL_GENRES)}, not {', '.join(sorted(unknown))}"
            )
        return self

    def microphones_m(self) -> NDArray[np.float64]:
        """Positions of the microphones, shape (arrays, microphones, 2), metres."""
        arrays = self.arrays or tuple(
            ArraySpec(centre_m=centre, direction_deg=direction) for centre, direction in geometry.LAYOUTS[self.layout]
        )
        return np.stack([geometry.linear_array(a.centre_m, a.direction_deg, a.offsets_m) for a in arrays])

    def splits(self) -> dict[str, TestSpec]:
        """Every split by name, training first."""
        return {
            "train": TestSpec(samples=self.train, sources=self.sources),
            "validate": TestSpec(samples=self.validate_, sources=self.sources),
            **self.tests,
        }

    def max_sources(self) -> int:
        """The largest number of sources in any split."""
        return max(split.sources[1] for split in self.splits().values())

    def fingerprint(self, sound_files: dict[str, str] | None = None) -> str:
        """Identity of the rendered data: the spec, the simulator's version and the sound files' SHA-256.

        Args:
            sound_files: SHA-256 by path relative to the music folder; where the folder lies does not matter.
        """
        described = self.model_dump(mode="json", by_alias=True)
        if sound_files is not None:
            described["music"] = sorted(sound_files.items())
        text = json.dumps([SIMULATOR_VERSION, described], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def hears_held_out(self) -> bool:
        """Whether any test set plays the held-out genre."""
        return any(test.genres == "held_out" for test in self.tests.values())

    def music_folder(self) -> Path | None:
        """Where the music lies, or None for the procedural band."""
        return None if self.music == PROCEDURAL else Path(self.music)


def _resized(name: str, test: object) -> object:
    if isinstance(test, int) and not isinstance(test, bool):
        return (
            {"samples": test, **PAPER_TESTS[name].model_dump(exclude={"samples"})}
            if name in PAPER_TESTS
            else {"samples": test}
        )
    return test
