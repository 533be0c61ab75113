"""Where datasets lie: a local folder, or a bucket through pyarrow's filesystems. Files are whole or not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from datasets import digest
from datasets.atomic import replacing
from datasets.errors import InputError

_CHUNK: Final = 1 << 22
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


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
        return "://" not in self.uri

    @property
    def name(self) -> str:
        """The URI as it may be shown: without credentials and options."""
        if self.is_local:
            return self.uri
        scheme, _, rest = self.uri.partition("://")
        return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow import fs  # here, since it takes longer to load than a mistake should wait

        try:
            opened, path = fs.FileSystem.from_uri(self.uri)
        except (OSError, ValueError) as error:
            raise self._refused(error) from error
        if not path.strip("/"):
            raise self._refused(ValueError("no bucket in it"))
        return opened, path

    def _refused(self, error: Exception) -> InputError:
        return InputError(
            self.name,
            "the bucket must exist and be open to these credentials",
            value=str(error).partition("\n")[0],
            remedy="check the URI, the network, and AWS_ACCESS_KEY_ID or the profile",
        )

    def _remote(self, name: str) -> str:
        return f"{self._opened[1].rstrip('/')}/{name}"

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
            keep_cached: See `datasets.atomic.replacing`.

        Raises:
            InputError: If the disk is full, or the bucket refuses.
        """
        if not self.is_local:
            try:
                with self._opened[0].open_output_stream(self._remote(name)) as stream:
                    stream.write(content)  # an object appears when its stream is closed
            except OSError as error:
                raise self._refused(error) from error
            return
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, keep_cached=keep_cached) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise _no_room(path, error) from error

    def read(self, name: str) -> bytes | None:
        """A file's content, or None if there is none."""
        if self.is_local:
            path = self.path(name)
            return path.read_bytes() if path.is_file() else None
        if self.size(name) is None:
            return None
        try:
            with self._opened[0].open_input_stream(self._remote(name)) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise self._refused(error) from error

    def size(self, name: str) -> int | None:
        """A file's size in bytes, or None if there is none."""
        if self.is_local:
            path = self.path(name)
            return path.stat().st_size if path.is_file() else None
        try:
            info = self._opened[0].get_file_info(self._remote(name))
        except OSError as error:
            raise self._refused(error) from error
        return int(info.size) if info.is_file else None

    def checksum(self, name: str) -> str:
        """SHA-256 of a file."""
        if self.is_local:
            return digest.of_file(self.path(name))
        found = hashlib.sha256()
        for chunk in self._chunks(name):
            found.update(chunk)
        return found.hexdigest()

    def _chunks(self, name: str) -> Iterator[bytes]:
        """A file of a bucket, piece by piece."""
        try:
            with self._opened[0].open_input_stream(self._remote(name)) as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
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
        if to.is_file() and to.stat().st_size == self.size(name):
            return
        content = self.read(name)
        if content is None:
            raise InputError(f"{self.name}/{name}", "the file must be there", remedy="run datasets.generate --verify")
        Store(str(to.parent)).write(to.name, content)

    def fetch(self, name: str, sha256: str, to: Path) -> None:
        """Copy a file of a bucket to this machine, unless it is there already.

        Raises:
            InputError: If what arrives is not what was written, the disk is full, or the bucket refuses.
        """
        if to.is_file() and to.stat().st_size == self.size(name):
            return
        arrived = hashlib.sha256()
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            with replacing(to) as temporary:
                with temporary.open("wb") as file:
                    for chunk in self._chunks(name):
                        arrived.update(chunk)
                        file.write(chunk)
                self._require_same(name, arrived.hexdigest(), sha256)
        except OSError as error:
            if error.errno not in _FULL:
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


def _no_room(path: Path, error: OSError) -> InputError:
    return InputError(
        str(path),
        "the disk must have room for the dataset",
        value=error.strerror,
        remedy="free some space, or name another --storage; what is whole is kept, the same command goes on",
    )
