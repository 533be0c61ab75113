"""Layout of TAU-NIGENS Spatial Sound Events 2020 on disk: names, sound files and labels.

Source: Politis, Adavanne and Virtanen, "A Dataset of Reverberant Spatial Sound Scenes with Moving Sources for Sound
Event Localization and Detection" (2020), and the README of the data set, version 1.2.

A root folder holds `foa_dev/` and `mic_dev/` with the sound files and `metadata_dev/` with their labels; the evaluation
part ends in `_eval`. Sound files have four channels at 24 kHz, 16 bit, 60 s. Later data sets of the series (TAU-NIGENS 2021,
STARSS22, STARSS23) have the same folders, partly with sub-folders, names without `_ov1`, and recordings of other lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from datasets.audio.sound_files import SoundHeader, decode_sound
from datasets.audio.sound_headers import open_sound, require_complete
from datasets.tau2020.label_lines import COLUMNS
from datasets.tau2020.labels import FRAMES, read_labels, track_slots, write_labels
from datasets.tau2020.walk import find_files
from runtime.error_list import raise_problems
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
    "RecordingFiles",
    "RecordingFolder",
    "RecordingName",
    "label_folder",
    "label_path",
    "read_labels",
    "scan_recordings",
    "sound_folder",
    "sound_path",
    "track_slots",
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
_NAME: Final = re.compile(r"fold([1-9]\d*)_room([1-9]\d*)_(mix|aug)(\d+)(?:_ov([1-9]\d*))?", re.ASCII)
_EVALUATION_NAME: Final = re.compile(r"mix(\d+)", re.ASCII)


@dataclass(frozen=True, order=True)
class RecordingName:
    """Parts of the name of a recording, e.g. fold1_room1_mix001_ov1.

    Names of the evaluation part are `mix001`: their fold, room and overlap are 0, which means unknown. Names of later data
    sets, fold1_room1_mix001, have the overlap 0.

    Attributes:
        fold: Fold of the cross-validation, from 1.
        room: Number of the room within the fold, from 1.
        mix: Digits, e.g. "001", or "001002" for the mixture of recordings 001 and 002.
        overlap: Largest number of simultaneous events. An augmented recording keeps the 1 of its two parts, as the
            authors' tools name it, although two of its events may sound at once.
        augmented: Whether the recording is a mixture of two (`aug` in place of `mix`).
    """

    fold: int
    room: int
    mix: str
    overlap: int
    augmented: bool = False

    @classmethod
    def from_stem(cls, stem: str, location: str | None = None) -> Self:
        """Parse a file name without its suffix.

        Args:
            stem: Name, e.g. fold1_room10_mix001_ov2.
            location: Path of the file, for the error; the name itself if absent.

        Raises:
            InputError: If the name has another form.
        """
        if match := _NAME.fullmatch(stem):
            fold, room, kind, mix, overlap = match.groups()
            return cls(int(fold), int(room), mix, int(overlap or 0), augmented=kind == "aug")
        if match := _EVALUATION_NAME.fullmatch(stem):
            return cls(0, 0, match.group(1), 0)
        raise InputError(
            stem if location is None else location,
            "a recording is called fold1_room1_mix001_ov1 or fold1_room1_mix001, or mix001 in the evaluation part",
            value=stem,
            remedy="rename the file, or move it elsewhere",
        )

    @property
    def file_stem(self) -> str:
        """File name without its suffix; the inverse of `from_stem`."""
        if not self.fold:
            return f"mix{self.mix}"
        kind = "aug" if self.augmented else "mix"
        overlap = f"_ov{self.overlap}" if self.overlap else ""
        return f"fold{self.fold}_room{self.room}_{kind}{self.mix}{overlap}"


@dataclass(frozen=True, eq=False)
class Recording:
    """Recording in one format.

    Attributes:
        name: Name of the recording.
        audio: Samples, shape (4, samples), 24 kHz, full scale 1.
        rows: Labels, shape (lines, 5), sorted by frame: frame, class, track, azimuth and elevation in degrees.
    """

    name: RecordingName
    audio: NDArray[np.float32]
    rows: NDArray[np.int64]


def sound_folder(root: Path, fmt: Format, part: Part) -> Path:
    """Return the folder of the sound files of a format."""
    return root / f"{fmt}_{part}"


def label_folder(root: Path, part: Part) -> Path:
    """Return the folder of the labels."""
    return root / f"metadata_{part}"


def label_path(root: Path, part: Part, name: RecordingName) -> Path:
    """Return the path of the labels of a recording, which are written last: their presence marks a complete recording."""
    return label_folder(root, part) / f"{name.file_stem}.csv"


def sound_path(root: Path, fmt: Format, part: Part, name: RecordingName) -> Path:
    """Return the path of the sound file of a recording."""
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
        root: Folder of the data set; missing folders are created.
        name: Name of the recording.
        rows: Labels, shape (lines, 5).
        foa: Samples, shape (4, samples), within -1 and 1; a format that is None is not written.
        mic: Samples in the other format.
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
    import soundfile  # late: simulated data needs no decoder

    peak = float(np.abs(audio).max(initial=0))  # NaN if any sample is
    _require_folder(peak <= 1, path, "samples to be written must be within -1 and 1, or they would be clipped", peak)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Rounded here: libsndfile would round floats downwards, which adds an offset of half a step.
    steps = np.rint(audio.T.astype(np.float64) * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1)
    with atomic_write(path) as temporary:
        soundfile.write(temporary, steps.astype(np.int16), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")


def _require_folder(holds: bool, path: Path, rule: str, value: object) -> None:
    if not holds:
        raise InputError(str(path), rule, value=value, remedy="replace or remove the recording")


class RecordingFolder:
    """Recordings of one part in one format; their completeness and the headers of the sound files have been checked.

    Files may be in sub-folders. Hidden files are ignored.

    Args:
        root: Folder that contains `foa_dev/`, `metadata_dev/` and so on.
        fmt: `foa` or `mic`.
        part: `dev` or `eval`.
        augmented: Whether augmented recordings are listed; otherwise they are not checked either.

    Raises:
        InputError: If a folder is missing or empty, a sound file has no labels or the reverse, a file has another name
            than a recording, or a sound file is truncated, unreadable, or not 4 channels at 24 kHz. All such files are
            listed.
    """

    def __init__(self, root: Path, fmt: Format = "foa", part: Part = "dev", *, augmented: bool = True) -> None:
        self.root, self.fmt, self.part = root, fmt, part
        self._files, problems = scan_recordings(root, fmt, part, augmented=augmented)
        raise_problems(str(root), problems)

    def list_names(self, folds: Iterable[int] | None = None) -> tuple[RecordingName, ...]:
        """Return the names of some folds, or of all, in order."""
        if folds is None:
            return tuple(self._files)
        wanted = set(folds)
        return tuple(name for name in self._files if name.fold in wanted)

    def label_path(self, name: RecordingName) -> Path:
        """Return the path of the labels of a recording."""
        return self._files[name].labels

    def read_audio(self, name: RecordingName) -> NDArray[np.float32]:
        """Read the samples of a recording: its first 60 s, padded with zeros if it is shorter.

        Returns:
            Shape (4, 1 440 000), full scale 1.

        Raises:
            InputError: If the file is missing, corrupt, not 4 channels at 24 kHz, or holds NaN.
        """
        path = self._files[name].sound
        _read_frames(path)
        try:
            with open_sound(path) as file:
                sound = file.read(SAMPLES, dtype="float32", always_2d=True).T
        except RuntimeError as error:
            raise _unreadable_error(path, error) from error
        _require_folder(bool(np.isfinite(sound).all()), path, "samples must be finite numbers", "NaN or infinity")
        return np.pad(sound, ((0, 0), (0, SAMPLES - sound.shape[1])))

    def read_excerpt(self, name: RecordingName, position: float, samples: int) -> NDArray[np.float32]:
        """Read an excerpt of a recording.

        Args:
            name: Name of the recording.
            position: Position of the excerpt in the recording, from 0, its beginning, to 1, its end.
            samples: Length of the excerpt; what a shorter recording lacks is zero.

        Returns:
            Shape (samples, 4), full scale 1.

        Raises:
            InputError: If the file cannot be read, or holds NaN.
        """
        files = self._files[name]
        first = round(position * max(0, files.frames - samples))
        sound = decode_sound(files.sound, first, min(samples, files.frames))
        return np.pad(sound, ((0, samples - len(sound)), (0, 0)))

    def read_labels(self, name: RecordingName) -> NDArray[np.int64]:
        """Read the label rows of a recording, shape (lines, 5); see `labels.read_labels`."""
        return read_labels(self._files[name].labels)

    def read_recording(self, name: RecordingName) -> Recording:
        """Read the samples and the labels of a recording."""
        return Recording(name, self.read_audio(name), self.read_labels(name))


@dataclass(frozen=True)
class RecordingFiles:
    """Files of a recording in one format.

    Attributes:
        sound: Sound file.
        labels: Label file.
        frames: Length of the sound, in samples per channel.
    """

    sound: Path
    labels: Path
    frames: int


def scan_recordings(
    root: Path, fmt: Format, part: Part = "dev", *, augmented: bool = True
) -> tuple[dict[RecordingName, RecordingFiles], list[InputError]]:
    """Find the recordings of one part in one format, and check their headers; see the Args of `RecordingFolder`.

    Returns:
        Files of the intact recordings by name, in order; and the problems of all others.

    Raises:
        InputError: If a folder is missing or empty.
    """
    problems: list[InputError] = []
    sounds = _find_names(sound_folder(root, fmt, part), (".wav", ".flac"), problems, augmented=augmented)
    labels = _find_names(label_folder(root, part), (".csv",), problems, augmented=augmented)
    for name in sorted(sounds.keys() ^ labels.keys()):
        here = sounds.get(name) or labels[name]
        missing = label_path(root, part, name) if name in sounds else sound_path(root, fmt, part, name)
        problems.append(_partner_error(here, f"no {missing}"))
    files = {}
    for name in sorted(sounds.keys() & labels.keys()):
        try:
            files[name] = RecordingFiles(sounds[name], labels[name], _read_frames(sounds[name]))
        except InputError as error:
            problems.append(error)
    return files, problems


def _find_names(
    folder: Path, suffixes: tuple[str, ...], problems: list[InputError], *, augmented: bool
) -> dict[RecordingName, Path]:
    paths = find_files(folder, suffixes)
    if not paths:
        raise InputError(
            str(folder),
            f"the folder must exist and hold {' or '.join(suffixes)} files",
            remedy="name the folder above it, which contains foa_dev, mic_dev and metadata_dev, or fetch the data set there",
        )
    found: dict[RecordingName, Path] = {}
    for path in paths:
        try:
            name = RecordingName.from_stem(path.stem, str(path))
        except InputError as error:
            problems.append(error)
            continue
        if name in found:
            problems.append(_duplicate_error(path, found[name]))
        elif augmented or not name.augmented:
            found[name] = path
    return found


def _partner_error(path: Path, missing: str) -> InputError:
    return InputError(
        str(path),
        "every sound file has labels, and the reverse",
        value=missing,
        remedy="finish the download or the command that writes the recordings, or remove this file",
    )


def _duplicate_error(path: Path, other: Path) -> InputError:
    return InputError(
        str(path), "no two files belong to one recording", value=f"also {other}", remedy="remove one of the two files"
    )


def _read_frames(path: Path) -> int:
    """Check the header of a sound file, and return its length in samples per channel.

    Raises:
        InputError: If the file is unreadable, empty, or not 4 channels at 24 kHz.
    """
    try:
        require_complete(path)
        with open_sound(path) as file:
            header = SoundHeader(file.frames, file.samplerate, file.channels)
    except (OSError, RuntimeError) as error:
        raise _unreadable_error(path, error) from error
    _require_folder(header.channels == CHANNELS, path, f"a recording has {CHANNELS} channels", header.channels)
    _require_folder(
        header.rate_hz == SAMPLE_RATE_HZ,
        path,
        f"a recording has {SAMPLE_RATE_HZ} samples per second",
        header.rate_hz,
    )
    _require_folder(header.frames > 0, path, "a recording must contain sound", "0 samples")
    return int(header.frames)


def _unreadable_error(path: Path, error: Exception) -> InputError:
    reason = (getattr(error, "strerror", None) or str(error)).rsplit(":", 1)[-1].strip()
    return InputError(str(path), "a sound file must be readable", value=reason, remedy="replace or remove the file")
