"""Local files: atomic writing, and checks that a folder is writable and its disk has enough free space."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.console import format_bytes
from runtime.errors import InputError, StorageError
from runtime.machines import machine


@contextmanager
def atomic_write(path: Path, *, keep_cached: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds.

    The data is flushed to the disk before the rename, so that a power cut leaves the old file or the new one.

    Args:
        path: File to be written.
        keep_cached: Whether the operating system may keep the file in memory. False is faster where much more is
            written than is soon read, since fresh memory costs more than writing to the disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
            if not keep_cached and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a complete text file in UTF-8, or none."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def printable_path(path: Path | str) -> str:
    """Return a path for messages, with escapes for bytes that are not UTF-8 and for characters that do not print."""
    return "".join(
        character
        if character.isprintable()
        else f"\\x{ord(character) - 0xDC00:02x}"
        if "\udc80" <= character <= "\udcff"
        else character.encode("unicode_escape").decode("ascii")
        for character in os.fspath(path)
    )


def write_obstacle(folder: Path, *, create: bool = False) -> str | None:
    """Return the reason why files cannot be written to a folder, or None if they can.

    Args:
        folder: Folder; if it does not exist, its nearest existing parent is checked.
        create: Whether to create the folder first.
    """
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        # Root passes every permission check but cannot write everywhere, so write a file; it never has a name.
        with tempfile.TemporaryFile(dir=machine.nearest_existing_parent(folder)):
            return None
    except OSError as error:
        return error.strerror or str(error)


def require_writable(storage: str, option: str = "--storage") -> Path:
    """Check that files can be written to a folder, without creating it.

    Raises:
        InputError: If not.
    """
    path = Path(storage).absolute()
    link = next((folder for folder in (path, *path.parents) if folder.is_symlink() and not folder.exists()), None)
    if link is not None:
        raise InputError(
            option,
            "a link must lead to an existing folder",
            value=f"{link} → {link.readlink()}",
            remedy="create the folder that it names, mount its disk, or name another folder",
        )
    existing = machine.nearest_existing_parent(path)
    if not existing.is_dir():
        raise InputError(
            option, "storage must be a folder", value=str(existing), remedy="name a folder, or remove that file"
        )
    obstacle = write_obstacle(path)
    if obstacle is not None:
        remedy = "change its permissions, or name another folder"
        raise InputError(option, "storage must be writable", value=f"{existing}: {obstacle}", remedy=remedy)
    return path


def require_free_disk(folder: Path, needed_bytes: int) -> None:
    """Check that a disk has enough free space.

    Args:
        folder: Target folder; it need not exist.
        needed_bytes: Size of the files to be written, in bytes.

    Raises:
        StorageError: If less space is free.
    """
    free = machine.free_bytes(folder)
    if free < needed_bytes:
        raise StorageError(
            str(folder),
            f"the disk needs {format_bytes(needed_bytes)} free",
            value=f"{format_bytes(free)} free",
            remedy="free some space, or choose a folder on another disk",
        )
