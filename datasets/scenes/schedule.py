"""Random draws of the events of a recording: onsets, positions and movements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.scenes.events import LEAST_CLIP_S
from datasets.scenes.reverberation import SceneRoom
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import SAMPLE_RATE_HZ, SAMPLES

FRAME: Final = 2_400
"""Length of a label frame, in samples: 100 ms."""

_REST_S: Final = (0.3, 3.0)
"""Range of the pause between two events of a track."""
_FIRST_S: Final = 2.0
_SILENCE_S: Final = 1.0
"""Length of the section of every recording without events."""

Lengths = tuple[tuple[int, ...], ...]
"""Length of every clip in samples, by class."""


@dataclass(frozen=True)
class Trajectory:
    """Movement along a circle around the array at constant speed, or a static position.

    Attributes:
        azimuth_deg: Azimuth at the beginning, counter-clockwise from the front.
        elevation_deg: Constant elevation.
        distance_m: Constant distance from the array.
        speed_deg_s: Speed of the azimuth, positive to the left; 0 for a static source.
    """

    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    speed_deg_s: float = 0.0

    def azimuth_at(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the azimuth at times after the beginning, same shape, in degrees in [-180, 180)."""
        return (self.azimuth_deg + self.speed_deg_s * seconds + 180) % 360 - 180


@dataclass(frozen=True)
class SoundEvent:
    """Sound event of a recording.

    Attributes:
        kind: Index of the class.
        clip: Number of the clip within the class and the group of folds.
        start: First sample of the clip that is used.
        onset: Sample of the recording at which the event begins.
        length: Length in samples.
        track: Number of the track; events of a track never overlap.
        trajectory: Movement of the source.
    """

    kind: int
    clip: int
    start: int
    onset: int
    length: int
    track: int
    trajectory: Trajectory

    @property
    def label_frames(self) -> range:
        """Label frames whose middle is within the event."""
        return range(_frames_before(self.onset), _frames_before(self.onset + self.length))


def schedule_events(
    generator: np.random.Generator, spec: SceneSpec, room: SceneRoom, lengths: Lengths, overlap: int
) -> tuple[SoundEvent, ...]:
    """Draw the events of a recording.

    The events of a track follow one another, so that there are never more simultaneous events than tracks. All tracks pause
    during the same second, so that each recording has a section without events.

    Args:
        generator: Random generator.
        spec: Description of the scenes, with the ranges of the draws.
        room: Room, which limits the distances.
        lengths: Lengths of the clips of the group of folds.
        overlap: Number of tracks.

    Returns:
        At least one event, sorted by onset.
    """
    silence = round(float(generator.uniform(0, SAMPLES / SAMPLE_RATE_HZ - _SILENCE_S)) * SAMPLE_RATE_HZ)
    events = [
        event for track in range(overlap) for event in _free_track(generator, spec, room, lengths, (track, silence))
    ]
    return tuple(sorted(events, key=lambda event: (event.onset, event.track)))


def label_rows(events: tuple[SoundEvent, ...]) -> NDArray[np.int64]:
    """Return the labels of a recording.

    Args:
        events: All events of the recording.

    Returns:
        Rows of frame, class, track, azimuth and elevation, shape (rows, 5), sorted by frame and track. Angles are those in
        the middle of a frame, rounded to degrees; the azimuth is in [-180, 180].
    """
    rows = []
    for event in events:
        seconds = ((np.array(event.label_frames) + 0.5) * FRAME - event.onset) / SAMPLE_RATE_HZ
        azimuths = np.rint(event.trajectory.azimuth_at(seconds)).astype(int)
        elevation = round(event.trajectory.elevation_deg)
        rows += [
            (frame, event.kind, event.track, azimuth, elevation)
            for frame, azimuth in zip(event.label_frames, azimuths.tolist(), strict=True)
        ]
    return np.array(sorted(rows, key=lambda row: (row[0], row[2])), np.int64).reshape(-1, 5)


def _free_track(
    generator: np.random.Generator, spec: SceneSpec, room: SceneRoom, lengths: Lengths, section: tuple[int, int]
) -> list[SoundEvent]:
    track, silence = section
    least = round(LEAST_CLIP_S * SAMPLE_RATE_HZ)
    events: list[SoundEvent] = []
    onset = round(float(generator.uniform(0, _FIRST_S)) * SAMPLE_RATE_HZ)
    while True:
        kind = int(generator.integers(len(lengths)))
        clip = int(generator.integers(len(lengths[kind])))
        drawn = round(float(generator.uniform(*spec.event_s)) * SAMPLE_RATE_HZ)
        length = min(drawn, lengths[kind][clip])
        start = int(generator.integers(lengths[kind][clip] - length + 1))
        trajectory = draw_trajectory(generator, spec, room)
        resumed = silence + round(_SILENCE_S * SAMPLE_RATE_HZ)
        if onset < resumed and onset + length > silence:
            onset = resumed
        length = min(length, SAMPLES - onset)
        if length < least:
            return events
        events.append(SoundEvent(kind, clip, start, onset, length, track, trajectory))
        onset += length + round(float(generator.uniform(*_REST_S)) * SAMPLE_RATE_HZ)


def draw_trajectory(generator: np.random.Generator, spec: SceneSpec, room: SceneRoom) -> Trajectory:
    """Draw the position and the movement of an event.

    Args:
        generator: Random generator.
        spec: Description of the scenes, with the ranges of direction, distance and speed.
        room: Room, whose walls may limit the distance.
    """
    moves = bool(generator.random() < spec.moving)
    azimuth, elevation = float(generator.uniform(-180, 180)), float(generator.uniform(*spec.elevation_deg))
    speed = float(generator.uniform(*spec.speed_deg_s)) * float(generator.choice([-1, 1]))
    nearest, farthest = spec.distance_m
    farthest = min(farthest, room.farthest_m(None if moves else azimuth, elevation))
    distance = float(generator.uniform(nearest, max(nearest, farthest)))
    return Trajectory(azimuth, elevation, distance, speed if moves else 0.0)


def _frames_before(sample: int) -> int:
    """Return the number of frames whose middle is before a sample."""
    return -(-(sample - FRAME // 2) // FRAME) if sample > FRAME // 2 else 0
