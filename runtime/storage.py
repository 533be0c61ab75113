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
from runtime.files import replacing

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
        return uris.shown(self.uri)

    def below(self, name: str) -> Store:
        """The tree under one of its folders."""
        return Store(uris.below(self.uri, name))

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the bucket for itself: pyarrow does not carry its patience over."""
        return (Store, (self.uri,))

    @cached_property
    def _bucket(self) -> Bucket:
        return self._opened(bucket.ATTEMPTS)

    def _opened(self, attempts: int) -> Bucket:
        try:
            return Bucket.opened(self.uri, attempts)
        except (OSError, ValueError) as error:
            raise self._refused(error) from error

    def require_open(self) -> None:
        """Check that files can be written and removed again; answers sooner than a request in the middle of a search.

        Raises:
            InputError: If not.
        """
        if self.is_local:
            return
        opened = self._opened(bucket.FEW_ATTEMPTS)
        probe = f"{opened.root}/.probe-{uuid.uuid4().hex}"
        try:
            opened.write(probe, b"")
            opened.filesystem.delete_file(probe)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            self.name,
            "the bucket must exist and be open to these credentials",
            value=uris.without_secrets(str(error).partition("\n")[0], self.uri),
            remedy="check the URI, the network, and AWS_ACCESS_KEY_ID or the profile",
        )

    def _remote(self, name: str) -> str:
        return f"{self._bucket.root}/{name}"

    def path(self, name: str) -> Path:
        """Where a file lies on this machine.

        Raises:
            ValueError: If the store is not local.
        """
        if not self.is_local:
            raise ValueError(f"{self.name} is not on this machine")
        return Path(self.uri) / name

    def write(self, name: str, content: Any, *, keep_cached: bool = True) -> None:
        """Write a file from bytes or a buffer, whole or not at all.

        Args:
            name: Relative to the store.
            content: All of it.
            keep_cached: See `runtime.files.replacing`.

        Raises:
            InputError: If the disk is full, or the bucket refuses.
        """
        if not self.is_local:
            self._ask(lambda opened: opened.write(self._remote(name), content))
            return
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, keep_cached=keep_cached) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _no_room(path, error) from error

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.is_local:
            self.path(name).unlink(missing_ok=True)
        elif self.size(name) is not None:
            self._ask(lambda opened: opened.filesystem.delete_file(self._remote(name)))

    def names(self, folder: str) -> list[str]:
        """All files under a folder, sorted; none if it is not there."""
        if self.is_local:
            root = Path(self.uri)
            return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())
        found = self._ask(lambda opened: opened.files(self._remote(folder)))
        return sorted(path.removeprefix(self._remote("")) for path in found)

    def filesystem(self, name: str) -> tuple[Any, str]:
        """A bucket's pyarrow filesystem and the path of a name in it, for others who write there."""
        return self._bucket.filesystem, self._remote(name)

    def copied(self, name: str, to: str) -> None:
        """Copy a file of a bucket within it."""
        self._ask(lambda opened: opened.filesystem.copy_file(self._remote(name), self._remote(to)))

    def _ask(self, request: Callable[[Bucket], Any]) -> Any:
        """Ask a bucket for something."""
        try:
            return request(self._bucket)
        except OSError as error:
            raise self._refused(error) from error

    def read(self, name: str) -> bytes | None:
        """A file's content, or None if there is none."""
        if self.is_local:
            path = self.path(name)
            return path.read_bytes() if path.is_file() else None
        if self.size(name) is None:
            return None
        return b"".join(self._chunks(name))

    def size(self, name: str) -> int | None:
        """A file's size in bytes, or None if there is none."""
        if self.is_local:
            path = self.path(name)
            return path.stat().st_size if path.is_file() else None
        info = self._ask(lambda opened: opened.filesystem.get_file_info(self._remote(name)))
        return int(info.size) if info.is_file else None

    def checksum(self, name: str) -> str:
        """SHA-256 of a file."""
        if self.is_local:
            return hashing.of_file(self.path(name))
        found = hashlib.sha256()
        for chunk in self._chunks(name):
            found.update(chunk)
        return found.hexdigest()

    def _chunks(self, name: str) -> Iterator[bytes]:
        """A file of a bucket, piece by piece."""
        try:
            yield from self._bucket.chunks(self._remote(name))
        except OSError as error:
            raise self._refused(error) from error

    @contextmanager
    def building(self) -> Iterator[None]:
        """Let one process of this machine build at a time; the others wait, and then find what it has made."""
        if not self.is_local:
            yield  # objects of a bucket are whole or absent, and the same whoever writes them
            return
        root = Path(self.uri).absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f".{root.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def sweep(self, folder: str) -> None:
        """Remove what killed processes left half written in a folder; for the one that builds."""
        if self.is_local:
            for path in (Path(self.uri) / folder).glob(".*.part"):
                path.unlink(missing_ok=True)

    def copy(self, name: str, to: Path) -> None:
        """Copy a file of a bucket to this machine, unchecked, unless it is there already.

        Raises:
            InputError: If there is none.
        """
        with _one_at_a_time(to):
            if to.is_file() and to.stat().st_size == self.size(name):
                return
            content = self.read(name)
            if content is None:
                remedy = "run datasets.generate --verify"
                raise InputError(f"{self.name}/{name}", "the file must be there", remedy=remedy)
            Store(str(to.parent)).write(to.name, content)

    def fetch(self, name: str, sha256: str, to: Path) -> None:
        """Copy a file of a bucket to this machine, unless it is there already.

        Processes that want the same file wait for the first of them, and then find it.

        Raises:
            InputError: If what arrives is not what was written, the disk is full, or the bucket refuses.
        """
        arrived = hashlib.sha256()
        try:
            with _one_at_a_time(to):
                if to.is_file() and to.stat().st_size == self.size(name):
                    return
                with replacing(to) as temporary:
                    with temporary.open("wb") as file:
                        for chunk in self._chunks(name):
                            arrived.update(chunk)
                            file.write(chunk)
                    self._require_same(name, arrived.hexdigest(), sha256)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _no_room(to, error) from error

    def _require_same(self, name: str, found: str, sha256: str) -> None:
        if found != sha256:
            raise InputError(
                f"{self.name}/{name}",
                "a shard must hold what was written",
                value="another checksum",
                remedy="run  python -m datasets.generate … --verify,  which makes it again",
            )


@contextmanager
def _one_at_a_time(to: Path) -> Iterator[None]:
    """Hold the folder of a copy, as the only process of this machine; a crash lets go of it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with (to.parent / ".copying.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _no_room(path: Path, error: OSError) -> StorageError:
    return StorageError(
        str(path),
        "the disk must have room for the dataset",
        value=error.strerror,
        remedy="free some space, or name another --storage; what is whole is kept, the same command goes on",
    )
