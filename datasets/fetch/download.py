"""Large files over an unreliable network: continued where they broke off, and checked before they get their name."""

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

PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_CHUNK: Final = 1 << 16
_LONGEST_PAUSE_S: Final = 300.0
_BUSY: Final = (408, 425, 429)
"""Answers that ask to come back later, as those from 500 do."""
_LISTING_BYTES: Final = 1 << 24
_LISTING_TRIES: Final = 2
"""Few, since it comes first: who has no network shall hear of it soon."""

Progress = Callable[[Archive, int], None]
"""Called with the file and how many of its bytes are here."""


@dataclass(frozen=True)
class Network:
    """How servers are asked.

    Attributes:
        pauses_s: Before another try, after so many tries in a row that brought nothing; then it is given up.
        timeout_s: How long a server may be silent.
        sleep: Waits for so many seconds.
    """

    pauses_s: tuple[float, ...] = PAUSES_S
    timeout_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


class _TryAgainError(Exception):
    """A try that brought nothing, or not all; another may.

    Args:
        reason: What happened.
        pause_s: How long the server asks to wait.
    """

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


def read_text(url: str, network: Network) -> str:
    """Read a small text, e.g. a listing.

    Raises:
        InputError: If the server cannot be reached or refuses.
    """
    failed = _RetryBudget(url, network, _LISTING_TRIES)
    while True:
        try:
            with _open_url(url, network) as response:
                return _read_response(response, _LISTING_BYTES).decode("utf-8", errors="replace")
        except _TryAgainError as error:
            failed(error)


def is_whole(path: Path, archive: Archive) -> bool:
    """Whether a file has the size and the MD5 that its record says."""
    if not path.is_file() or path.stat().st_size != archive.size:
        return False
    with path.open("rb") as file:
        # Not for safety: it is what the record offers against broken downloads.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == archive.md5


def partial_path(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return path.with_name(f"{path.name}.part")


def download_archive(archive: Archive, folder: Path, network: Network, progress: Progress = lambda *_: None) -> Path:
    """Bring one file into a folder; nothing is done if it lies there whole.

    What an earlier call left in `<name>.part` is continued. A file with a wrong MD5 is fetched once more from its start.

    Args:
        archive: What is wanted.
        folder: It exists.
        network: How servers are asked.
        progress: Told after every chunk.

    Raises:
        InputError: If the server cannot be reached, refuses, or has another file than the record says.
    """
    path = folder / archive.name
    if is_whole(path, archive):
        progress(archive, archive.size)
        return path
    part = partial_path(path)
    for _ in range(2):  # what was continued may be what is wrong
        _complete(archive, part, network, progress)
        if is_whole(part, archive):
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
            return path
        part.unlink()
    raise InputError(
        archive.url,
        f"the file must have the MD5 {archive.md5}, which its record says",
        value="another one, twice",
        remedy="try again later; if it stays so, the record's file has changed",
    )


def _complete(archive: Archive, part: Path, network: Network, progress: Progress) -> None:
    """Append to the part until it is as long as the file."""
    failed = _RetryBudget(archive.url, network)
    if not part.is_file() or part.stat().st_size > archive.size:
        part.write_bytes(b"")
    best = part.stat().st_size
    while part.stat().st_size < archive.size:
        try:
            _append_response(archive, part, network, progress)
        except _TryAgainError as error:
            have = part.stat().st_size
            failed(error, gained=have > best)
            best = max(best, have)


def _append_response(archive: Archive, part: Path, network: Network, progress: Progress) -> None:
    """Ask once for what is missing; whatever comes is kept."""
    have = part.stat().st_size
    with _open_url(archive.url, network, have) as response:
        continued = response.status == 206 and _start_download(response) == have
        if response.status == 206 and not continued:
            part.write_bytes(b"")
            raise _TryAgainError("the server sent another part than was asked for")
        _require_size(archive, response, have if continued else 0)
        have = _receive_chunks(archive, response, part, have if continued else 0, progress)
    if have < archive.size:
        raise _TryAgainError(f"the connection ended after {have} of {archive.size} bytes")


def _receive_chunks(archive: Archive, response: HTTPResponse, part: Path, have: int, progress: Progress) -> int:
    """Write what comes behind the bytes that are here already; how many there are then."""
    try:
        with part.open("ab" if have else "wb") as file:
            while have < archive.size and (chunk := _read_response(response, min(_CHUNK, archive.size - have))):
                file.write(chunk)
                have += len(chunk)
                progress(archive, have)
    except OSError as error:  # the network's are another error by now
        raise InputError(
            str(part),
            "the disk must take the file",
            value=error.strerror,
            remedy="make room, then run the same command again: it goes on where it stopped",
        ) from error
    return have


def _start_download(response: HTTPResponse) -> int | None:
    """The first byte of a partial answer, from `Content-Range: bytes 100-199/200`."""
    first = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0].strip()
    return int(first) if first.isdecimal() else None


def _require_size(archive: Archive, response: HTTPResponse, start: int) -> None:
    length = response.headers.get("Content-Length") or ""
    if length.isdecimal() and start + int(length) != archive.size:
        raise InputError(
            archive.url,
            f"the file must have {archive.size} bytes, which its record says",
            value=f"{start + int(length)} bytes",
            remedy="fetch the record's listing anew; a network that asks for a login also answers like this",
        )


@contextmanager
def _open_url(url: str, network: Network, start: int = 0) -> Iterator[HTTPResponse]:
    """Ask a server for a file from one of its bytes on."""
    headers = {"User-Agent": "soundsweep"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=network.timeout_s)
    except HTTPError as error:
        error.close()
        _refusal_error(url, error)
    except (InvalidURL, ValueError) as error:
        raise InputError(url, "the address must be one", value=str(error), remedy="correct the address") from error
    except (OSError, HTTPException) as error:
        raise _TryAgainError(_describe_reason(error)) from error
    with response:
        yield response


def _read_response(response: HTTPResponse, most: int) -> bytes:
    try:
        return response.read(most)
    except (OSError, HTTPException) as error:
        raise _TryAgainError(_describe_reason(error)) from error


def _describe_reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__


def _refusal_error(url: str, error: HTTPError) -> NoReturn:
    """Tell an answer that may change from one that will not."""
    if error.code in _BUSY or error.code >= 500:
        wait = error.headers.get("Retry-After") or ""
        raise _TryAgainError(f"HTTP {error.code}", float(wait) if wait.isdecimal() else 0.0) from error
    raise InputError(
        url,
        "the server must hand the file out",
        value=f"HTTP {error.code} {error.reason}",
        remedy="check the address of the record with a browser",
    ) from error


class _RetryBudget:
    """Pauses between tries, longer each time; ends in an error when too many in a row brought nothing."""

    def __init__(self, url: str, network: Network, tries: int | None = None) -> None:
        self._url = url
        self._pauses_s = network.pauses_s[:tries]
        self._sleep = network.sleep
        self._failures = 0

    def __call__(self, error: _TryAgainError, *, gained: bool = False) -> None:
        self._failures = 0 if gained else self._failures
        if self._failures == len(self._pauses_s):
            raise InputError(
                self._url,
                "the server must be within reach",
                value=str(error),
                remedy="check the network, then run the same command again: it goes on where it stopped",
            ) from error
        pause = max(self._pauses_s[self._failures], error.pause_s)
        self._failures += 1
        self._sleep(min(pause, _LONGEST_PAUSE_S))
