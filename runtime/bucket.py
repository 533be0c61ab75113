"""Buckets through pyarrow's filesystems, with retries for throttled requests and broken connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from runtime.retry import retry_call

ATTEMPTS: Final = 10
"""Number of attempts per request; with the growing pauses of the client library they take about a minute."""

FEW_ATTEMPTS: Final = 4
"""Number of attempts per request where only the existence of a bucket is checked: three may be throttled in a row."""

_MAX_DELAYED_BYTES: Final = 1 << 22
_CHUNK: Final = 1 << 22
_RETRY_PAUSES_S: Final = tuple(0.1 * 2**attempt for attempt in range(6))
_TRANSIENT_ERRORS: Final = ("NO_SUCH_UPLOAD", "INTERNAL_FAILURE")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Bucket:
    """An open bucket.

    Attributes:
        filesystem: Filesystem of pyarrow.
        single_request_filesystem: Filesystem of pyarrow that writes a small object in one request.
        root: Path in the filesystem that the URI names.
    """

    filesystem: Any
    single_request_filesystem: Any
    root: str

    @classmethod
    def open_bucket(cls, uri: str, attempts: int = ATTEMPTS) -> Bucket:
        """Open the bucket of a URI.

        Raises:
            OSError: If the bucket cannot be reached.
            ValueError: If the URI is invalid or contains no bucket.
        """
        from pyarrow import fs  # imported here, since its import takes longer than reporting a wrong option should

        filesystem, path = fs.FileSystem.from_uri(uri)
        if not path.strip("/"):
            raise ValueError("no bucket in it")
        if not isinstance(filesystem, fs.S3FileSystem):
            return cls(filesystem, filesystem, path.rstrip("/"))
        rebuild, (options,) = filesystem.__reduce__()  # a URI cannot express the following options
        limits = {
            "retry_strategy": fs.AwsStandardS3RetryStrategy(attempts),
            "connect_timeout": 10.0,
            "request_timeout": 30.0,
        }
        single_request = rebuild({**options, **limits, "allow_delayed_open": True})
        return cls(rebuild({**options, **limits}), single_request, path.rstrip("/"))

    def write_object(self, path: str, content: Any) -> None:
        """Write an object; it appears complete when its stream is closed, or not at all.

        Raises:
            OSError: If the bucket refuses.
        """
        # With delayed opening, a large upload that cannot begin would leave an empty object.
        is_small = memoryview(content).nbytes < _MAX_DELAYED_BYTES
        filesystem = self.single_request_filesystem if is_small else self.filesystem

        def upload() -> None:
            with filesystem.open_output_stream(path) as stream:
                stream.write(content)

        _retry_request(upload)

    def read_chunks(self, path: str) -> Iterator[bytes]:
        """Yield the content of an object in pieces.

        Raises:
            OSError: If the object does not exist, or the bucket refuses.
        """
        with self.filesystem.open_input_file(path) as file:
            for first in range(0, int(file.size()), _CHUNK):
                yield _retry_request(lambda first=first: bytes(file.read_at(_CHUNK, first)))  # type: ignore[misc]

    def list_files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder; an absent folder has none."""
        from pyarrow import fs

        entries = self.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True))
        return [str(info.path) for info in entries if info.is_file]


def _retry_request(request: Callable[[], _T]) -> _T:
    """Repeat a throttled request in the two cases in which pyarrow's own retries do not suffice.

    The completion of a multipart upload is reported as failed even if a retry succeeded, and the error message of a
    refusal does not fit into the buffer for an object that is smaller than the message.
    """
    return retry_call(request, _is_transient, _RETRY_PAUSES_S)


def _is_transient(error: Exception) -> bool:
    return isinstance(error, OSError) and any(name in str(error) for name in _TRANSIENT_ERRORS)
