"""Resumable downloads of large files; a file is checked before it gets its final name."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import Final, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from datasets.fetch.zenodo import Archive
from runtime.errors import InputError

RETRY_DELAYS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_CHUNK: Final = 1 << 16
_MAX_RETRY_DELAY_S: Final = 300.0
_RETRYABLE_STATUS: Final = (408, 425, 429)
"""HTTP status codes below 500 after which a request is retried."""
_MAX_LISTING_BYTES: Final = 1 << 24
_LISTING_RETRIES: Final = 2
"""Number of retries of the listing; low, since it is the first request and a missing network is reported soon."""

DownloadProgress = Callable[[Archive, int], None]
"""Called with an archive and the number of its bytes that have been downloaded."""


@dataclass(frozen=True)
class HttpOptions:
    """Timeouts and retry delays of HTTP requests.

    Attributes:
        retry_delays_s: Delays before the retries of a request, in seconds; progress restarts the sequence, and its end
            is an error.
        timeout_s: Maximum time without a response from the server, in seconds.
        sleep: Function that waits for a number of seconds.
    """

    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S
    timeout_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


class _RetryableError(Exception):
    """Failure of a request that may succeed when retried.

    Args:
        reason: Cause of the failure.
        delay_s: Delay requested by the server, in seconds.
    """

    def __init__(self, reason: str, delay_s: float = 0.0) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


def read_text(url: str, network: HttpOptions) -> str:
    """Download a short text, e.g. a listing.

    Raises:
        InputError: If the server cannot be reached or refuses.
    """
    retry = _RetryBudget(url, network, _LISTING_RETRIES)
    while True:
        try:
            with _open_url(url, network) as response:
                return _read_response(response, _MAX_LISTING_BYTES).decode("utf-8", errors="replace")
        except _RetryableError as error:
            retry(error)


def is_verified(path: Path, archive: Archive) -> bool:
    """Return whether a file has the size and the MD5 listed in the record."""
    if not path.is_file() or path.stat().st_size != archive.size:
        return False
    with path.open("rb") as file:
        # MD5 is the only checksum in the record; it protects against transmission errors, not against attackers.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == archive.md5


def partial_path(path: Path) -> Path:
    """Return the path of a file during its download."""
    return path.with_name(f"{path.name}.part")


def download_archive(
    archive: Archive, folder: Path, network: HttpOptions, progress: DownloadProgress = lambda *_: None
) -> Path:
    """Download a file into a folder unless a verified copy exists there.

    A partial download in `<name>.part` is resumed. A file with a wrong MD5 is downloaded once more from its start.

    Args:
        archive: File to be downloaded.
        folder: Existing target folder.
        network: HTTP timeouts and retry delays.
        progress: Called after every chunk.

    Returns:
        Path of the downloaded file.

    Raises:
        InputError: If the server cannot be reached, refuses, or offers a file that differs from the record.
    """
    path = folder / archive.name
    if is_verified(path, archive):
        progress(archive, archive.size)
        return path
    part = partial_path(path)
    for _ in range(2):  # the bytes of an earlier, resumed download may be wrong
        _download_remainder(archive, part, network, progress)
        if is_verified(part, archive):
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
            return path
        part.unlink()
    raise InputError(
        archive.url,
        f"the file must have the MD5 {archive.md5} listed in the record",
        value="a different MD5, twice",
        remedy="try again later; if the error persists, the file of the record has changed",
    )


def _download_remainder(archive: Archive, part: Path, network: HttpOptions, progress: DownloadProgress) -> None:
    """Download the missing bytes of a partial file, with retries."""
    retry = _RetryBudget(archive.url, network)
    if not part.is_file() or part.stat().st_size > archive.size:
        part.write_bytes(b"")
    best = part.stat().st_size
    while part.stat().st_size < archive.size:
        try:
            _append_response(archive, part, network, progress)
        except _RetryableError as error:
            have = part.stat().st_size
            retry(error, gained=have > best)
            best = max(best, have)


def _append_response(archive: Archive, part: Path, network: HttpOptions, progress: DownloadProgress) -> None:
    """Request the missing bytes once, and append the received ones to the partial file."""
    have = part.stat().st_size
    with _open_url(archive.url, network, have) as response:
        continued = response.status == 206 and _range_start(response) == have
        if response.status == 206 and not continued:
            part.write_bytes(b"")
            raise _RetryableError("the server sent a different range than requested")
        _require_size(archive, response, have if continued else 0)
        have = _receive_chunks(archive, response, part, have if continued else 0, progress)
    if have < archive.size:
        raise _RetryableError(f"the connection ended after {have} of {archive.size} bytes")


def _receive_chunks(archive: Archive, response: HTTPResponse, part: Path, have: int, progress: DownloadProgress) -> int:
    """Append the received bytes to the partial file, and return its new length."""
    try:
        with part.open("ab" if have else "wb") as file:
            while have < archive.size and (chunk := _read_response(response, min(_CHUNK, archive.size - have))):
                file.write(chunk)
                have += len(chunk)
                progress(archive, have)
    except OSError as error:  # errors of the network have been converted to _RetryableError
        raise InputError(
            str(part),
            "the file must be written to disk",
            value=error.strerror,
            remedy="free disk space, then run the same command again: the download is resumed",
        ) from error
    return have


def _range_start(response: HTTPResponse) -> int | None:
    """Return the first byte of a partial response, from `Content-Range: bytes 100-199/200`."""
    first = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0].strip()
    return int(first) if first.isdecimal() else None


def _require_size(archive: Archive, response: HTTPResponse, start: int) -> None:
    length = response.headers.get("Content-Length") or ""
    if length.isdecimal() and start + int(length) != archive.size:
        raise InputError(
            archive.url,
            f"the file must have the {archive.size} bytes listed in the record",
            value=f"{start + int(length)} bytes",
            remedy="download the listing of the record again; a network that requires a login causes the same error",
        )


@contextmanager
def _open_url(url: str, network: HttpOptions, start: int = 0) -> Iterator[HTTPResponse]:
    """Request a file, starting from one of its bytes."""
    headers = {"User-Agent": "soundsweep"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=network.timeout_s)
    except HTTPError as error:
        error.close()
        _raise_http_error(url, error)
    except (InvalidURL, ValueError) as error:
        raise InputError(url, "the address must be valid", value=str(error), remedy="correct the address") from error
    except (OSError, HTTPException) as error:
        raise _RetryableError(_describe_reason(error)) from error
    with response:
        yield response


def _read_response(response: HTTPResponse, limit: int) -> bytes:
    try:
        return response.read(limit)
    except (OSError, HTTPException) as error:
        raise _RetryableError(_describe_reason(error)) from error


def _describe_reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__


def _raise_http_error(url: str, error: HTTPError) -> NoReturn:
    """Raise a retryable error for a temporary HTTP status, an input error otherwise."""
    if error.code in _RETRYABLE_STATUS or error.code >= 500:
        delay = error.headers.get("Retry-After") or ""
        raise _RetryableError(f"HTTP {error.code}", float(delay) if delay.isdecimal() else 0.0) from error
    raise InputError(
        url,
        "the server must provide the file",
        value=f"HTTP {error.code} {error.reason}",
        remedy="check the address of the record with a browser",
    ) from error


class _RetryBudget:
    """Increasing delays between retries; too many failures in a row without progress raise an error.

    `runtime.retry.retry_call` does not fit: progress restarts the delays, the server may request a longer one,
    and the last error becomes an `InputError`.
    """

    def __init__(self, url: str, network: HttpOptions, retries: int | None = None) -> None:
        self._url = url
        self._delays_s = network.retry_delays_s[:retries]
        self._sleep = network.sleep
        self._failures = 0

    def __call__(self, error: _RetryableError, *, gained: bool = False) -> None:
        self._failures = 0 if gained else self._failures
        if self._failures == len(self._delays_s):
            raise InputError(
                self._url,
                "the server must be reachable",
                value=str(error),
                remedy="check the network, then run the same command again: the download is resumed",
            ) from error
        delay = max(self._delays_s[self._failures], error.delay_s)
        self._failures += 1
        self._sleep(min(delay, _MAX_RETRY_DELAY_S))
