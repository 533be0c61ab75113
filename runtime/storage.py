"""Trees of files, in a local folder or a bucket (`runtime.bucket_storage`). A file is either complete or absent."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from runtime import hashing, uris
from runtime.errors import InputError, StorageError
from runtime.files import atomic_write

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""

_CHUNK: Final = 1 << 22


def storage_at(uri: str) -> Storage:
    """Return the storage at a local path or a URI such as `s3://bucket/prefix`; nothing is opened yet."""
    from runtime.bucket_storage import BucketStorage  # which derives from a class of this module

    return BucketStorage(uri) if uris.is_uri(uri) else LocalStorage(uri)


@dataclass(frozen=True)
class Storage(ABC):
    """A tree of files, named by paths relative to its root.

    Attributes:
        uri: Local path, or URI whose query holds options of pyarrow, e.g. `?endpoint_override=…`.
    """

    uri: str

    is_local = False
    """Whether files can be memory-mapped."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the URI alone, so that another process opens the bucket itself with its retry settings."""
        return (storage_at, (self.uri,))

    @property
    def name(self) -> str:
        """URI without credentials and options, for messages."""
        return uris.redact_uri(self.uri)

    def subtree(self, name: str) -> Storage:
        """Return the storage below one of the folders."""
        return storage_at(uris.join_uri(self.uri, name))

    @abstractmethod
    def require_open(self) -> None:
        """Check that files can be written and removed, with fewer retries than requests of a running search.

        Raises:
            StorageError: If they cannot.
        """

    @abstractmethod
    def local_path(self, name: str) -> Path:
        """Return the path of a file on this machine.

        Raises:
            ValueError: If the storage is a bucket.
        """

    @abstractmethod
    def write_file(self, name: str, content: Any, *, keep_cached: bool = True) -> None:
        """Write a complete file from bytes or a buffer.

        Args:
            name: Path relative to the root.
            content: Content of the file.
            keep_cached: Whether the operating system keeps the file in memory (see `runtime.files.atomic_write`).

        Raises:
            StorageError: If the disk is full or the bucket refuses.
        """

    @abstractmethod
    def delete_file(self, name: str) -> None:
        """Remove a file, if it exists."""

    @abstractmethod
    def list_names(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted; an absent folder has none."""

    @abstractmethod
    def file_size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist."""

    @abstractmethod
    def read_file(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist."""

    @abstractmethod
    def compute_checksum(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal."""

    @abstractmethod
    def build_lock(
        self, purpose: str = "a dataset", report: Callable[[str], None] = lambda _: None
    ) -> AbstractContextManager[None]:
        """Return a lock that lets one process per machine build datasets; others wait and then find the result.

        Args:
            purpose: Name of what is built, for the messages of other processes.
            report: Prints a line when the lock has to be waited for, and another one when it is held.
        """

    @abstractmethod
    def remove_partials(self, folder: str) -> None:
        """Remove temporary files that killed processes left in a folder; to be called while holding `build_lock`."""

    @abstractmethod
    def _read_chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces."""

    def copy_to(self, name: str, to: Path) -> None:
        """Copy a file to this machine without a checksum, unless a copy of the same size exists.

        Raises:
            InputError: If the file does not exist.
        """
        with _copy_lock(to):
            if to.is_file() and to.stat().st_size == self.file_size(name):
                return
            content = self.read_file(name)
            if content is None:
                remedy = "run datasets.generate --verify"
                raise InputError(f"{self.name}/{name}", "the file must exist", remedy=remedy)
            LocalStorage(str(to.parent)).write_file(to.name, content)

    def fetch_verified(self, name: str, sha256: str, to: Path) -> None:
        """Copy a file to this machine and verify its checksum, unless a copy of the same size exists.

        Processes that request the same file wait for the first of them.

        Raises:
            InputError: If the content differs from what was written, the disk is full, or the bucket refuses.
        """
        arrived = hashlib.sha256()
        try:
            with _copy_lock(to):
                if to.is_file() and to.stat().st_size == self.file_size(name):
                    return
                with atomic_write(to) as temporary:
                    with temporary.open("wb") as file:
                        for chunk in self._read_chunks(name):
                            arrived.update(chunk)
                            file.write(chunk)
                    self._require_checksum(name, arrived.hexdigest(), sha256)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _disk_full_error(to, error) from error

    def _require_checksum(self, name: str, computed: str, sha256: str) -> None:
        if computed != sha256:
            raise InputError(
                f"{self.name}/{name}",
                "the content of a shard must match its checksum",
                value="a different checksum",
                remedy="run  python -m datasets.generate … --verify,  which rebuilds the shard",
            )


class LocalStorage(Storage):
    """A folder on this machine."""

    is_local = True

    @property
    def _root(self) -> Path:
        return Path(self.uri)

    def require_open(self) -> None:
        """Accept every folder: `runtime.files` checks whether it is writable where a command needs that."""

    def local_path(self, name: str) -> Path:
        """Return the path of a file."""
        return self._root / name

    def write_file(self, name: str, content: Any, *, keep_cached: bool = True) -> None:
        """Write a file under a temporary name, then rename it.

        Raises:
            StorageError: If the disk is full.
        """
        path = self.local_path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, keep_cached=keep_cached) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _disk_full_error(path, error) from error

    def delete_file(self, name: str) -> None:
        """Remove a file, if it exists."""
        self.local_path(name).unlink(missing_ok=True)

    def list_names(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted."""
        root = self._root
        return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())

    def file_size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist."""
        path = self.local_path(name)
        return path.stat().st_size if path.is_file() else None

    def read_file(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist."""
        path = self.local_path(name)
        return path.read_bytes() if path.is_file() else None

    def compute_checksum(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal."""
        return hashing.hash_file(self.local_path(name))

    @contextmanager
    def build_lock(self, purpose: str = "a dataset", report: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Hold a lock file next to the folder; a crash releases it."""
        root = self._root.absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f".{root.name}.lock").open("a+", encoding="utf-8") as file:
            _wait_for_lock(file, root, report)
            with suppress(OSError):  # the note is for messages only, and the disk may be full
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}, which is building {purpose}")
                file.flush()
            yield

    def remove_partials(self, folder: str) -> None:
        """Remove temporary files that killed processes left in a folder."""
        for path in (self._root / folder).glob(".*.part"):
            path.unlink(missing_ok=True)

    def _read_chunks(self, name: str) -> Iterator[bytes]:
        with self.local_path(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def _wait_for_lock(file: IO[str], root: Path, report: Callable[[str], None]) -> None:
    """Lock a file; report the holder, whose note the file contains, if it is not free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        report(f"waiting for {file.read().strip() or 'another process, which is building datasets'} in {root}")
        started = time.monotonic()
        fcntl.flock(file, fcntl.LOCK_EX)
        report(f"the other build has ended after {time.monotonic() - started:.0f} s; continuing")


@contextmanager
def _copy_lock(to: Path) -> Iterator[None]:
    """Hold the lock of a copy's folder; a crash releases it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with (to.parent / ".copying.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _disk_full_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        str(path),
        "the disk must have free space for the dataset",
        value=error.strerror,
        remedy="free some space, or name another --storage; complete files are kept and the same command continues",
    )
