"""The TAU-NIGENS Spatial Sound Events 2020 layout on disk: names, sound files and which of them belong together.

Source: Politis, Adavanne and Virtanen, "A Dataset of Reverberant Spatial Sound Scenes with Moving Sources for Sound
Event Localization and Detection" (2020), and the README of the data set, version 1.2.

A root folder holds `foa_dev/` and `mic_dev/` with the sound files and `metadata_dev/` with their labels; the evaluation
part ends in `_eval`. Sound files have four channels at 24 kHz, 16 bit, 60 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from datasets.audio.sound_files import require_complete
from datasets.tau2020.labels import COLUMNS, FRAMES, read_labels, track_slots, write_labels
from runtime.errors import InputError
from runtime.files import atomic_write

__all__ = [
    "CHANNELS",
    "COLUMNS",
    "FORMATS",
    "FRAMES",
    "SAMPLES",
    "SAMPLE_RATE_HZ",
    "SECONDS",
    "Format",
    "Part",
    "Recording",
    "RecordingName",
    "RecordingFolder",
    "label_folder",
    "label_path",
    "read_labels",
    "track_slots",
    "sound_folder",
    "sound_path",
    "write_labels",
    "write_recording",
]

SAMPLE_RATE_HZ: Final = 24_000
SECONDS: Final = 60
SAMPLES: Final = SAMPLE_RATE_HZ * SECONDS
CHANNELS: Final = 4
"""FOA: W, Y, Z, X. MIC: the capsules of the tetrahedron."""

Format = Literal["foa", "mic"]
Part = Literal["dev", "eval"]
FORMATS: Final[tuple[Format, ...]] = ("foa", "mic")

_FULL_SCALE: Final = 32_768
_NAME: Final = re.compile(r"fold([1-9]\d*)_room([1-9]\d*)_(mix|aug)(\d+)_ov([1-9]\d*)", re.ASCII)
_EVALUATION_NAME: Final = re.compile(r"mix(\d+)", re.ASCII)


@dataclass(frozen=True, order=True)
class RecordingName:
    """What the name of a recording says, e.g. fold1_room1_mix001_ov1.

    The evaluation part is named `mix001` alone: its fold, room and overlap are 0, which means "not told".

    Attributes:
        fold: Of the cross validation, from 1.
        room: From 1, counted within the fold.
        mix: Its digits, e.g. "001", or "001002" for the mixture of recordings 001 and 002.
        overlap: The largest number of simultaneous events. An augmented recording keeps the 1 of its two parts, as the
            authors' tools name it, although two of its events may sound at once.
        augmented: Whether it was mixed from two recordings (`aug` in place of `mix`).
    """

    fold: int
    room: int
    mix: str
    overlap: int
    augmented: bool = False

    @classmethod
    def from_stem(cls, stem: str, place: str | None = None) -> Self:
        """Read a name without its suffix.

        Args:
            stem: For instance fold1_room10_mix001_ov2.
            place: Where the name was found, for the error; the name itself if absent.

        Raises:
            InputError: If it is no such name.
        """
        if found := _NAME.fullmatch(stem):
            fold, room, kind, mix, overlap = found.groups()
            return cls(int(fold), int(room), mix, int(overlap), augmented=kind == "aug")
        if found := _EVALUATION_NAME.fullmatch(stem):
            return cls(0, 0, found.group(1), 0)
        raise InputError(
            stem if place is None else place,
            "a recording is called fold1_room1_mix001_ov1, or mix001 in the evaluation part",
            value=stem,
            remedy="rename the file, or move it elsewhere",
        )

    @property
    def file_stem(self) -> str:
        """The name without a suffix; `parse` reads it back."""
        if not self.fold:
            return f"mix{self.mix}"
        kind = "aug" if self.augmented else "mix"
        return f"fold{self.fold}_room{self.room}_{kind}{self.mix}_ov{self.overlap}"


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in one format.

    Attributes:
        name: What it is called.
        audio: Shape (4, samples), 24 kHz, full scale 1.
        rows: Labels, shape (lines, 5), sorted by frame: frame, class, track, azimuth and elevation in degrees.
    """

    name: RecordingName
    audio: NDArray[np.float32]
    rows: NDArray[np.int64]


def sound_folder(root: Path, fmt: Format, part: Part) -> Path:
    """Where the sound files of a format lie."""
    return root / f"{fmt}_{part}"


def label_folder(root: Path, part: Part) -> Path:
    """Where the labels lie."""
    return root / f"metadata_{part}"


def label_path(root: Path, part: Part, name: RecordingName) -> Path:
    """The csv of a recording. It is written last: where it lies, the recording is whole."""
    return label_folder(root, part) / f"{name.file_stem}.csv"


def sound_path(root: Path, fmt: Format, part: Part, name: RecordingName) -> Path:
    """The sound file of a recording."""
    return sound_folder(root, fmt, part) / f"{name.file_stem}.wav"


