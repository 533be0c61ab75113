"""Clips in memory: decoded, at 16 kHz, all arrays side by side, and where in them something is to be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.audio import sound_files
from datasets.audio.corpus import EXCERPT_RMS
from datasets.recordings.clips import ChannelFile, Clip
from datasets.recordings.spec import RecordingsSpec
from runtime.errors import InputError

HOP: Final = 160
"""Segments start every 10 ms."""
_SILENT_RMS: Final = 1e-5
"""Below the last bit of a 16-bit file: a clip that recorded nothing, whatever its gate is relative to."""

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""


@dataclass(frozen=True)
class ClipSound:
    """One decoded clip; 16 bits a sample, since the recordings of a whole room have to fit into memory.

    Attributes:
        clip: What it is.
        waves: Shape (arrays, microphones, frames), int16; multiply by `scale`.
        scale: Largest |x| of the clip / 32767.
        starts: First frames of its audible segments, shape (segments,).
    """

    clip: Clip
    waves: NDArray[np.int16]
    scale: float
    starts: NDArray[np.int64]


def gather_sounds(spec: RecordingsSpec, clips: Sequence[Clip], progress: Progress) -> tuple[ClipSound, ...]:
    """Decode all clips.

    Args:
        spec: Its arrays and its gate.
        clips: From `manifest.read_manifest`.
        progress: Told how many clips are done.

    Raises:
        InputError: If a file is truncated, cannot be decoded or holds NaN, with the row that names it.
    """
    sounds = []
    for clip in clips:
        sounds.append(_decode_clip(spec, clip))
        progress(len(sounds), len(clips))
    return tuple(sounds)


def _decode_clip(spec: RecordingsSpec, clip: Clip) -> ClipSound:
    arrays, microphones, _ = spec.microphones_m().shape
    tracks = [_read_channel(track) for track in clip.tracks]
    frames = min(len(track) for track in tracks)  # arrays need not stop at the same time
    waves = np.concatenate([track[:frames] for track in tracks], axis=1).T
    scale = max(float(np.abs(waves).max()), 1e-12) / 32767
    quantised = np.round(waves / np.float32(scale)).astype(np.int16).reshape(arrays, microphones, frames)
    return ClipSound(clip, quantised, scale, audible_starts(waves, spec.gate))


def _read_channel(track: ChannelFile) -> NDArray[np.float32]:
    """Shape (frames, microphones), 16 kHz."""
    try:
        sound = sound_files.decode_sound(track.path, 0, track.header.frames)
    except InputError as error:
        raise InputError(track.place, error.rule, value=f"{track.file}: {error.value}", remedy=error.remedy) from error
    return sound_files.resample_sound(sound[:, track.channels], track.header.rate_hz)


def audible_starts(waves: NDArray[np.float32], gate: float) -> NDArray[np.int64]:
    """Where a clip has 160 ms that pass the gate on the average L1 norm (section III-A).

    Recordings have no common level, so the gate is relative: it asks for a mean |x| over the segment and all microphones
    of `gate` where the clip's RMS is 0.1.

    Args:
        waves: Shape (channels, frames).
        gate: Least mean |x| for an RMS of 0.1.

    Returns:
        First frames, shape (segments,), a multiple of 10 ms each.
    """
    rms = float(np.sqrt(np.mean(np.square(waves, dtype=np.float64))))
    if rms < _SILENT_RMS:
        return np.empty(0, np.int64)
    total = np.concatenate([[0.0], np.cumsum(np.abs(waves).mean(axis=0), dtype=np.float64)])
    starts = np.arange(0, waves.shape[1] - MIXTURE_SAMPLES + 1, HOP, dtype=np.int64)
    loud = (total[starts + MIXTURE_SAMPLES] - total[starts]) / MIXTURE_SAMPLES >= gate * rms / EXCERPT_RMS
    audible: NDArray[np.int64] = starts[loud]
    return audible
