"""Event sounds, from a folder with one sub-folder per class or procedural; each belongs to one group of folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio import corpus, folders, sound_files
from datasets.audio.corpus import Corpus, MusicFile
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import SAMPLE_RATE_HZ
from datasets.tau2020.spec import GROUPS
from runtime.errors import InputError
from runtime.files import printable_path

CLIP_RMS: Final = 0.1
CLIP_PEAK: Final = 1.0
"""Maximum peak of a clip. Without it, a clip with one loud peak would mask all other events of a recording."""
LEAST_CLIP_S: Final = 0.1

_LONGEST_READ_S: Final = 60
"""Maximum length that is read of a file; longer ones add little variety and much memory."""
_SHARES: Final = {"train": 4 / 6, "validate": 1 / 6, "test": 1 / 6}
_PROCEDURAL_CLIPS: Final = {"train": 12, "validate": 3, "test": 3}
_PROCEDURAL_CLIP_S: Final = 6.0
_EVENTS: Final = 2
"""Part of the seeds of sounds."""
_HOP: Final = 240
_LONGEST_PAUSE_S: Final = 0.3
_BELOW_LOUDEST_DB: Final = 40.0
_SILENT_RMS: Final = 1e-4
_FADE: Final = 120

Clip = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with the number of finished sounds and their total."""


@dataclass(frozen=True, eq=False)
class EventSounds:
    """Clips of all classes in memory.

    Attributes:
        classes: Names in order; the class of an event is an index of these.
        clips: By group of folds, class and number: mono, 24 kHz, shape (samples,), each with an RMS of 0.1, or less where its
            peak would pass 1.
    """

    classes: tuple[str, ...]
    clips: dict[str, tuple[tuple[Clip, ...], ...]]

    def clip_lengths(self, group: str) -> tuple[tuple[int, ...], ...]:
        """Return the length of every clip of a group in samples, by class."""
        return tuple(tuple(len(clip) for clip in clips) for clips in self.clips[group])


def scan_events(folder: Path, location: str, *, skip_broken: bool = False) -> Corpus:
    """Inspect all event sounds.

    Args:
        folder: Folder with one sub-folder per class, which holds sound files at any depth.
        location: Option or key that names the folder, for errors.
        skip_broken: Whether files that cannot be used are left out.

    Raises:
        InputError: If the folder or its classes are missing, or a file cannot be used; lists all such files.
    """
    if not folder.is_dir():
        raise InputError(
            location,
            "the folder of events must exist",
            value=printable_path(folder),
            remedy="name a folder with one sub-folder per class, or set events to `procedural`",
        )
    classes, problems = folders.list_subfolders(folder)
    if not classes:
        raise InputError(
            location,
            "the folder of events needs a sub-folder per class",
            value=printable_path(folder),
            remedy="put the files of each class into a folder of its own, e.g. alarm/ and speech/",
        )
    names = [of_class.name for of_class in classes]
    found = corpus.read_corpus(folder, names, skip_broken=skip_broken, problems=problems)
    for of_class in classes:
        if not found.of_genre(of_class.name):
            raise InputError(
                printable_path(of_class),
                f"a class needs a sound file ({', '.join(folders.SOUND_SUFFIXES)})",
                remedy="add a file, or remove the folder",
            )
    return found


def gather_events(spec: SceneSpec, pieces: tuple[MusicFile, ...] | None, progress: Progress) -> EventSounds:
    """Load all event sounds and assign each to one group of folds.

    Args:
        spec: Description of the scenes; its seed determines the group of each file.
        pieces: Result of `scan_events`, or None for procedural events.
        progress: Called after every sound.

    Raises:
        InputError: If a file cannot be decoded, holds NaN, is silent, or is too short to be cut where it must be.
    """
    if pieces is None:
        return _procedural_events(spec, progress)
    classes = tuple(sorted({piece.genre for piece in pieces}))
    decoded: dict[str, list[tuple[MusicFile, Clip]]] = {name: [] for name in classes}
    for done, piece in enumerate(pieces, start=1):
        decoded[piece.genre].append((piece, _decode_event(piece)))
        progress(done, len(pieces))
    shared = [
        _share_of_fold(decoded[name], np.random.default_rng([spec.seed, _EVENTS, number]))
        for number, name in enumerate(classes)
    ]
    return EventSounds(classes, {group: tuple(of_class[group] for of_class in shared) for group in GROUPS})


