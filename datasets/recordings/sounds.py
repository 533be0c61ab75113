"""Decoded clips in memory at 16 kHz, and their audible segments."""

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
"""Distance between the starts of segments, in samples: 10 ms."""
_SILENT_RMS: Final = 1e-5
"""RMS below the last bit of a 16-bit file: the clip is silent, and a relative gate meaningless."""

Progress = Callable[[int, int], None]
"""Called with the number of finished clips and their total."""


@dataclass(frozen=True)
class ClipSound:
    """Decoded clip with 16-bit samples, since all recordings of a room have to fit into memory.

    Attributes:
        clip: Entry of the manifest.
        waves: Samples, shape (arrays, microphones, frames), int16; multiply by `scale`.
        scale: Largest |x| of the clip / 32767.
        starts: First frames of the audible segments, shape (segments,).
    """

    clip: Clip
    waves: NDArray[np.int16]
    scale: float
    starts: NDArray[np.int64]


def gather_sounds(spec: RecordingsSpec, clips: Sequence[Clip], progress: Progress) -> tuple[ClipSound, ...]:
    """Decode clips.

    Args:
        spec: Description of the dataset, with its arrays and its gate.
        clips: Clips from `read_clip_list`.
        progress: Called after every clip.

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
    """Decode the channels of a file, shape (frames, microphones), 16 kHz."""
    try:
        sound = sound_files.decode_sound(track.path, 0, track.header.frames)
    except InputError as error:
        raise InputError(track.place, error.rule, value=f"{track.file}: {error.value}", remedy=error.remedy) from error
    return sound_files.resample_sound(sound[:, track.channels], track.header.rate_hz)


def audible_starts(waves: NDArray[np.float32], gate: float) -> NDArray[np.int64]:
    """Find the segments of 160 ms that pass the gate on the average L1 norm (section III-A).

    Recordings have no common level, so the gate is relative: in a clip with an RMS of 0.1, the mean |x| over the segment
    and all microphones has to be at least `gate`.

    Args:
        waves: Samples of the clip, shape (channels, frames).
        gate: Minimum mean |x| for an RMS of 0.1.

    Returns:
        First frames of the segments, multiples of 10 ms, shape (segments,).
    """
    rms = float(np.sqrt(np.mean(np.square(waves, dtype=np.float64))))
    if rms < _SILENT_RMS:
        return np.empty(0, np.int64)
    total = np.concatenate([[0.0], np.cumsum(np.abs(waves).mean(axis=0), dtype=np.float64)])
    starts = np.arange(0, waves.shape[1] - MIXTURE_SAMPLES + 1, HOP, dtype=np.int64)
    loud = (total[starts + MIXTURE_SAMPLES] - total[starts]) / MIXTURE_SAMPLES >= gate * rms / EXCERPT_RMS
    audible: NDArray[np.int64] = starts[loud]
    return audible
