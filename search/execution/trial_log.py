"""Log of a trial: all that its processes print, and the cause where a process ends itself.

Standard output and error are redirected at the level of file descriptors, so that output of native libraries and of child
processes is included. Attempts are appended, each one under a header; only the end of a long log is kept.
"""

from __future__ import annotations

import faulthandler
import io
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from runtime.errors import StorageError
from search.execution.error_text import format_location
from search.results import SearchFolder

MAX_LOG_BYTES: Final = 5_000_000
"""Size to which a log is cut, keeping its end."""
_TRIM_INTERVAL_S: Final = 5.0
_TAIL_BYTES: Final = 100_000
"""Length of the end of a log in which the last attempt is searched."""
_HEADER: Final = "── attempt started "
_SELF_INFLICTED: Final = "── the process ends itself: "
_SIGNALS: Final = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
"""Names of the signals that faulthandler reports."""


@dataclass(frozen=True)
class ProcessEnd:
    """End of the last process that ran a trial.

    Attributes:
        attempt: Header of the attempt, different for every process.
        cause: Cause as far as the log has one; None if the process left no trace, as after SIGKILL.
    """

    attempt: str
    cause: str | None


def read_process_end(path: Path) -> ProcessEnd | None:
    """Return how the last attempt of a log ended; None if there is no log."""
    before, header, text = _read_tail(path).rpartition(_HEADER)
    del before
    if not header:
        return None
    attempt, _, output = text.partition("\n")
    return ProcessEnd(attempt, _find_cause(output))


def _read_tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _find_cause(output: str) -> str | None:
    _, mark, last = output.rpartition(_SELF_INFLICTED)
    if mark:
        return last.partition("\n")[0]
    crash = re.search(r"Fatal Python error: ([^\n]+)(.*)", output, re.DOTALL)
    if crash is None:
        return None
    name, stack = crash[1].strip(), re.findall(r'File "([^"]+)", line (\d+)', crash[2])
    frame = format_location([(path, int(line)) for path, line in reversed(stack)])
    return f"{name} ({_SIGNALS[name]}){frame}" if name in _SIGNALS else f"{name}{frame}"


def append_to_log(results: SearchFolder, number: int, text: str) -> None:
    """Append text to the log of a trial; a log that cannot be written does no harm."""
    path = results.log_path(number)
    with suppress(OSError, StorageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        results.upload_file(path)


class TrialLog:
    """Redirection of the output of this process to the log of a trial, until it is closed.

    Args:
        results: Files of the search.
        number: Number of the trial.
    """

    def __init__(self, results: SearchFolder, number: int) -> None:
        self._results = results
        self._path = results.log_path(number)
        self._previous: tuple[int, int] | None = None
        self._uploaded_bytes = -1
        self._closed = threading.Event()
        with suppress(OSError, StorageError):  # output then stays where it was: a log is not worth a trial
            self._open()
            os.write(2, f"{_HEADER}{_describe_process()}\n".encode())
            threading.Thread(target=self._trim_regularly, daemon=True).start()

    def _open(self) -> None:
        if not self._path.is_file():
            self._results.fetch_file(self._path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _flush_streams()
            self._previous = os.dup(1), os.dup(2)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
        finally:
            os.close(descriptor)

    def save(self) -> None:
        """Cut the log to its maximum size, and upload it if the results are in a bucket."""
        _flush_streams()
        with suppress(OSError, StorageError):
            trim_log(self._path)
            size = self._path.stat().st_size
            if size != self._uploaded_bytes:
                self._results.upload_file(self._path)
                self._uploaded_bytes = size

    def close(self) -> None:
        """Direct the output back to where it went before, and save the log."""
        if self._closed.is_set():
            return
        self._closed.set()
        _flush_streams()
        if self._previous is not None:
            for descriptor, previous in zip((1, 2), self._previous, strict=True):
                os.dup2(previous, descriptor)
                os.close(previous)
        self.save()

    def _trim_regularly(self) -> None:
        while not self._closed.wait(_TRIM_INTERVAL_S):
            with suppress(OSError):
                trim_log(self._path)


def _describe_process() -> str:
    return f"{datetime.now().isoformat(sep=' ')} on {platform.node()}, process {os.getpid()}"


def trim_log(path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Remove the beginning of a log that is too long, in place: processes that append to it keep it open."""
    size = path.stat().st_size
    if size <= max_bytes:
        return
    with path.open("r+b") as file:
        file.seek(size - max_bytes * 4 // 5)  # leaves room, so that not every line causes a copy
        kept = file.read()
        file.truncate(0)
        file.seek(0)
        file.write(b"(earlier output was removed)\n" + kept[kept.find(b"\n") + 1 :])


class _ForgivingFile(io.FileIO):
    """File whose disk may be full: output is then lost, and `print` in a trainable raises no error."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def prepare_process() -> None:
    """Make this process leave a trace when it ends itself, and make its output streams forgive a full disk."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = _ForgivingFile(descriptor, "w", closefd=False)
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))
    faulthandler.enable(2, all_threads=False)
    own = os.getpid()
    _announce(os, "_exit", lambda status: f"os._exit({status})" if os.getpid() == own else None)
    _announce(os, "abort", lambda: "os.abort()" if os.getpid() == own else None)
    _announce(os, "kill", lambda process, number: _name_signal(number) if process == own == os.getpid() else None)
    _announce(signal, "raise_signal", lambda number: _name_signal(number) if os.getpid() == own else None)


def _name_signal(number: int) -> str | None:
    """Return the name of a signal that ends a process; None for others, and for the harmless 0."""
    harmless = (0, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)
    is_handled = number != signal.SIGTERM and callable(signal.getsignal(number))  # Ray's handler ends the process
    return None if number in harmless or is_handled else signal.Signals(number).name


def _announce(module: Any, name: str, describe: Callable[..., str | None]) -> None:
    """Replace a function that ends the process by one that writes its description to the log first."""
    original = getattr(module, name)

    def announced(*arguments: Any) -> Any:
        with suppress(Exception):
            cause = describe(*arguments)
            if cause is not None:
                caller = sys._getframe(1)
                place = format_location([(caller.f_code.co_filename, caller.f_lineno)])
                _flush_streams()
                os.write(2, f"\n{_SELF_INFLICTED}{cause}{place}\n".encode())
        return original(*arguments)

    if getattr(original, "__name__", "") != "announced":
        setattr(module, name, announced)
