"""Synthesis of recordings; each depends on the description, the event sounds and its number alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.directions import unit_vectors
from datasets.scenes import diffuse, reverberation
from datasets.scenes.events import EventSounds, apply_fades
from datasets.scenes.reverberation import SceneRoom
from datasets.scenes.schedule import SoundEvent, label_rows, schedule_events
from datasets.scenes.spec import SceneSpec, group_of
from datasets.tau2020.layout import CHANNELS, SAMPLE_RATE_HZ, SAMPLES, RecordingName
from datasets.tau2020.spec import GROUPS

PEAK: Final = 0.9
"""Largest magnitude of a recording, over the eight channels of both formats, which share one gain."""

_SCENES: Final = 3
"""Part of the seeds of recordings."""

Made = tuple[RecordingName, NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Name, FOA and MIC of shape (4, 1 440 000), label rows of shape (rows, 5)."""


def recordings_of(spec: SceneSpec) -> tuple[tuple[int, RecordingName], ...]:
    """Return the number and the name of every recording, fold by fold.

    Overlaps have the shares of the description, and each overlap is distributed over all rooms of the group of the fold.
    """
    return tuple(enumerate(name for fold in sorted(spec.folds) for name in _recording_names(spec, fold)))


def rooms_of(spec: SceneSpec) -> dict[str, tuple[int, ...]]:
    """Assign the rooms, numbered from 1, to the groups of folds.

    No room is in two groups, unless there are fewer rooms than groups with recordings; then all groups use all rooms.
    """
    sizes = {group: sum(spec.folds.get(fold, 0) for fold in folds) for group, folds in GROUPS.items()}
    wanted = {group: size for group, size in sizes.items() if size > 0}
    everything = tuple(range(1, spec.rooms + 1))
    if spec.rooms < len(wanted):
        return dict.fromkeys(wanted, everything)
    counts = dict.fromkeys(wanted, 1)
    for _ in range(spec.rooms - len(wanted)):
        # The next room goes to the group with the most recordings per room.
        counts[max(wanted, key=lambda group: wanted[group] / counts[group])] += 1
    ends = np.cumsum(list(counts.values())).tolist()
    return {group: everything[end - counts[group] : end] for group, end in zip(counts, ends, strict=True)}


def make_recording(spec: SceneSpec, sounds: EventSounds, number: int) -> Made:
    """Render one recording in both formats.

    A source at 1 m has a gain of 1 in W, and its level falls with the distance. The ambient noise is the drawn
    ratio below the mean power of W during events. Finally both formats are scaled to a peak of 0.9 by one gain, which
    preserves the levels between them. Labels refer to the emission of sound; its propagation takes 3 to 9 ms.

    Args:
        spec: Description of the scenes.
        sounds: Result of `gather_events` for the same description.
        number: Number from `recordings_of`.
    """
    name = recordings_of(spec)[number][1]
    room, group = reverberation.draw_room(spec, name.room), group_of(name.fold)
    plan, playing, surroundings = np.random.default_rng([spec.seed, _SCENES, number]).spawn(3)
    snr_db = float(plan.uniform(*spec.snr_db))
    events = schedule_events(plan, spec, room, sounds.clip_lengths(group), name.overlap)
    mix = np.zeros((2 * CHANNELS, SAMPLES), np.float32)
    for event, generator in zip(events, playing.spawn(len(events)), strict=True):
        clip = sounds.clips[group][event.kind][event.clip][event.start : event.start + event.length]
        heard = render_recording(generator, room, event, clip)[:, : SAMPLES - event.onset]
        mix[:, event.onset : event.onset + heard.shape[1]] += heard
    mix += render_ambience(surroundings, mix[0], events, snr_db)
    mix *= np.float32(PEAK / float(np.abs(mix).max()))
    return name, mix[:CHANNELS], mix[CHANNELS:], label_rows(events)


def render_recording(
    generator: np.random.Generator, room: SceneRoom, event: SoundEvent, clip: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Render an event in a room.

    Args:
        generator: Random generator of the reverberant tail.
        room: Room of the recording.
        event: Event, whose trajectory is used.
        clip: Sound of the event, shape (samples,).

    Returns:
        W, Y, Z, X, M1, M2, M3, M4 from the onset to the end of the reverberation, shape (8, more samples).
    """
    path = event.trajectory
    count = reverberation.trajectory_points(len(clip)) if path.speed_deg_s != 0 else 1
    azimuth = path.azimuth_at(np.arange(count, dtype=np.float64) * (reverberation.POINT_SAMPLES / SAMPLE_RATE_HZ))
    positions_m = path.distance_m * unit_vectors(azimuth, np.full(count, path.elevation_deg, np.float64))
    # An event may be any part of a clip, hence the fades.
    return reverberation.render_source(
        apply_fades(clip), reverberation.early_response(room, positions_m), reverberation.late_response(generator, room)
    )


def render_ambience(
    generator: np.random.Generator, heard: NDArray[np.float32], events: tuple[SoundEvent, ...], snr_db: float
) -> NDArray[np.float32]:
    """Draw the ambient noise of a room at a level relative to the events.

    Args:
        generator: Random generator.
        heard: Channel W of all events, shape (samples,).
        events: Events, which determine the samples that are compared.
        snr_db: Ratio of the mean power of `heard` during events to that of the noise in W, in dB.

    Returns:
        Shape (8, samples).
    """
    sounding = np.zeros(len(heard), np.bool_)
    for event in events:
        sounding[event.onset : event.onset + event.length] = True
    noise = diffuse.ambient_noise(generator, len(heard))
    ratio = np.mean(np.square(heard[sounding], dtype=np.float64)) / np.mean(np.square(noise[0], dtype=np.float64))
    noise *= np.float32(np.sqrt(ratio * 10 ** (-snr_db / 10)))
    return noise


def _recording_names(spec: SceneSpec, fold: int) -> Iterator[RecordingName]:
    count, mixes = spec.folds[fold], dict[int, int]()
    if count == 0:
        return
    own = rooms_of(spec)[group_of(fold)]
    overlaps = np.searchsorted(np.cumsum(spec.event_shares()), (np.arange(count) + 0.5) / count) + 1
    for index, overlap in enumerate(overlaps.tolist()):
        room = own[index % len(own)]
        mixes[room] = mixes.get(room, 0) + 1
        yield RecordingName(fold, room, f"{mixes[room]:03d}", min(overlap, spec.max_overlap))
