"""Zip archives, whole or split into `.z01`, `.z02` … `.zip`, into a folder; once, however often it is asked for."""

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
    """An archive and its parts.

    Attributes:
        stem: Its name without suffix, e.g. foa_dev; also the folder that it holds.
        parts: All its files, the one that ends in `.zip` last.
    """

    stem: str
    parts: tuple[Archive, ...]

    def unpack_state(self) -> str:
        """What distinguishes this version of the archive."""
        return "".join(f"{part.md5}  {part.name}\n" for part in self.parts)

    def unpack_command(self, folder: Path) -> str:
        """How to unpack a split archive by hand, where 7z is missing."""
        last, joined = (shlex.quote(str(folder / name)) for name in (self.parts[-1].name, f"{self.stem}_joined.zip"))
        return f"zip -s 0 {last} --out {joined} && unzip -o {joined} -d {shlex.quote(str(folder))} && rm {joined}"


def group_archives(archives: Iterable[Archive]) -> tuple[PackedArchive, ...]:
    """Put the parts of each zip archive together; files of other kinds are left out."""
    found: dict[str, list[Archive]] = {}
    for archive in sorted(archives, key=lambda archive: archive.name):  # .z01, .z02, .zip
        if match := _PART.fullmatch(archive.name):
            found.setdefault(match.group(1), []).append(archive)
    return tuple(PackedArchive(stem, tuple(parts)) for stem, parts in found.items() if parts[-1].name.endswith(".zip"))


def is_unpacked(packed: PackedArchive, folder: Path) -> bool:
    """Whether this version of the archive has been unpacked into the folder."""
    noted = _write_note(packed, folder)
    return noted.is_file() and noted.read_text(encoding="utf-8") == packed.unpack_state()


def unpack_archive(packed: PackedArchive, folder: Path) -> str | None:
    """Unpack an archive whose parts all lie in the folder.

    Returns:
        None when it is unpacked; for a split archive where 7z is not on the PATH, the command to run by hand.

    Raises:
        InputError: If the archive is spoilt, or its content cannot be written.
    """
    if is_unpacked(packed, folder):
        return None
    if len(packed.parts) == 1:
        _unpack_whole(packed, folder)
    elif (tool := shutil.which("7z")) is not None:
        _unpack_split(packed, folder, tool)
    else:
        return packed.unpack_command(folder)
    # Last, so that what was broken off is unpacked again.
    files.write_text_atomic(_write_note(packed, folder), packed.unpack_state())
    return None


def _write_note(packed: PackedArchive, folder: Path) -> Path:
    return folder / f".{packed.stem}.unpacked"


def _unpack_whole(packed: PackedArchive, folder: Path) -> None:
    path = folder / packed.parts[0].name
    try:
        with zipfile.ZipFile(path) as archive:
            holds_folder = any(name.startswith(f"{packed.stem}/") for name in archive.namelist())
            archive.extractall(
                folder if holds_folder else folder / packed.stem
            )  # zipfile lets no name leave the folder
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise _corrupt_error(path, str(error)) from error


def _unpack_split(packed: PackedArchive, folder: Path, tool: str) -> None:
    path = folder / packed.parts[-1].name
    done = subprocess.run([tool, "x", "-y", f"-o{folder}", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise _corrupt_error(path, said[-1] if said else f"7z ended with status {done.returncode}")


def _corrupt_error(path: Path, reason: str) -> InputError:
    return InputError(
        str(path),
        "the archive must unpack",
        value=reason,
        remedy="make sure that the disk has room; if it has, remove the archive and fetch it again",
    )
