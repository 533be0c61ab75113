"""Trees of files in a bucket."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime import bucket, uris
from runtime.bucket import Bucket
from runtime.errors import StorageError
from runtime.storage import Storage


class BucketStorage(Storage):
    """A prefix of a bucket. Objects appear when their upload is complete, so there are no partial files."""

    @cached_property
    def _bucket(self) -> Bucket:
        return self._open_bucket(bucket.ATTEMPTS)

    def _open_bucket(self, attempts: int) -> Bucket:
        try:
            return Bucket.open_bucket(self.uri, attempts)
        except (OSError, ValueError) as error:
            raise self._refusal_error(error) from error

    def require_open(self) -> None:
        """Write and remove an empty object.

        Raises:
            StorageError: If the bucket does not exist, is out of reach, or refuses the credentials.
        """
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

    def _request(self, request: Callable[[Bucket], Any]) -> Any:
        """Return the result of a request to the bucket; its errors become StorageErrors."""
        try:
            return request(self._bucket)
        except OSError as error:
            raise self._refusal_error(error) from error

    def local_path(self, name: str) -> Path:
        """Raise ValueError: objects of a bucket have no local path."""
        raise ValueError(f"{self.name}/{name} is not on this machine")

    def write_file(self, name: str, content: Any, *, keep_cached: bool = True) -> None:  # noqa: ARG002
        """Upload an object.

        Raises:
            StorageError: If the bucket refuses.
        """
        self._request(lambda opened: opened.write_object(self._remote_path(name), content))

    def delete_file(self, name: str) -> None:
        """Remove an object, if it exists."""
        if self.file_size(name) is not None:
            self._request(lambda opened: opened.filesystem.delete_file(self._remote_path(name)))

    def list_names(self, folder: str) -> list[str]:
        """Return the paths of all objects below a folder, sorted."""
        paths = self._request(lambda opened: opened.list_files(self._remote_path(folder)))
        return sorted(path.removeprefix(self._remote_path("")) for path in paths)

    def copy_within(self, name: str, to: str) -> None:
        """Copy an object within the bucket."""
        self._request(lambda opened: opened.filesystem.copy_file(self._remote_path(name), self._remote_path(to)))

    def file_size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or None if it does not exist."""
        info = self._request(lambda opened: opened.filesystem.get_file_info(self._remote_path(name)))
        return int(info.size) if info.is_file else None

    def read_file(self, name: str) -> bytes | None:
        """Return the content of an object, or None if it does not exist."""
        return None if self.file_size(name) is None else b"".join(self._read_chunks(name))

    def compute_checksum(self, name: str) -> str:
        """Return the SHA-256 of an object in hexadecimal."""
        digest = hashlib.sha256()
        for chunk in self._read_chunks(name):
            digest.update(chunk)
        return digest.hexdigest()

    def build_lock(
        self,
        purpose: str = "a dataset",  # noqa: ARG002
        report: Callable[[str], None] = lambda _: None,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Return no lock: objects are complete or absent, and identical whichever process writes them."""
        return nullcontext()

    def remove_partials(self, folder: str) -> None:
        """Remove nothing: a bucket has no partial files."""

    def _read_chunks(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._bucket.read_chunks(self._remote_path(name))
        except OSError as error:
            raise self._refusal_error(error) from error
