"""Unpacking of zip archives, single or split into `.z01`, `.z02` … `.zip`; each version is unpacked once."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datasets.fetch.zenodo import Archive
from runtime import files
from runtime.errors import InputError

_PART: Final = re.compile(r"(.+)\.(zip|z\d\d)")


@dataclass(frozen=True)
class PackedArchive:
    """Zip archive with all its parts.

    Attributes:
        stem: File name without suffix, e.g. foa_dev; also the name of the folder that it contains.
        parts: Files of the archive; the one that ends in `.zip` is the last.
    """

    stem: str
    parts: tuple[Archive, ...]

    def marker_text(self) -> str:
        """Return the checksums that identify this version of the archive."""
        return "".join(f"{part.md5}  {part.name}\n" for part in self.parts)

    def manual_command(self, folder: Path) -> str:
        """Return the command that unpacks a split archive without 7z."""
        last, joined = (shlex.quote(str(folder / name)) for name in (self.parts[-1].name, f"{self.stem}_joined.zip"))
        return f"zip -s 0 {last} --out {joined} && unzip -o {joined} -d {shlex.quote(str(folder))} && rm {joined}"


def group_archives(archives: Iterable[Archive]) -> tuple[PackedArchive, ...]:
    """Group the parts of each zip archive; other files are ignored."""
    parts_by_stem: dict[str, list[Archive]] = {}
    for archive in sorted(archives, key=lambda archive: archive.name):  # .z01, .z02, .zip
        if match := _PART.fullmatch(archive.name):
            parts_by_stem.setdefault(match.group(1), []).append(archive)
    return tuple(
        PackedArchive(stem, tuple(parts)) for stem, parts in parts_by_stem.items() if parts[-1].name.endswith(".zip")
    )


def is_unpacked(packed: PackedArchive, folder: Path) -> bool:
    """Return whether this version of the archive has been unpacked into the folder."""
    marker = _marker_path(packed, folder)
    return marker.is_file() and marker.read_text(encoding="utf-8") == packed.marker_text()


def unpack_archive(packed: PackedArchive, folder: Path) -> str | None:
    """Unpack an archive whose parts are all in the folder.

    Returns:
        None if the archive is unpacked; the command to run manually for a split archive if 7z is not on the PATH.

    Raises:
        InputError: If the archive is corrupt, or its content cannot be written.
    """
    if is_unpacked(packed, folder):
        return None
    if len(packed.parts) == 1:
        _unpack_whole(packed, folder)
    elif (tool := shutil.which("7z")) is not None:
        _unpack_split(packed, folder, tool)
    else:
        return packed.manual_command(folder)
    # Written last, so that an interrupted run unpacks the archive again.
    files.write_text_atomic(_marker_path(packed, folder), packed.marker_text())
    return None


def _marker_path(packed: PackedArchive, folder: Path) -> Path:
    return folder / f".{packed.stem}.unpacked"


def _unpack_whole(packed: PackedArchive, folder: Path) -> None:
    path = folder / packed.parts[0].name
    try:
        with zipfile.ZipFile(path) as archive:
            holds_folder = any(name.startswith(f"{packed.stem}/") for name in archive.namelist())
            archive.extractall(
                folder if holds_folder else folder / packed.stem
            )  # zipfile rejects names outside of the folder
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise _corrupt_error(path, str(error)) from error


def _unpack_split(packed: PackedArchive, folder: Path, tool: str) -> None:
    path = folder / packed.parts[-1].name
    done = subprocess.run([tool, "x", "-y", f"-o{folder}", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        messages = (done.stderr or done.stdout).strip().splitlines()
        raise _corrupt_error(path, messages[-1] if messages else f"7z ended with status {done.returncode}")


def _corrupt_error(path: Path, reason: str) -> InputError:
    return InputError(
        str(path),
        "the archive must be readable and its content writable",
        value=reason,
        remedy="check the free disk space; if it is sufficient, delete the archive and download it again",
    )
