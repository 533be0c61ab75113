"""A bucket through pyarrow's filesystems, patient with servers that throttle and connections that break."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

ATTEMPTS: Final = 10
"""A request is repeated so often, with the client library's growing pauses: for about a minute."""

FEW_ATTEMPTS: Final = 2
"""Enough to find out whether a bucket is there at all."""

_SMALL: Final = 1 << 22
_CHUNK: Final = 1 << 22
_REPEATS: Final = 6
_PAUSE_S: Final = 0.1
_T = TypeVar("_T")


@dataclass(frozen=True)
class Bucket:
    """An opened bucket.

    Attributes:
        filesystem: Of pyarrow.
        at_once: The same, but what is written goes in one request.
        root: The path that the URI names.
    """

    filesystem: Any
    at_once: Any
    root: str

    @classmethod
    def open_bucket(cls, uri: str, attempts: int = ATTEMPTS) -> Bucket:
        """Open what a URI names.

        Raises:
            OSError: If the bucket cannot be reached.
            ValueError: If the URI is none, or names no bucket.
        """
        from pyarrow import fs  # here, since it takes longer to load than a mistake should wait

        found, path = fs.FileSystem.from_uri(uri)
        if not path.strip("/"):
            raise ValueError("no bucket in it")
        if not isinstance(found, fs.S3FileSystem):
            return cls(found, found, path.rstrip("/"))
        rebuild, (options,) = found.__reduce__()  # a URI has no words for what follows
        patience = {
            "retry_strategy": fs.AwsStandardS3RetryStrategy(attempts),
            "connect_timeout": 10.0,
            "request_timeout": 30.0,
        }
        at_once = rebuild({**options, **patience, "allow_delayed_open": True})
        return cls(rebuild({**options, **patience}), at_once, path.rstrip("/"))

    def write_object(self, path: str, content: Any) -> None:
        """Write an object: it appears whole when its stream is closed, or not at all.

        Raises:
            OSError: If the bucket refuses.
        """
        # A large upload that cannot begin would leave an empty object if its opening were delayed.
        filesystem = self.at_once if memoryview(content).nbytes < _SMALL else self.filesystem

        def put() -> None:
            with filesystem.open_output_stream(path) as stream:
                stream.write(content)

        _retry_request(put)

    def read_chunks(self, path: str) -> Iterator[bytes]:
        """An object's content, piece by piece.

        Raises:
            OSError: If there is none, or the bucket refuses.
        """
        with self.filesystem.open_input_file(path) as file:
            for first in range(0, int(file.size()), _CHUNK):
                yield _retry_request(lambda first=first: bytes(file.read_at(_CHUNK, first)))  # type: ignore[misc]

    def list_files(self, folder: str) -> list[str]:
        """Paths of all files under a folder; none if it is not there."""
        from pyarrow import fs

        found = self.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True))
        return [str(info.path) for info in found if info.is_file]


def _retry_request(request: Callable[[], _T]) -> _T:
    """Repeat a request that pyarrow gives up because of how, not that, it was throttled.

    The end of an upload in parts counts as failed even if pyarrow's own retry got through, and an object smaller than the
    words of a refusal leaves no room for reading these.
    """
    for attempt in range(_REPEATS):
        try:
            return request()
        except OSError as error:
            if not any(name in str(error) for name in ("NO_SUCH_UPLOAD", "INTERNAL_FAILURE")):
                raise
            time.sleep(_PAUSE_S * 2**attempt)
    return request()
