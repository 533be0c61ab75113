"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, keep_cached: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds.

    The data is flushed to the disk before the rename, so that a power cut leaves the old file or the new one.

    Args:
        path: The file that shall be there.
        keep_cached: Whether the system may keep the file in memory. Where much more is written than is read soon, it had
            better not: fresh memory costs more than writing to the disk.
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
    """Write a whole text file, or nothing."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
