"""Opening of sound files: only regular files, by any name, with lengths that match their headers."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from runtime.errors import InputError
from runtime.files import printable_path

if TYPE_CHECKING:
    import soundfile

_HEADER_BYTES: Final = 4096
"""Number of bytes in which the chunk `data` of a WAV file begins; metadata before it is rarely longer."""
_UNKNOWN_LENGTHS: Final = (range(1), range(0x7FFF_F000, 0x8000_0100), range(0xFFFF_F000, 0x1_0000_0000))
"""Lengths that programs write to a pipe, where the header cannot be corrected afterwards (ffmpeg, sox, arecord)."""


@contextmanager
def open_sound(path: Path, *, is_sequential: bool = False) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for reading.

    Args:
        path: Path of the file.
        is_sequential: Whether the file is read from the beginning, without seeking.

    Raises:
        OSError: If the file cannot be read.
        soundfile.LibsndfileError: If it cannot be decoded; a RuntimeError.
    """
    import soundfile  # late: procedural music and its simulation need no decoder

    from datasets.audio.sequential_file import SequentialFile

    require_regular(path)
    make_file = SequentialFile if is_sequential else soundfile.SoundFile
    with path.open("rb") as content:
        start = content.read(_HEADER_BYTES)
        corrected = _correct_lengths(start, path.stat().st_size)
        if corrected is not None:
            with make_file(io.BufferedReader(_CorrectedFile(content, corrected))) as file:
                yield file
            return
    # Names may contain any bytes, which soundfile does not encode itself.
    with make_file(os.fsencode(path)) as file:
        yield file


def require_regular(path: Path) -> None:
    """Check that a path is a regular file: opening a pipe would wait for a writer, perhaps for ever.

    Raises:
        OSError: If the path does not exist or cannot be accessed.
        InputError: If the path is a folder, a pipe, a socket or a device.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise InputError(
            printable_path(path),
            "a sound file must be a regular file",
            value=kinds.get(stat.S_IFMT(mode), "a device"),
            remedy="move it elsewhere",
        )


def require_complete(path: Path) -> None:
    """Check that a file is as long as its header says, since libsndfile decodes truncated files without an error.

    Raises:
        OSError: If the file cannot be read.
        InputError: If the file is shorter than its header says.
    """
    require_regular(path)
    with path.open("rb") as file:
        declared = declared_bytes(file.read(28))
    if declared is not None and declared > path.stat().st_size:
        raise InputError(
            printable_path(path),
            "a sound file must be as long as its header says",
            value=f"{path.stat().st_size} of {declared} bytes",
            remedy="replace the truncated file",
        )


def declared_bytes(start: bytes) -> int | None:
    """Return the length of a file according to its first 28 bytes; None if they do not contain it."""
    if start[:4] in (b"RIFF", b"RIFX"):
        length = int.from_bytes(start[4:8], "little" if start[:4] == b"RIFF" else "big")
        return None if _is_unknown(length) else length + 8
    if start[:4] == b"FORM":
        length = int.from_bytes(start[4:8], "big")
        return None if _is_unknown(length) else length + 8
    if start[:4] == b"RF64" and start[12:16] == b"ds64":
        length = int.from_bytes(start[20:28], "little")
        return length + 8 if 0 < length < 2**62 else None
    if start[:4] == b"riff":  # Sony Wave64
        length = int.from_bytes(start[16:24], "little")
        return length if 0 < length < 2**62 else None
    if start[:4] == b".snd":
        length = int.from_bytes(start[8:12], "big")
        return None if _is_unknown(length) else length + int.from_bytes(start[4:8], "big")
    return None


def contains_mpeg_length(path: Path) -> bool:
    """Return whether an MP3 file contains the number of its frames; libsndfile estimates that of others from their size.

    The estimate includes tags before the sound (ID3, with pictures), and is then too long.
    """
    with path.open("rb") as file:
        start = file.read(10)
        if start[:3] == b"ID3":
            file.seek(10 + sum(byte << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=False)))
        else:
            file.seek(0)
        first_frame = file.read(_HEADER_BYTES)
    return any(name in first_frame for name in (b"Xing", b"Info", b"VBRI"))


def _is_unknown(length: int) -> bool:
    return any(length in lengths for lengths in _UNKNOWN_LENGTHS)


def _correct_lengths(start: bytes, size: int) -> bytes | None:
    """Return the beginning of a WAV file with the length of its samples; None unless the header says that there are none.

    libsndfile itself corrects lengths that exceed the file, but takes a length of zero literally.

    Args:
        start: First bytes of the file.
        size: Size of the file in bytes.
    """
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return None
    position = 12
    while start[position : position + 4] not in (b"", b"data"):
        length = _chunk_length(start, position)
        position += 8 + length + length % 2
    rest = size - position - 8
    if start[position : position + 4] != b"data" or _chunk_length(start, position) or not 0 < rest < 2**32:
        return None
    # An empty file may have other chunks after the samples that it lacks.
    if start[position + 8 : position + 12] in (b"LIST", b"id3 ", b"fact", b"bext", b"cue "):
        return None
    lengths = [min(length, 2**32 - 1).to_bytes(4, "little") for length in (size - 8, rest)]
    return b"".join([b"RIFF", lengths[0], start[8 : position + 4], lengths[1], start[position + 8 :]])


def _chunk_length(start: bytes, position: int) -> int:
    return int.from_bytes(start[position + 4 : position + 8], "little")


class _CorrectedFile(io.RawIOBase):
    """Binary file whose first bytes are replaced.

    Args:
        content: Open file.
        start: Bytes in place of those at its beginning.
    """

    def __init__(self, content: BinaryIO, start: bytes) -> None:
        self._content = content
        self._start = start
        self._content.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        position = self._content.tell()
        block = self._content.read(len(buffer))
        replaced = self._start[position : position + len(block)]
        buffer[: len(block)] = replaced + block[len(replaced) :]
        return len(block)