def write_recording(
    root: Path,
    name: RecordingName,
    *,
    rows: NDArray[np.int64],
    foa: NDArray[np.float32] | None = None,
    mic: NDArray[np.float32] | None = None,
    part: Part = "dev",
) -> None:
    """Write the sound files of a recording, then its labels.

    Args:
        root: The folder of the data set; what is missing of its folders is made.
        name: What the recording is called.
        rows: Labels, shape (lines, 5).
        foa: Samples, shape (4, samples), within -1 and 1; a format that is None is not written.
        mic: The same in the other format.
        part: `dev` or `eval`.

    Raises:
        InputError: If samples or labels cannot be written without loss.
    """
    for fmt, audio in zip(FORMATS, (foa, mic), strict=True):
        if audio is not None:
            _write_sound(sound_path(root, fmt, part, name), audio)
    label_folder(root, part).mkdir(parents=True, exist_ok=True)
    write_labels(label_path(root, part, name), rows)


def _write_sound(path: Path, audio: NDArray[np.float32]) -> None:
    _require_folder(
        audio.ndim == 2 and len(audio) == CHANNELS, path, f"sound has the shape ({CHANNELS}, samples)", audio.shape
    )
    peak = float(np.abs(audio).max(initial=0))  # NaN if any sample is
    _require_folder(peak <= 1, path, "samples to be written lie within -1 and 1, or they would be clipped", peak)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Rounded here: libsndfile would round floats downwards, which adds an offset of half a step.
    steps = np.rint(audio.T.astype(np.float64) * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1)
    with atomic_write(path) as temporary:
        soundfile.write(temporary, steps.astype(np.int16), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")


def _require_folder(holds: bool, path: Path, rule: str, value: object) -> None:
    if not holds:
        raise InputError(str(path), rule, value=value, remedy="replace or remove the recording")


class RecordingFolder:
    """The recordings of one part in one format, their completeness and sound headers checked.

    Args:
        root: The folder that holds `foa_dev/`, `metadata_dev/` and so on.
        fmt: `foa` or `mic`.
        part: `dev` or `eval`.
        augmented: Whether augmented recordings are listed; where they are not, they are not looked at either.

    Raises:
        InputError: If a folder is missing or empty, a sound file has no labels or the reverse, a file has another name
            than a recording, or a sound file is truncated, unreadable, or not 4 channels at 24 kHz.
    """

    def __init__(self, root: Path, fmt: Format = "foa", part: Part = "dev", *, augmented: bool = True) -> None:
        self.root, self.fmt, self.part = root, fmt, part
        sounds = _names_in(sound_folder(root, fmt, part), ".wav", augmented=augmented)
        labels = _names_in(label_folder(root, part), ".csv", augmented=augmented)
        self._names = tuple(sorted(sounds & labels))
        for name in sorted(sounds ^ labels):
            sound, label = sound_path(root, fmt, part, name), label_path(root, part, name)
            here, missing = (sound, label) if name in sounds else (label, sound)
            raise InputError(
                str(here),
                "every sound file has labels, and the reverse",
                value=f"no {missing}",
                remedy="finish the download or the command that writes the recordings, or remove this file",
            )
        for name in self._names:
            _check_header(sound_path(root, fmt, part, name))

    def list_names(self, folds: Iterable[int] | None = None) -> tuple[RecordingName, ...]:
        """Names in order, of some folds or of all."""
        if folds is None:
            return self._names
        wanted = set(folds)
        return tuple(name for name in self._names if name.fold in wanted)

    def read_audio(self, name: RecordingName) -> NDArray[np.float32]:
        """Samples of a recording: its first 60 s, followed by zeros where it is shorter.

        Returns:
            Shape (4, 1 440 000), full scale 1.

        Raises:
            InputError: If the file is missing, spoilt, not 4 channels at 24 kHz, or holds NaN.
        """
        path = sound_path(self.root, self.fmt, self.part, name)
        _check_header(path)
        try:
            sound = soundfile.read(path, frames=SAMPLES, dtype="float32", always_2d=True)[0].T
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable_error(path, error) from error
        _require_folder(bool(np.isfinite(sound).all()), path, "samples must be finite numbers", "NaN or infinity")
        return np.pad(sound, ((0, 0), (0, SAMPLES - sound.shape[1])))

    def read_labels(self, name: RecordingName) -> NDArray[np.int64]:
        """Label rows of a recording, shape (lines, 5); see `labels.read_labels`."""
        return read_labels(label_path(self.root, self.part, name))

    def read_recording(self, name: RecordingName) -> Recording:
        """Samples and labels together."""
        return Recording(name, self.read_audio(name), self.read_labels(name))


def _names_in(folder: Path, suffix: str, *, augmented: bool) -> set[RecordingName]:
    paths = [path for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")]
    if not paths:
        raise InputError(
            str(folder),
            f"the folder must exist and hold {suffix} files",
            remedy="name the folder above it, where foa_dev, mic_dev and metadata_dev lie, or fetch the data set there",
        )
    names = {RecordingName.from_stem(path.stem, str(path)) for path in paths}
    return {name for name in names if augmented or not name.augmented}


def _check_header(path: Path) -> None:
    try:
        require_complete(path)
        header = soundfile.info(path)
    except (OSError, soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable_error(path, error) from error
    _require_folder(header.channels == CHANNELS, path, f"a recording has {CHANNELS} channels", header.channels)
    _require_folder(
        header.samplerate == SAMPLE_RATE_HZ,
        path,
        f"a recording has {SAMPLE_RATE_HZ} samples a second",
        header.samplerate,
    )


def _unreadable_error(path: Path, error: Exception) -> InputError:
    reason = (getattr(error, "strerror", None) or str(error)).rsplit(":", 1)[-1].strip()
    return InputError(str(path), "a sound file must be readable", value=reason, remedy="replace or remove the file")
