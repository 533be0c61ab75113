"""What happens in a recording: which event sounds when, from where, and how it moves. Pure decisions, no sound."""

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
"""Samples of a label frame, 100 ms."""

_REST_S: Final = (0.3, 3.0)
"""From the end of an event to the next one of its track."""
_FIRST_S: Final = 2.0
_SILENCE_S: Final = 1.0
"""Length of the stretch of every recording in which no event sounds."""

Lengths = tuple[tuple[int, ...], ...]
"""Samples of every clip, by class."""


@dataclass(frozen=True)
class Trajectory:
    """A circle around the array at constant speed, or a point on it.

    Attributes:
        azimuth_deg: At the beginning, counter-clockwise from the front.
        elevation_deg: All the time.
        distance_m: All the time.
        speed_deg_s: Of the azimuth, positive to the left; 0 for a source that stands still.
    """

    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    speed_deg_s: float = 0.0

    def azimuth_at(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Azimuth so long after the beginning, same shape, degrees in [-180, 180)."""
        return (self.azimuth_deg + self.speed_deg_s * seconds + 180) % 360 - 180


@dataclass(frozen=True)
class SoundEvent:
    """One sound event.

    Attributes:
        kind: Index of its class.
        clip: Number of the clip within class and group of folds.
        start: First sample of the clip that is heard.
        onset: Sample of the recording at which it begins.
        length: Samples.
        track: Events of one track never overlap.
        trajectory: Where it is.
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
        """Label frames whose middle lies in the event."""
        return range(_frames_before(self.onset), _frames_before(self.onset + self.length))


def schedule_events(
    generator: np.random.Generator, spec: SceneSpec, room: SceneRoom, lengths: Lengths, overlap: int
) -> tuple[SoundEvent, ...]:
    """Draw the events of a recording.

    Every track plays one event after another, so that there are never more at once than tracks. All tracks rest in the
    same second somewhere, so that each recording has a stretch without events.

    Args:
        generator: The randomness.
        spec: Ranges to draw from.
        room: Limits the distances.
        lengths: Of the clips of the recording's group of folds.
        overlap: Tracks.

    Returns:
        Events by onset, at least one.
    """
    silence = round(float(generator.uniform(0, SAMPLES / SAMPLE_RATE_HZ - _SILENCE_S)) * SAMPLE_RATE_HZ)
    events = [
        event for track in range(overlap) for event in _free_track(generator, spec, room, lengths, (track, silence))
    ]
    return tuple(sorted(events, key=lambda event: (event.onset, event.track)))


def label_rows(events: tuple[SoundEvent, ...]) -> NDArray[np.int64]:
    """Labels of a recording.

    Args:
        events: All of it.

    Returns:
        Rows frame, class, track, azimuth, elevation, shape (rows, 5), by frame and track. Angles are those in the middle
        of a frame, rounded to degrees; the azimuth is in [-180, 180].
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
    generator: np.random.Generator, spec: SceneSpec, room: SceneRoom, lengths: Lengths, place: tuple[int, int]
) -> list[SoundEvent]:
    track, silence = place
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
    """Draw where an event is and whether it moves.

    Args:
        generator: The randomness.
        spec: Ranges of direction, distance and speed.
        room: Its walls may shorten the distance.
    """
    moves = bool(generator.random() < spec.moving)
    azimuth, elevation = float(generator.uniform(-180, 180)), float(generator.uniform(*spec.elevation_deg))
    speed = float(generator.uniform(*spec.speed_deg_s)) * float(generator.choice([-1, 1]))
    nearest, farthest = spec.distance_m
    farthest = min(farthest, room.farthest_m(None if moves else azimuth, elevation))
    distance = float(generator.uniform(nearest, max(nearest, farthest)))
    return Trajectory(azimuth, elevation, distance, speed if moves else 0.0)


def _frames_before(sample: int) -> int:
    """How many frames have their middle before a sample."""
    return -(-(sample - FRAME // 2) // FRAME) if sample > FRAME // 2 else 0
