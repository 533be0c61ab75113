"""Description of a dataset of simulated scenes. Imports neither torch nor scipy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from datasets.building.spec import PROCEDURAL, DatasetSpec
from datasets.tau2020.spec import GROUPS
from runtime import hashing
from runtime.uris import expand_home

SCENES_VERSION: Final = 1
"""Version of the samples that a description is rendered to; part of every fingerprint."""

CLEARANCE_M: Final = 0.3
"""Minimum distance between a source and a wall."""
ARRAY_OFFSET: Final = 0.1
"""Maximum offset of the array from the centre of the room, as a share of each side."""


Fold = Annotated[int, Field(ge=1, le=6)]
FoldSize = Annotated[int, Field(ge=0, le=100_000)]
Range = tuple[PositiveFloat, PositiveFloat]
Elevation = Annotated[float, Field(ge=-80, le=80)]
_RANGES: Final = (
    "length_m",
    "width_m",
    "height_m",
    "rt60_s",
    "snr_db",
    "speed_deg_s",
    "event_s",
    "distance_m",
    "elevation_deg",
)


class SceneSpec(DatasetSpec):
    """Simulated 60 s recordings of static and moving events in rooms, in both formats of TAU-NIGENS 2020."""

    kind: Literal["scenes"] = "scenes"
    folds: dict[Fold, FoldSize] = Field(
        default_factory=lambda: dict.fromkeys(range(1, 7), 100),
        description="recordings in each fold; 1 is the test, 2 the validation, 3 to 6 the training",
    )
    rooms: int = Field(
        9, ge=1, le=99, description="simulated rooms; no room serves two of test, validation and training if 3 or more"
    )
    max_overlap: int = Field(2, ge=1, le=4, description="maximum number of simultaneous events")
    overlap_shares: tuple[NonNegativeFloat, ...] | None = Field(
        None, description="shares of recordings with at most 1, 2, … simultaneous events; equal if absent"
    )
    length_m: Range = Field((4.0, 10.0), description="range of the rooms' length x, m")
    width_m: Range = Field((3.5, 8.0), description="range of the rooms' width y, m")
    height_m: Range = Field((2.5, 4.0), description="range of the rooms' height, m")
    rt60_s: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.2, 0.8), description="range of the rooms' reverberation time, s; 0 is an anechoic room"
    )
    snr_db: tuple[float, float] = Field(
        (6.0, 30.0), description="range of the events' level over the ambient noise, drawn for each recording, dB"
    )
    moving: float = Field(0.5, ge=0, le=1, description="share of events that move")
    speed_deg_s: Range = Field(
        (5.0, 40.0), description="range of a moving event's constant speed in azimuth, degrees per second"
    )
    event_s: Range = Field((0.5, 8.0), description="range of the events' length, s; a shorter sound is played once")
    distance_m: Range = Field((1.0, 3.0), description="range of the distance from the array, m; walls may shorten it")
    elevation_deg: tuple[Elevation, Elevation] = Field((-35.0, 35.0), description="range of the elevation, degrees")
    events: str = Field(PROCEDURAL, description="`procedural`, or a folder with one sub-folder per class")
    seed: int = Field(0, ge=0, description="seed of rooms, scenes and procedural events")
    # The files that remain identify the data, so the option itself is not part of any dump.
    skip_broken: bool = Field(
        False, exclude=True, description="leave out event sounds that cannot be used, instead of refusing the folder"
    )

    @model_validator(mode="after")
    def _ranges_in_order(self) -> Self:
        for name in _RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is reversed: [{low:g}, {high:g}]; write the lower value first")
        return self

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.rt60_s[1] > 3:
            raise ValueError(f"rt60_s goes up to {self.rt60_s[1]:g} s; no more than 3 s is simulated")
        if 0 < self.rt60_s[0] < 0.05 or (self.rt60_s[0] == 0 and 0 < self.rt60_s[1] < 0.05):
            raise ValueError("rt60_s must be 0, or at least 0.05 s")
        if self.event_s[0] < 0.1 or self.event_s[1] > 30:
            raise ValueError(f"event_s must lie between 0.1 and 30 s, not {list(self.event_s)}")
        if self.distance_m[0] < 0.5:
            raise ValueError(f"distance_m starts at {self.distance_m[0]:g} m; waves are plane only from 0.5 m on")
        return self

    @model_validator(mode="after")
    def _check_completeness(self) -> Self:
        if sum(self.folds.values()) == 0:
            raise ValueError("folds are empty: at least one fold needs a recording")
        if self.overlap_shares is not None:
            if len(self.overlap_shares) != self.max_overlap:
                raise ValueError(
                    f"overlap_shares has {len(self.overlap_shares)} values, max_overlap is {self.max_overlap}; "
                    "give one share for each number of events from 1 on"
                )
            if sum(self.overlap_shares) <= 0:
                raise ValueError("overlap_shares are all 0; at least one must be positive")
        return self

    @model_validator(mode="after")
    def _fits_into_rooms(self) -> Self:
        nearest = self.distance_m[0]
        steepest = math.sin(math.radians(max(abs(angle) for angle in self.elevation_deg)))
        for name, needed in {"length_m": nearest, "width_m": nearest, "height_m": nearest * steepest}.items():
            smallest = getattr(self, name)[0]
            if source_reach_m(smallest) < needed:
                raise ValueError(
                    f"{name} starts at {smallest:g} m, too small for sources {nearest:g} m from the array; "
                    f"make it at least {math.ceil(10 * least_side_m(needed)) / 10:g} m, or distance_m smaller"
                )
        return self

    def event_shares(self) -> tuple[float, ...]:
        """Return the shares of recordings by their largest number of simultaneous events, from 1 on; their sum is 1."""
        given = self.overlap_shares or (1.0,) * self.max_overlap
        return tuple(share / sum(given) for share in given)

    def max_simultaneous(self) -> int:
        """Return the largest number of simultaneous events in any recording."""
        return max(number for number, share in enumerate(self.event_shares(), 1) if share)

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return ("test",) if self.folds.get(1, 0) else ()

    def events_folder(self) -> Path | None:
        """Return the folder of the event sounds, or None for procedural events."""
        return None if self.events == PROCEDURAL else expand_home(self.events)

    def fingerprint(self, sound_files: dict[str, str] | None = None) -> str:
        """Return the hash of the description, the version of the simulator and the SHA-256 of the sound files.

        Args:
            sound_files: SHA-256 by path relative to the folder of events; the path of the folder does not matter.
        """
        described = self.model_dump(mode="json")
        if sound_files is not None:
            described["events"] = sorted(sound_files.items())
        return hashing.hash_values(["scenes", SCENES_VERSION, described])


def source_reach_m(side_m: float) -> float:
    """Return the distance from the array that a source can have along a side of a room, for every position of the array."""
    return (0.5 - ARRAY_OFFSET) * side_m - CLEARANCE_M


def least_side_m(distance_m: float) -> float:
    """Return the length of the side of a room along which a source can have this distance from the array."""
    return (distance_m + CLEARANCE_M) / (0.5 - ARRAY_OFFSET)


def group_of(fold: int) -> str:
    """Return the split that a fold belongs to: train, validate or test."""
    return next(group for group, folds in GROUPS.items() if fold in folds)
