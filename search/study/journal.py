"""Journal file of a study: checked reading, and removal of what a power cut left incomplete at its end.

Every line of a journal is an entry, a JSON object. A process that is killed while it writes, or a machine that loses power,
leaves an incomplete last line, or zeros in its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.errors import InputError, StorageError
from runtime.files import atomic_write

_EXCERPT: Final = 60
_CREATE_STUDY: Final = 0
_CREATE_TRIAL: Final = 4
"""Values of Optuna's `JournalOperation`, whose import takes longer than reporting an error should."""
_LOCK_SUFFIX: Final = ".lock"
"""Suffix of Optuna's lock of a journal, which a killed process leaves behind and Optuna waits half a minute for."""


@dataclass(frozen=True)
class JournalContent:
    """Content of a journal.

    Attributes:
        entries: Complete entries, in their order.
        size: Number of bytes of the complete entries.
        tail: Bytes after the complete entries; empty in an intact journal.
        lacks_newline: Whether the last complete entry is not followed by a newline.
    """

    entries: list[dict[str, Any]]
    size: int
    tail: bytes
    lacks_newline: bool


def read_journal(path: Path) -> JournalContent:
    """Read a journal without changing it.

    Raises:
        InputError: If the file cannot be read, or is corrupt before its last entry.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable_error(path, error) from error
    parsed = _parse_content(path, content)
    _require_order(path, parsed.entries)
    return parsed


def _parse_content(path: Path, content: bytes) -> JournalContent:
    lines = content.split(b"\n")
    entries: list[dict[str, Any]] = []
    size = 0
    for line in lines[:-1]:
        entry = _parse_entry(line)
        if entry is None:
            _require_no_entry_after(path, lines, len(entries))
            return JournalContent(entries, size, content[size:], lacks_newline=False)
        entries.append(entry)
        size += len(line) + 1
    last = lines[-1].rstrip(b"\0")
    entry = _parse_entry(last)
    if entry is not None:
        entries.append(entry)
        size += len(last)
    return JournalContent(entries, size, content[size:], lacks_newline=entry is not None)


def _require_order(path: Path, entries: list[dict[str, Any]]) -> None:
    """Check that entries follow the creation of their study and trial; Optuna skips others without a message."""
    trials = 0
    for index, entry in enumerate(entries):
        if index == 0 and entry["op_code"] != _CREATE_STUDY:
            rule = "the first line of a study's journal must create the study (op_code 0)"
            raise _corrupt_line_error(path, index, rule, json.dumps(entry))
        trials += entry["op_code"] == _CREATE_TRIAL
        if entry.get("trial_id", -1) >= trials:
            rule = f"an entry about a trial must follow its creation; the lines before create {trials} trials"
            raise _corrupt_line_error(path, index, rule, json.dumps(entry))


def _parse_entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_entry = isinstance(entry, dict) and isinstance(entry.get("op_code"), int) and "worker_id" in entry
    return entry if is_entry else None


def _require_no_entry_after(path: Path, lines: list[bytes], index: int) -> None:
    if all(_parse_entry(line) is None for line in lines[index + 1 :]):
        return
    rule = "every line of a study's journal, except for an incomplete last one, must be a JSON object with an op_code"
    raise _corrupt_line_error(path, index, rule, lines[index].decode(errors="backslashreplace"))


def _corrupt_line_error(path: Path, index: int, rule: str, line: str) -> InputError:
    return InputError(
        f"{path}: line {index + 1}",
        rule,
        value=line[:_EXCERPT],
        remedy=f"restore the file from a backup, correct the line, or archive the search with --fresh; "
        f"`head -n {index}` of the file is the study before that line",
    )


def replay_error(path: Path, error: Exception) -> InputError:
    """Return the error for a journal whose entries are complete but do not follow from each other."""
    return InputError(
        str(path),
        "the entries of a study's journal must follow from each other",
        value=f"{type(error).__name__}: {error}",
        remedy="restore the file from a backup, or archive the search with --fresh",
    )


def mend_journal(path: Path, report: Callable[[str], None]) -> None:
    """Make a journal ready for appending; to be called while no other process writes it.

    An incomplete end is moved to a file beside the journal, and a missing last newline is added.

    Args:
        path: Journal; it need not exist.
        report: Prints a line about what was incomplete.

    Raises:
        InputError: If the journal cannot be read or written, or is corrupt before its last entry.
    """
    try:
        path.with_name(path.name + _LOCK_SUFFIX).unlink(missing_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise _unusable_error(path, error) from error
    content = read_journal(path)
    if not content.tail and not content.lacks_newline:
        return
    try:
        _mend(path, content, report)
    except OSError as error:
        raise StorageError(
            str(path),
            "the incomplete end of the study's journal must be moved to a file beside it",
            value=error.strerror or str(error),
            remedy="free some space, or restore the storage; then continue with --resume",
        ) from error


def _mend(path: Path, content: JournalContent, report: Callable[[str], None]) -> None:
    if content.tail:
        aside = _unused_name(path)
        with atomic_write(aside) as temporary:
            temporary.write_bytes(content.tail)
        report(
            f"study    {path.name} ended with an incomplete entry after line {len(content.entries)}: "
            f"{len(content.tail)} bytes moved to {aside}; an epoch that was being recorded is repeated"
        )
    with path.open("r+b") as file:
        file.truncate(content.size)
        if content.lacks_newline:
            file.seek(content.size)
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())


def _unused_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.torn-{number}")).exists():
        number += 1
    return aside


def _unusable_error(path: Path, error: OSError) -> InputError:
    return InputError(
        str(path),
        "the journal of the study must be a file that can be read and written",
        value=error.strerror or str(error),
        remedy="change the permissions, or restore the file; otherwise archive the search with --fresh",
    )
