"""Optuna storages of a journal file: one that appends to it, and one that only reads it."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from runtime.errors import InputError, StorageError
from runtime.retry import retry_call
from search.study.journal import mend_journal, read_journal, replay_error

RETRY_TIMEOUT_S: Final = 900.0
RETRY_PAUSE_S: Final = 5.0
"""Time that a running search waits for a disk that is full or fails, and pause between two attempts, in seconds."""
_TRANSIENT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


class JournalFile(JournalFileBackend):
    """Journal file that waits for a full disk, and never keeps a part of an entry.

    Optuna's own lock of the file is not used, since the lock of the search protects it.

    Args:
        path: Intact journal.
        report: Prints a message about waiting.

    Attributes:
        retries: Whether to wait for the disk.
        before_write: Called before every entry; an exception prevents it from being written.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        super().__init__(str(path))
        self.retries = True
        self.before_write: Callable[[], None] = lambda: None
        self._path = path
        self._report = report
        self._intact_size: int | None = None  # set while a partial entry could not be removed

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries and flush them to the disk.

        Raises:
            StorageError: If they cannot be written within `RETRY_TIMEOUT_S`.
        """
        self.before_write()
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        errors: list[Exception] = []

        def report_wait(error: Exception) -> None:
            if not errors:
                self._report(f"study    waiting to write {self._path}: {_reason(error)}")
            errors.append(error)

        try:
            retry_call(
                lambda: self._append(content),
                self._is_transient,
                repeat(RETRY_PAUSE_S),
                timeout_s=RETRY_TIMEOUT_S,
                on_retry=report_wait,
            )
        except OSError as error:
            raise StorageError(
                str(self._path),
                "the journal of the study must be written",
                value=_reason(error),
                remedy="free some space, or restore the storage; nothing is lost: continue with --resume",
            ) from error
        if errors:
            self._report("study    written; the search continues")

    def _is_transient(self, error: Exception) -> bool:
        return self.retries and isinstance(error, OSError) and error.errno in _TRANSIENT

    def _append(self, content: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)  # a journal that has disappeared is not created again
        try:
            if self._intact_size is not None:
                os.ftruncate(file, self._intact_size)
            self._intact_size = os.fstat(file).st_size
            try:
                remaining = memoryview(content)
                while remaining:
                    remaining = remaining[os.write(file, remaining) :]
                os.fsync(file)
            except BaseException:
                os.ftruncate(file, self._intact_size)
                self._intact_size = None
                raise
            self._intact_size = None
        finally:
            with suppress(OSError):  # the entry is on the disk, or has been removed
                os.close(file)


class _Snapshot(BaseJournalBackend):
    """Entries of a journal at one moment; nothing can be appended."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._entries = entries

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on."""
        return self._entries[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Raise an error.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"{len(logs)} entries for a journal that is open for reading only")


class _FollowedFile(JournalFileBackend):
    """Journal file that another process writes; nothing can be appended."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Raise an error.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"{len(logs)} entries for a journal that is open for reading only")


def open_journal(path: Path) -> JournalStorage:
    """Open a journal for writing, after mending its end; create it if it does not exist.

    Raises:
        InputError: If the journal cannot be used.
    """
    mend_journal(path, _print_line)
    with _explain_replay(path):
        return JournalStorage(JournalFile(path, _print_line))


def open_journal_snapshot(path: Path) -> JournalStorage:
    """Open the complete entries of a journal without changing it; another process may be writing it.

    Raises:
        InputError: If the journal cannot be read.
    """
    entries = read_journal(path).entries
    with _explain_replay(path):
        return JournalStorage(_Snapshot(entries))


def follow_journal(path: Path) -> JournalStorage:
    """Open a journal for reading, with the entries that another process appends later.

    Raises:
        InputError: If the journal cannot be read.
    """
    read_journal(path)  # explains what is wrong with a journal
    with _explain_replay(path):
        return JournalStorage(_FollowedFile(str(path)))


@contextmanager
def _explain_replay(path: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # whatever Optuna raises for an entry about a study or a trial that does not exist
        raise replay_error(path, error) from error


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