def trim_silence(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove silence at both ends and shorten pauses to 0.3 s, so that every label frame contains sound.

    Args:
        wave: Shape (samples,), 24 kHz.

    Returns:
        Shape (fewer samples,); empty if all of it is silent. Blocks of 10 ms are silent 40 dB below the loudest one.
    """
    frames = -(-len(wave) // _HOP)
    padded = np.pad(wave, (0, frames * _HOP - len(wave))).astype(np.float64)
    level = np.sqrt(np.square(padded.reshape(frames, _HOP)).mean(axis=1))
    loud = np.flatnonzero(level > max(_SILENT_RMS, level.max(initial=0.0) * 10 ** (-_BELOW_LOUDEST_DB / 20)))
    if not len(loud):
        return np.empty(0, np.float32)
    longest = round(_LONGEST_PAUSE_S * SAMPLE_RATE_HZ / _HOP)
    breaks = np.flatnonzero(np.diff(loud) - 1 > longest)
    # Of a pause that is too long, half of the permitted length remains on either side of the cut.
    starts = np.concatenate([loud[:1], loud[breaks + 1] - longest // 2]) * _HOP
    ends = np.concatenate([loud[breaks] + 1 + longest // 2, loud[-1:] + 1]) * _HOP
    return np.concatenate([apply_fades(wave[start:end]) for start, end in zip(starts, ends, strict=True)])


def apply_fades(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of a sound, shape (samples,), with fades of 5 ms at both ends."""
    result = wave.copy()
    length = min(_FADE, len(wave) // 2)
    rise = ((np.arange(length) + 0.5) / max(1, length)).astype(np.float32)
    result[:length] *= rise
    result[len(result) - length :] *= rise[::-1]
    return result


def _decode_event(piece: MusicFile) -> Clip:
    mono = sound_files.decode_sound(piece.path, 0, min(piece.frames, _LONGEST_READ_S * piece.rate_hz)).mean(axis=1)
    clip = trim_silence(sound_files.resample_sound(mono, piece.rate_hz, SAMPLE_RATE_HZ))
    if len(clip) < LEAST_CLIP_S * SAMPLE_RATE_HZ:
        raise InputError(
            printable_path(piece.path),
            f"an event needs at least {LEAST_CLIP_S:g} s of sound",
            value=f"{len(clip) / SAMPLE_RATE_HZ:.2f} s",
            remedy="remove or replace the file",
        )
    return _normalise_level(clip)


def _share_of_fold(sounds: list[tuple[MusicFile, Clip]], generator: np.random.Generator) -> dict[str, tuple[Clip, ...]]:
    """Assign whole files to the groups if there are three or more, otherwise a part of every file to each group."""
    if len(sounds) < len(GROUPS):
        parts = [_cut_clip(piece, clip) for piece, clip in sounds]
        return {group: tuple(part[group] for part in parts) for group in GROUPS}
    order = generator.permutation(len(sounds))
    result, begin = {}, 0
    for group in ("test", "validate"):
        count = max(1, int(_SHARES[group] * len(sounds)))
        result[group] = tuple(sounds[index][1] for index in sorted(order[begin : begin + count]))
        begin += count
    return result | {"train": tuple(sounds[index][1] for index in sorted(order[begin:]))}


def _cut_clip(piece: MusicFile, clip: Clip) -> dict[str, Clip]:
    ends = np.round(np.cumsum([_SHARES[group] for group in GROUPS]) * len(clip)).astype(int)
    parts = [trim_silence(part) for part in np.split(clip, ends[:-1])]
    if min(len(part) for part in parts) < LEAST_CLIP_S * SAMPLE_RATE_HZ:
        raise InputError(
            printable_path(piece.path),
            "a class with fewer than 3 files needs files long enough to be cut for training, validation and test",
            value=f"{len(clip) / SAMPLE_RATE_HZ:.2f} s of sound",
            remedy="add files to the class until it has 3, or longer ones",
        )
    return dict(zip(GROUPS, map(_normalise_level, parts), strict=True))


def _procedural_events(spec: SceneSpec, progress: Progress) -> EventSounds:
    # Imported late: scipy's filters take a second to load, and are not needed for a folder of sounds.
    from datasets.scenes import synth

    seconds = min(spec.event_s[1], _PROCEDURAL_CLIP_S)
    total, done = len(synth.CLASSES) * sum(_PROCEDURAL_CLIPS.values()), 0
    clips: dict[str, tuple[tuple[Clip, ...], ...]] = {}
    for mark, (group, count) in enumerate(_PROCEDURAL_CLIPS.items()):
        of_group = []
        for kind in synth.CLASSES:
            seeds = [(spec.seed, _EVENTS, mark, number) for number in range(count)]
            of_group.append(tuple(_normalise_level(synth.synthesize_event(kind, seed, seconds)) for seed in seeds))
            done += count
            progress(done, total)
        clips[group] = tuple(of_group)
    return EventSounds(synth.CLASSES, clips)


def _normalise_level(clip: Clip) -> Clip:
    power = float(np.mean(np.square(clip, dtype=np.float64)))
    gain = min(CLIP_RMS / power**0.5, CLIP_PEAK / float(np.abs(clip).max()))
    return (clip * np.float32(gain)).astype(np.float32)
