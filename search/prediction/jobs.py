"""Recordings to predict: their files, their output files, and their sound in the format of the model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.audio.resampling import ResampledSound
from datasets.audio.sound_files import SoundHeader, decode_sound, read_header
from runtime.cli import local_folder, require_output_folder
from runtime.errors import InputError
from trainables.prediction import Recording, SoundFormat

_INFIX: Final = ".predicted"
"""Infix between the name of a recording and the suffix, so that label files next to recordings are not overwritten."""


@dataclass(frozen=True)
class Conversion:
    """Changes of the sound of recordings; none by default.

    Attributes:
        channels: Channels to take, from 0, in the order of the model; None for all of them as they are.
        resamples: Whether recordings of another sample rate are resampled.
    """

    channels: tuple[int, ...] | None = None
    resamples: bool = False


@dataclass(frozen=True)
class PredictionJob:
    """Recording to predict, and its output files.

    Attributes:
        path: Path of the recording.
        header: Header of the recording.
        table_path: Path of the table (csv).
        figure_path: Path of the plot (png).
        conversion: Changes of its sound.
    """

    path: Path
    header: SoundHeader
    table_path: Path
    figure_path: Path
    conversion: Conversion = Conversion()

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.header.frames / self.header.rate_hz

    def open_recording(self, sound: SoundFormat) -> Recording:
        """Return the recording in the format of a model, read segment by segment."""
        read = functools.partial(_decode_channels, self.path, self.conversion.channels)
        if self.header.rate_hz == sound.rate_hz:
            return Recording(self.path.stem, self.header.frames, read)
        resampled = ResampledSound(read, self.header.frames, self.header.rate_hz, sound.rate_hz)
        return Recording(self.path.stem, resampled.samples, resampled.read_section)

    def require_format(self, sound: SoundFormat) -> None:
        """Check the recording, after its conversion, against the format of a model.

        Raises:
            InputError: If it has another number of channels or another sample rate, or is too short.
        """
        self._require_channels(sound)
        if self.header.rate_hz != sound.rate_hz and not self.conversion.resamples:
            raise InputError(
                str(self.path),
                f"the model takes {sound.rate_hz} samples per second",
                value=f"{self.header.rate_hz} Hz",
                remedy="resample it with --resample",
            )
        if self.header.frames * sound.rate_hz < sound.least_samples * self.header.rate_hz:
            raise InputError(
                str(self.path),
                f"a recording must last at least {1000 * sound.least_samples / sound.rate_hz:g} ms",
                value=f"{1000 * self.seconds:.3g} ms",
                remedy="omit this recording",
            )

    def _require_channels(self, sound: SoundFormat) -> None:
        chosen, present = self.conversion.channels, self.header.channels
        if chosen is not None and max(chosen) >= present:
            raise InputError(
                f"--channels {','.join(map(str, chosen))}",
                f"{self.path} has the channels 0 to {present - 1}",
                value=max(chosen),
                remedy="name channels of the recording, counted from 0",
            )
        count = present if chosen is None else len(chosen)
        if count == sound.channels:
            return
        remedy = "use a recording of this microphone array, or another model"
        if present >= sound.channels:
            example = ",".join(map(str, range(sound.channels)))
            remedy = f"choose channels in the order of the model, e.g. --channels {example}; or {remedy}"
        raise InputError(
            str(self.path) if chosen is None else f"--channels {','.join(map(str, chosen))}",
            f"the model takes {sound.channels} channels: {sound.meaning}",
            value=f"{count} channel" + "s" * (count > 1),
            remedy=remedy,
        )


def _decode_channels(path: Path, channels: tuple[int, ...] | None, first: int, frames: int) -> NDArray[np.float32]:
    sound = decode_sound(path, first, frames)
    return sound if channels is None else sound[:, list(channels)]


def parse_channels(text: str | None) -> tuple[int, ...] | None:
    """Return the channels of `--channels`.

    Raises:
        InputError: If they are not distinct numbers from 0, separated by commas.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words) or len({int(word) for word in words}) < len(words):
        raise InputError(
            "--channels",
            "channels are distinct numbers from 0, separated by commas",
            value=text,
            remedy="list the channels of the recording in the order of the model, e.g. --channels 3,1,2,0",
        )
    return tuple(map(int, words))


def prepare_jobs(recordings: Sequence[Path], to: str | None, conversion: Conversion) -> list[PredictionJob]:
    """Check recordings and output folders, before torch is imported.

    Raises:
        InputError: If a recording is missing or unreadable, two recordings share an output file, or a folder is not writable.
    """
    given = None if to is None else local_folder(to)
    jobs: dict[Path, PredictionJob] = {}
    for path in recordings:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else None
            raise InputError(
                str(path), "the recording must be an existing file", value=kind, remedy="name a wav or flac file"
            )
        folder = given or path.parent
        table, figure = (folder / f"{path.stem}{_INFIX}{suffix}" for suffix in (".csv", ".png"))
        if table in jobs:
            raise InputError(
                str(path),
                "no two recordings may share an output file",
                value=f"{table}, also that of {jobs[table].path}",
                remedy="name each recording once; for equal names run the command once per --to",
            )
        jobs[table] = PredictionJob(path, read_header(path), table, figure, conversion)
    for folder in {job.table_path.parent for job in jobs.values()}:
        require_output_folder(folder)
    return list(jobs.values())
