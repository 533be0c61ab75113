"""Where datasets lie: a local folder, or a bucket through pyarrow's filesystems. Files are whole or not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from runtime import bucket, hashing, uris
from runtime.bucket import Bucket
from runtime.errors import InputError, StorageError
from runtime.files import atomic_write

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a full disk."""


@dataclass(frozen=True)
class Store:
    """A tree of files, named by paths relative to its root.

    Attributes:
        uri: A local path, or `s3://bucket/prefix`; pyarrow reads options from its query, e.g. `?endpoint_override=…`.
    """

    uri: str

    @property
    def is_local(self) -> bool:
        """Whether its files can be memory-mapped."""
        return not uris.is_uri(self.uri)

    @property
    def name(self) -> str:
        """The URI as it may be shown: without credentials and options."""
        return uris.redact_uri(self.uri)

    def subtree(self, name: str) -> Store:
        """The tree under one of its folders."""
        return Store(uris.join_uri(self.uri, name))

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the bucket for itself: pyarrow does not carry its patience over."""
        return (Store, (self.uri,))

    @cached_property
    def _bucket(self) -> Bucket:
        return self._open_bucket(bucket.ATTEMPTS)

    def _open_bucket(self, attempts: int) -> Bucket:
        try:
            return Bucket.open_bucket(self.uri, attempts)
        except (OSError, ValueError) as error:
            raise self._refusal_error(error) from error

    def require_open(self) -> None:
        """Check that files can be written and removed again; answers sooner than a request in the middle of a search.

        Raises:
            InputError: If not.
        """
        if self.is_local:
            return
        opened = self._open_bucket(bucket.FEW_ATTEMPTS)
        probe = f"{opened.root}/.probe-{uuid.uuid4().hex}"
        try:
            opened.write_object(probe, b"")
            opened.filesystem.delete_file(probe)
        except OSError as error:
            raise self._refusal_error(error) from error

    def _refusal_error(self, error: Exception) -> StorageError:
        return StorageError(
            self.name,
            "the bucket must exist and be open to these credentials",
            value=uris.redact_text(str(error).partition("\n")[0], self.uri),
            remedy="check the URI, the network, and AWS_ACCESS_KEY_ID or the profile",
        )

    def _remote_path(self, name: str) -> str:
        return f"{self._bucket.root}/{name}"

    def local_path(self, name: str) -> Path:
        """Where a file lies on this machine.

        Raises:
            ValueError: If the store is not local.
        """
        if not self.is_local:
            raise ValueError(f"{self.name} is not on this machine")
        return Path(self.uri) / name

    def write_file(self, name: str, content: Any, *, keep_cached: bool = True) -> None:
        """Write a file from bytes or a buffer, whole or not at all.

        Args:
            name: Relative to the store.
            content: All of it.
            keep_cached: See `runtime.files.replacing`.

        Raises:
            InputError: If the disk is full, or the bucket refuses.
        """
        if not self.is_local:
            self._request(lambda opened: opened.write_object(self._remote_path(name), content))
            return
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
        """Remove a file, if it is there."""
        if self.is_local:
            self.local_path(name).unlink(missing_ok=True)
        elif self.file_size(name) is not None:
            self._request(lambda opened: opened.filesystem.delete_file(self._remote_path(name)))

    def list_names(self, folder: str) -> list[str]:
        """All files under a folder, sorted; none if it is not there."""
        if self.is_local:
            root = Path(self.uri)
            return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())
        found = self._request(lambda opened: opened.list_files(self._remote_path(folder)))
        return sorted(path.removeprefix(self._remote_path("")) for path in found)

    def arrow_filesystem(self, name: str) -> tuple[Any, str]:
        """A bucket's pyarrow filesystem and the path of a name in it, for others who write there."""
        return self._bucket.filesystem, self._remote_path(name)

    def copy_within(self, name: str, to: str) -> None:
        """Copy a file of a bucket within it."""
        self._request(lambda opened: opened.filesystem.copy_file(self._remote_path(name), self._remote_path(to)))

    def _request(self, request: Callable[[Bucket], Any]) -> Any:
        """Ask a bucket for something."""
        try:
            return request(self._bucket)
        except OSError as error:
            raise self._refusal_error(error) from error

    def read_file(self, name: str) -> bytes | None:
        """A file's content, or None if there is none."""
        if self.is_local:
            path = self.local_path(name)
            return path.read_bytes() if path.is_file() else None
        if self.file_size(name) is None:
            return None
        return b"".join(self._read_chunks(name))

    def file_size(self, name: str) -> int | None:
        """A file's size in bytes, or None if there is none."""
        if self.is_local:
            path = self.local_path(name)
            return path.stat().st_size if path.is_file() else None
        info = self._request(lambda opened: opened.filesystem.get_file_info(self._remote_path(name)))
        return int(info.size) if info.is_file else None

    def compute_checksum(self, name: str) -> str:
        """SHA-256 of a file."""
        if self.is_local:
            return hashing.hash_file(self.local_path(name))
        found = hashlib.sha256()
        for chunk in self._read_chunks(name):
            found.update(chunk)
        return found.hexdigest()

    def _read_chunks(self, name: str) -> Iterator[bytes]:
        """A file of a bucket, piece by piece."""
        try:
            yield from self._bucket.read_chunks(self._remote_path(name))
        except OSError as error:
            raise self._refusal_error(error) from error

    @contextmanager
    def build_lock(self) -> Iterator[None]:
        """Let one process of this machine build at a time; the others wait, and then find what it has made."""
        if not self.is_local:
            yield  # objects of a bucket are whole or absent, and the same whoever writes them
            return
        root = Path(self.uri).absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f".{root.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def remove_partials(self, folder: str) -> None:
        """Remove what killed processes left half written in a folder; for the one that builds."""
        if self.is_local:
            for path in (Path(self.uri) / folder).glob(".*.part"):
                path.unlink(missing_ok=True)

    def copy_to(self, name: str, to: Path) -> None:
        """Copy a file of a bucket to this machine, unchecked, unless it is there already.

        Raises:
            InputError: If there is none.
        """
        with _copy_lock(to):
            if to.is_file() and to.stat().st_size == self.file_size(name):
                return
            content = self.read_file(name)
            if content is None:
                remedy = "run datasets.generate --verify"
                raise InputError(f"{self.name}/{name}", "the file must be there", remedy=remedy)
            Store(str(to.parent)).write_file(to.name, content)

    def fetch_verified(self, name: str, sha256: str, to: Path) -> None:
        """Copy a file of a bucket to this machine, unless it is there already.

        Processes that want the same file wait for the first of them, and then find it.

        Raises:
            InputError: If what arrives is not what was written, the disk is full, or the bucket refuses.
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

    def _require_checksum(self, name: str, found: str, sha256: str) -> None:
        if found != sha256:
            raise InputError(
                f"{self.name}/{name}",
                "a shard must hold what was written",
                value="another checksum",
                remedy="run  python -m datasets.generate … --verify,  which makes it again",
            )


@contextmanager
def _copy_lock(to: Path) -> Iterator[None]:
    """Hold the folder of a copy, as the only process of this machine; a crash lets go of it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with (to.parent / ".copying.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _disk_full_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        str(path),
        "the disk must have room for the dataset",
        value=error.strerror,
        remedy="free some space, or name another --storage; what is whole is kept, the same command goes on",
    )
